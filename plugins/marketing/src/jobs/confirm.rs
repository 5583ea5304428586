//! Asking the owner of an address to confirm.

use powernode_plugin_api::prelude::*;

use super::send::password;
use crate::{
    Marketing,
    controllers::subscriptions::CONFIRM,
    mail::{Draft, Kind, Verdict, compose},
    models::Actor,
    services::confirmations::{self, Confirm, Next},
};

/// Sends the e-mail that a round is, and asks for the next round; after the last one the address is given up.
pub async fn confirm(job: Job<Marketing>, args: Confirm) -> Result<Outcome> {
    let Some(mail) = job.extension().mail.clone() else {
        return Ok(Outcome::discard("the settings say nothing of e-mail any more"));
    };
    let (host, now) = (job.host(), job.host().runtime().now());
    let next = job.db().transaction(move |conn| confirmations::next(conn, args, now)).await?;
    let (subscriber, list) = match next {
        Next::Ask(it) => *it,
        Next::Nothing => return Ok(Outcome::Done),
    };
    let actor = Actor { account: subscriber.account_id, user: None, now };
    let link = format!("{}{}", mail.public_url, CONFIRM.link(host, actor, subscriber.id)?.path);
    let reminder = if args.round > 1 { "Reminder: " } else { "" };
    let body = format!(
        "Somebody, probably you, asked for the e-mails of {list}.\n\nConfirm that you want them: {link}\n\n\
         Without your confirmation nothing is sent, and there is nothing to do for you."
    );
    let draft = Draft {
        message_id: mail.message_id(&format!("{}.{}", subscriber.id.uuid().simple(), args.round)),
        from: &mail.from,
        to: &subscriber.email,
        subject: &format!("{reminder}Please confirm your subscription of {list}"),
        preview: "",
        body: &body,
        cta: ("", ""),
        fields: &[],
        kind: Kind::Single,
    };
    let letter = compose(&draft, &mut str::to_owned)?;
    let password = password(host).await?;
    let (from, to) = (mail.from.email.clone(), subscriber.email.clone());
    let number = format!("{}.{}", subscriber.id.uuid().simple(), args.round);
    let (carrier, reminder) = (mail.carrier.clone(), mail.reminder);
    let say = move || {
        let said = carrier.connect(password.as_deref()).and_then(|mut connection| {
            let verdict = connection.send(&number, &from, &to, &letter);
            let _ = connection.close();
            verdict
        });
        Ok(said)
    };
    match host.runtime().blocking(say).await? {
        Ok(Verdict::Sent(_)) => {
            let now = host.runtime().now();
            let asked = move |conn: &mut _| confirmations::asked(conn, args, now, reminder);
            job.db().transaction(asked).await?;
            Ok(Outcome::Done)
        }
        Ok(Verdict::Bounced(reason)) => {
            let gone = move |conn: &mut _| confirmations::bounced(conn, args, &reason, now);
            job.db().transaction(gone).await?;
            Ok(Outcome::Done)
        }
        Ok(Verdict::Failed(reason)) => Ok(Outcome::dead(reason)),
        Ok(Verdict::Later(reason)) | Err(reason) => Ok(Outcome::Retry(reason)),
    }
}
