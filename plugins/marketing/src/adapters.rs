//! How social platforms are spoken to: one adapter for each, behind one trait.

use std::{fmt, pin::Pin};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::models::{Tokens, social_account::Platform};

mod dry_run;

pub use self::dry_run::DryRun;

/// Speaks to a social platform on behalf of one of its accounts.
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// What it is called in answers.
    fn name(&self) -> &'static str;

    /// Asks the platform whether the tokens are good.
    fn check<'a>(&'a self, tokens: &'a Tokens) -> Reply<'a, ()>;

    /// Posts; the same key again is the same post.
    fn post<'a>(&'a self, tokens: &'a Tokens, message: Message<'a>) -> Reply<'a, String>;

    /// Exchanges the refresh token for new tokens.
    fn refresh<'a>(&'a self, tokens: &'a Tokens, now: DateTime<Utc>) -> Reply<'a, Renewed>;
}

/// What a platform answers, later.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// What is posted. The answer is what the platform calls the post.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// For platforms that tell a second time by a key.
    pub key: &'a str,
    pub text: &'a str,
    pub media: &'a [String],
    /// Empty where there is none.
    pub link: &'a str,
}

/// New tokens.
#[derive(Debug)]
pub struct Renewed {
    pub tokens: Tokens,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a platform does not take the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They were good once.
    Expired,
    /// In its own words, which name no token.
    Refused(String),
}

/// The extension's section of the platform's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    social_adapter: Option<Choice>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    DryRun,
}

/// The adapters that this installation has.
#[derive(Debug, Default)]
pub struct Adapters {
    dry_run: Option<DryRun>,
}

impl Adapters {
    /// Those that the settings name: `social_adapter = "dry_run"`.
    pub fn new(settings: &Settings) -> Self {
        Self { dry_run: settings.social_adapter.map(|Choice::DryRun| DryRun) }
    }

    /// The adapter of a platform, if there is one.
    pub fn of(&self, _: Platform) -> Option<&dyn Adapter> {
        self.dry_run.as_ref().map(|it| it as &dyn Adapter)
    }
}
