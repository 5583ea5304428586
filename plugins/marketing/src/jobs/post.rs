//! Posting one content on one account of a social platform.

use powernode_plugin_api::prelude::*;

use crate::{
    Marketing,
    adapters::{Message, Refusal},
    services::{
        posts::{self, PostOne},
        social_accounts,
    },
};

/// Through the adapter; what the platform does not take at once is tried again.
pub async fn post(job: Job<Marketing>, args: PostOne) -> Result<Outcome> {
    let claimed = job.db().transaction(move |conn| posts::claim(conn, args.post)).await?;
    let Some((post, content, social)) = claimed else { return Ok(Outcome::Done) };
    let now = job.host().runtime().now();
    let answer = match job.extension().adapters.of(social.platform) {
        None => Err(Refusal::Refused(format!("there is no adapter for {}", social.platform))),
        Some(_) if social.is_expired(now) => Err(Refusal::Expired),
        Some(adapter) => {
            let tokens = social_accounts::tokens(job.host(), social.id).await?;
            let message = Message {
                key: &post.id.to_string(),
                text: &content.body,
                media: &content.media_urls,
                link: &content.cta_url,
            };
            adapter.post(&tokens, message).await
        }
    };
    let channel = content.channel;
    let settle = move |conn: &mut _| posts::settle(conn, post, channel, answer, now);
    match job.db().transaction(settle).await? {
        true => Ok(Outcome::Retry("the platform did not take it".to_owned())),
        false => Ok(Outcome::Done),
    }
}
