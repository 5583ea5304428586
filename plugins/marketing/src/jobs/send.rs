//! Sending one batch.

use std::time::Duration;

use powernode_plugin_api::prelude::*;
use uuid::Uuid;

use super::is_on;
use crate::{
    Marketing,
    controllers::{subscriptions::UNSUBSCRIBE, tracking},
    mail::{Connection, Draft, Kind, Mail, PASSWORD, Verdict, compose},
    models::{Actor, Content, Letter, Subscriber},
    services::{
        deliveries::{self, Batch, Claim},
        sendings::{self, SendBatch},
    },
};

/// What one e-mail may take at most; a run that has less time left goes on in another.
const ONE: Duration = Duration::from_secs(180);
/// Until the extension may be on again for an account for which it is off.
const CLOSED: Duration = Duration::from_secs(60);
/// Until somebody approved the new words.
const UNAPPROVED: Duration = Duration::from_secs(60);

/// Asks for a batch once more.
pub async fn send_again(job: Job<Marketing>, args: SendBatch) -> Result<Outcome> {
    let again = move |conn: &mut _| enqueue(conn, sendings::batch_job(args.sending, args.batch));
    job.db().transaction(again).await?;
    Ok(Outcome::Done)
}

/// One e-mail after the other, each claimed before it is spoken about.
pub async fn send(job: Job<Marketing>, args: SendBatch) -> Result<Outcome> {
    let Some(mail) = job.extension().mail.clone() else {
        return Ok(Outcome::Retry("the settings say nothing of e-mail any more".to_owned()));
    };
    let Some(batch) = job.db().read(move |conn| deliveries::batch(conn, args.sending)).await?
    else {
        return Ok(Outcome::discard("the campaign was deleted"));
    };
    if !is_on(job.host(), batch.account) {
        return Ok(Outcome::snooze(CLOSED));
    }
    let password = password(job.host()).await?;
    let mut connection = None;
    let ended = run(&job, args, &mail, &batch, &mut connection, password).await;
    if let Some(connection) = connection {
        job.host().runtime().blocking(move || connection.close()).await?;
    }
    ended
}

async fn run(
    job: &Job<Marketing>,
    args: SendBatch,
    mail: &Mail,
    batch: &Batch,
    connection: &mut Option<Connection>,
    password: Option<String>,
) -> Result<Outcome> {
    let runtime = job.host().runtime();
    let contents: Vec<_> = batch.contents.iter().map(|it| it.id).collect();
    let mut after: Option<Uuid> = None;
    loop {
        if let Some(cancelled) = job.cancelled() {
            return Ok(cancelled.into());
        }
        if job.time_left() < ONE {
            return Ok(Outcome::snooze(Duration::ZERO));
        }
        if connection.is_none() {
            // Before anything is claimed: without a mail server everything waits.
            let (carrier, password) = (mail.carrier.clone(), password.clone());
            let opened = runtime.blocking(move || Ok(carrier.connect(password.as_deref()))).await?;
            match opened {
                Ok(opened) => *connection = Some(opened),
                Err(error) => {
                    tracing::warn!(error, "the mail server does not answer: e-mails wait");
                    return Ok(Outcome::Retry(error));
                }
            }
        }
        let (now, known) = (runtime.now(), contents.clone());
        let which = (args.sending, args.batch);
        let claim = move |conn: &mut _| deliveries::claim(conn, which, after, &known, now);
        let (letter, subscriber) = match job.db().transaction(claim).await? {
            Claim::Next(next) => *next,
            Claim::Held => return Ok(Outcome::Done),
            Claim::Unapproved => return Ok(Outcome::snooze(UNAPPROVED)),
            Claim::Through { later: 0 } => {
                let now = runtime.now();
                let done = move |conn: &mut _| sendings::complete_if_done(conn, args.sending, now);
                job.db().transaction(done).await?;
                return Ok(Outcome::Done);
            }
            Claim::Through { later } => {
                tracing::info!(
                    later,
                    "e-mails that the mail server did not take at once have to wait"
                );
                let again = sendings::again_job(args, runtime.now() + mail.retry);
                job.db().transaction(move |conn| enqueue(conn, again)).await?;
                return Ok(Outcome::Done);
            }
        };
        after = Some(letter.id.uuid());
        let written = write(job.host(), mail, batch, &letter, &subscriber, now);
        let verdict = match (written, connection.take()) {
            (Ok(bytes), Some(mut open)) => {
                let (from, number) =
                    (mail.from.email.clone(), letter.id.uuid().simple().to_string());
                let to = letter.email.clone();
                let say = move || {
                    let said = open.send(&number, &from, &to, &bytes);
                    Ok((said, open))
                };
                let (said, open) = runtime.blocking(say).await?;
                // A conversation that failed is over.
                *connection = said.is_ok().then_some(open);
                said
            }
            (Err(error), open) => {
                *connection = open;
                Ok(Verdict::Failed(format!("it cannot be written: {error}")))
            }
            (Ok(_), None) => Err("there is no conversation".to_owned()),
        };
        let failed = verdict.as_ref().err().cloned();
        let now = runtime.now();
        let settle = move |conn: &mut _| deliveries::settle(conn, letter, verdict, now);
        job.db().transaction(settle).await?;
        if let Some(error) = failed {
            return Ok(Outcome::Retry(error));
        }
        if !mail.gap.is_zero() {
            runtime.sleep(mail.gap).await?;
        }
    }
}

/// The password of the mail server, which is a secret.
pub async fn password(host: &Host) -> Result<Option<String>> {
    let secret = host.settings().secret(PASSWORD).await?;
    secret
        .map(|it| {
            String::from_utf8(it)
                .map_err(|_| Error::internal("the password of the mail server is no text"))
        })
        .transpose()
}

/// Writes an e-mail out, with the links of this reader.
fn write(
    host: &Host,
    mail: &Mail,
    batch: &Batch,
    letter: &Letter,
    subscriber: &Subscriber,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<u8>> {
    let content = |it: &&Content| Some(it.id) == letter.marketing_campaign_content_id;
    let content = batch.contents.iter().find(content).ok_or_else(|| Error::not_found("content"))?;
    let actor = Actor { account: letter.account_id, user: None, now };
    let unsubscribe = UNSUBSCRIBE.link(host, actor, subscriber.id)?.path;
    let pixel = tracking::pixel(host, letter)?;
    let fields = [
        ("first_name", subscriber.first_name.as_str()),
        ("last_name", subscriber.last_name.as_str()),
        ("email", subscriber.email.as_str()),
    ];
    let draft = Draft {
        message_id: mail.message_id(&letter.id.uuid().simple().to_string()),
        from: &mail.from,
        to: &letter.email,
        subject: &content.subject,
        preview: &content.preview_text,
        body: &content.body,
        cta: (&content.cta_text, &content.cta_url),
        fields: &fields,
        kind: Kind::List {
            unsubscribe: format!("{}{unsubscribe}", mail.public_url),
            pixel: format!("{}{pixel}", mail.public_url),
        },
    };
    compose(&draft, &mut |url| {
        let counted = batch.links.get(url).and_then(|it| tracking::link(host, letter, *it).ok());
        counted.map_or_else(|| url.to_owned(), |path| format!("{}{path}", mail.public_url))
    })
}
