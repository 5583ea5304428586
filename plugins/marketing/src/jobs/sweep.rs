//! Looking for what is due.

use powernode_plugin_api::{prelude::*, providers::Notification};

use super::{is_on, tell};
use crate::{
    Marketing,
    models::{Actor, SocialAccount},
    services::{posts, publications, sendings},
};

/// Launches campaigns, publishes entries of the calendar, and notices tokens whose time is over: each in a
/// transaction of its own, so that one which fails keeps no other.
pub async fn sweep(job: Job<Marketing>) -> Result<Outcome> {
    let has_mail = job.extension().mail.is_some();
    let now = job.host().runtime().now();
    let mut failed = 0;
    let actor = move |account| Actor { account, user: None, now };
    let is_on = |account| is_on(job.host(), account);
    for (account, id) in job.db().read(move |conn| sendings::due(conn, now)).await? {
        if !is_on(account) {
            continue;
        }
        let launch = move |conn: &mut _| sendings::execute_due(conn, actor(account), id, has_mail);
        if let Err(error) = job.db().transaction(launch).await {
            // It stays scheduled, and the next sweep tries again.
            tracing::warn!(campaign = %id, %error, "a scheduled campaign cannot be launched");
            failed += usize::from(error.status() >= 500);
        }
    }
    for (entry, day) in job.db().read(move |conn| publications::due(conn, now)).await? {
        if !is_on(entry.account_id) {
            continue;
        }
        let id = entry.id;
        let publish = move |conn: &mut _| publications::publish(conn, &entry, day, has_mail, now);
        if let Err(error) = job.db().transaction(publish).await {
            tracing::warn!(entry = %id, %day, %error, "an entry of the calendar cannot be published");
            failed += usize::from(error.status() >= 500);
        }
    }
    for social in job.db().read(move |conn| posts::expired(conn, now)).await? {
        let (id, account) = (social.id, social.account_id);
        let expire = move |conn: &mut HostConnection| {
            let marked = posts::expire(conn, actor(account), id)?;
            if marked {
                tell(conn, &expired(&social))?;
            }
            Ok::<_, Error>(marked)
        };
        match job.db().transaction(expire).await {
            Ok(true) => {
                tracing::warn!(social_account = %id, "the token of a social account expired")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(social_account = %id, %error, "a social account cannot be marked");
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(Outcome::Done),
        _ => Ok(Outcome::Retry(format!("{failed} of what is due failed: the log says why"))),
    }
}

fn expired(social: &SocialAccount) -> Notification {
    Notification {
        account_id: social.account_id,
        user_id: None,
        kind: "marketing.token_expired".to_owned(),
        key: format!("{}/{:?}", social.id, social.token_expires_at),
        title: format!("The token of {} on {} expired", social.username, social.platform),
        body: Some("Nothing is posted there until it gets new tokens.".to_owned()),
        link: Some("/marketing/social".to_owned()),
    }
}
