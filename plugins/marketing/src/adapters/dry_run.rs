//! An adapter that speaks to nobody: for development, and for trying things out.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Adapter, Message, Refusal, Renewed, Reply};
use crate::models::Tokens;

/// Takes each token, but one that begins with `expired` or `refused`.
#[derive(Clone, Copy, Debug)]
pub struct DryRun;

impl Adapter for DryRun {
    fn name(&self) -> &'static str {
        "dry_run"
    }

    fn check<'a>(&'a self, tokens: &'a Tokens) -> Reply<'a, ()> {
        Box::pin(async move { judged(tokens.access()) })
    }

    fn post<'a>(&'a self, tokens: &'a Tokens, message: Message<'a>) -> Reply<'a, String> {
        Box::pin(async move {
            judged(tokens.access())?;
            let Message { key, text, media, link } = message;
            let (letters, pictures) = (text.chars().count(), media.len());
            tracing::info!(key, letters, pictures, link, "would be posted");
            Ok(format!("dry-run-{key}"))
        })
    }

    fn refresh<'a>(&'a self, tokens: &'a Tokens, now: DateTime<Utc>) -> Reply<'a, Renewed> {
        Box::pin(async move {
            let none = || Refusal::Refused("there is no refresh token".to_owned());
            judged(tokens.refresh().ok_or_else(none)?)?;
            let access = format!("dry-run-{}", Uuid::new_v4().simple());
            let tokens = tokens.renewed(access);
            Ok(Renewed { tokens, expires_at: Some(now + TimeDelta::days(60)) })
        })
    }
}

fn judged(token: &str) -> Result<(), Refusal> {
    if token.starts_with("expired") {
        return Err(Refusal::Expired);
    }
    if token.starts_with("refused") {
        return Err(Refusal::Refused("the token was refused".to_owned()));
    }
    Ok(())
}
