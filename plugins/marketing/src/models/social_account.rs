//! Accounts on social platforms.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Actor,
    change::{given, set},
    tokens::Token,
};
use crate::{adapters::Refusal, schema::marketing_social_accounts};

/// What such an account is called in sentences.
pub const SOCIAL_ACCOUNT: &str = "social account";

text_enum! {
    /// Where the account is.
    pub enum Platform {
        Twitter = "twitter",
        Linkedin = "linkedin",
        Facebook = "facebook",
        Instagram = "instagram",
    }
}

text_enum! {
    /// Whether the platform takes the account's tokens.
    pub enum Status {
        /// Nobody asked it yet, or the tokens were taken away.
        Disconnected = "disconnected",
        Connected = "connected",
        Expired = "expired",
        Error = "error",
    }
}

/// An account on a social platform. Its tokens are a secret, and no column.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_social_accounts, treat_none_as_null = true)]
pub struct SocialAccount {
    pub id: Id<SocialAccount>,
    #[serde(skip)]
    pub account_id: Uuid,
    pub platform: Platform,
    /// As the platform calls it; unique in the account for the platform.
    pub platform_account_id: String,
    pub username: String,
    /// What the tokens allow.
    pub scopes: AsJson<Vec<String>>,
    pub status: Status,
    /// What the platform said when it last refused the tokens.
    pub last_error: String,
    pub token_expires_at: Option<DateTime<Utc>>,
    pub last_tested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What clients send to add an account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSocialAccount {
    pub platform: Platform,
    pub platform_account_id: String,
    pub username: String,
    /// Kept encrypted, and never shown.
    pub access_token: Token,
    /// Kept encrypted, and never shown.
    #[serde(default)]
    pub refresh_token: Option<Token>,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub token_expires_at: Option<DateTime<Utc>>,
}

/// What clients send to change an account; what is left out stays. New tokens have to be tested.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSocialAccount {
    pub username: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub access_token: Option<Token>,
    /// Goes with an access token alone.
    pub refresh_token: Option<Token>,
    #[serde(deserialize_with = "given")]
    pub token_expires_at: Option<Option<DateTime<Utc>>>,
}

impl Identified for SocialAccount {
    const PREFIX: &'static str = "soca";
}

impl NewSocialAccount {
    /// 422 unless the tokens look like some.
    pub fn valid_tokens(&self) -> Result<()> {
        valid_tokens(Some(&self.access_token), self.refresh_token.as_ref())
    }
}

impl ChangeSocialAccount {
    /// 422 unless the tokens, where there are some, look like some.
    pub fn valid_tokens(&self) -> Result<()> {
        valid_tokens(self.access_token.as_ref(), self.refresh_token.as_ref())
    }
}

fn valid_tokens(access: Option<&Token>, refresh: Option<&Token>) -> Result<()> {
    const NO_TOKEN: &str = "must have 1 to 4096 characters and no white space";
    let mut checks = Checks::new();
    checks
        .require(access.is_none_or(Token::is_valid), "access_token", NO_TOKEN)
        .require(refresh.is_none_or(Token::is_valid), "refresh_token", NO_TOKEN)
        .require(
            refresh.is_none() || access.is_some(),
            "refresh_token",
            "goes with an access_token alone",
        );
    checks.finish()
}

impl SocialAccount {
    /// An account whose tokens nobody tried yet, or what is wrong with it.
    pub fn untried(actor: Actor, new: &NewSocialAccount) -> Result<Self> {
        let account = Self {
            id: Id::new(),
            account_id: actor.account,
            platform: new.platform,
            platform_account_id: new.platform_account_id.trim().to_owned(),
            username: new.username.trim().to_owned(),
            scopes: AsJson(new.scopes.clone()),
            status: Status::Disconnected,
            last_error: String::new(),
            token_expires_at: new.token_expires_at,
            last_tested_at: None,
            created_at: actor.now,
            updated_at: actor.now,
        };
        account.validate().map(|()| account)
    }

    /// Changes what the client sent.
    pub fn change(&mut self, change: ChangeSocialAccount, now: DateTime<Utc>) -> Result<()> {
        set(&mut self.username, change.username.map(|it| it.trim().to_owned()));
        set(&mut self.scopes.0, change.scopes);
        set(&mut self.token_expires_at, change.token_expires_at);
        if change.access_token.is_some() {
            self.disconnect(now);
        }
        self.updated_at = now;
        self.validate()
    }

    /// Enters what the platform said of the tokens.
    pub fn tested(&mut self, answer: Result<(), Refusal>, now: DateTime<Utc>) {
        let (status, error) = match answer {
            Ok(()) => (Status::Connected, String::new()),
            Err(Refusal::Expired) => (Status::Expired, "the token expired".to_owned()),
            Err(Refusal::Refused(text)) => (Status::Error, text),
        };
        self.status = status;
        self.last_error = error;
        self.last_tested_at = Some(now);
        self.updated_at = now;
    }

    /// Whether its token's time is over, whatever the platform says.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.token_expires_at.is_some_and(|it| it <= now)
    }

    /// Enters that there are no tokens, or none that were tried.
    pub fn disconnect(&mut self, now: DateTime<Utc>) {
        self.status = Status::Disconnected;
        self.last_error.clear();
        self.last_tested_at = None;
        self.updated_at = now;
    }

    fn validate(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks
            .length(&self.platform_account_id, 1, 255, "platform_account_id")
            .length(&self.username, 1, 255, "username")
            .require(self.scopes.len() <= 50, "scopes", "must be at most 50");
        for (at, scope) in self.scopes.iter().enumerate() {
            checks.length(scope, 1, 255, &format!("scopes[{at}]"));
        }
        checks.finish()
    }
}
