//! E-mail lists.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Actor, change::set};
use crate::schema::marketing_email_lists;

/// What a list is called in sentences.
pub const EMAIL_LIST: &str = "e-mail list";

/// People who get a campaign's e-mails.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_email_lists)]
pub struct EmailList {
    pub id: Id<EmailList>,
    #[serde(skip)]
    pub account_id: Uuid,
    pub name: String,
    /// Made from the name; unique in the account, and never changed.
    pub slug: String,
    /// Whether subscribers have to confirm.
    pub double_opt_in: bool,
    pub welcome_subject: String,
    pub welcome_body: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A list, and how many people are subscribed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CountedList {
    #[serde(flatten)]
    pub list: EmailList,
    /// Counted when asked; those who wait or left are no subscribers.
    pub subscriber_count: i64,
}

/// What clients send to create a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEmailList {
    pub name: String,
    #[serde(default = "yes")]
    pub double_opt_in: bool,
    #[serde(default)]
    pub welcome_subject: String,
    #[serde(default)]
    pub welcome_body: String,
}

fn yes() -> bool {
    true
}

/// What clients send to change a list; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeEmailList {
    pub name: Option<String>,
    pub double_opt_in: Option<bool>,
    pub welcome_subject: Option<String>,
    pub welcome_body: Option<String>,
}

impl Identified for EmailList {
    const PREFIX: &'static str = "list";
}

impl EmailList {
    /// A list without subscribers, or what is wrong with it.
    pub fn empty(actor: Actor, new: NewEmailList, slug: String) -> Result<Self> {
        let list = Self {
            id: Id::new(),
            account_id: actor.account,
            name: new.name.trim().to_owned(),
            slug,
            double_opt_in: new.double_opt_in,
            welcome_subject: new.welcome_subject,
            welcome_body: new.welcome_body,
            created_at: actor.now,
            updated_at: actor.now,
        };
        list.validate().map(|()| list)
    }

    /// Changes what the client sent.
    pub fn change(&mut self, change: ChangeEmailList, now: DateTime<Utc>) -> Result<()> {
        set(&mut self.name, change.name.map(|it| it.trim().to_owned()));
        set(&mut self.double_opt_in, change.double_opt_in);
        set(&mut self.welcome_subject, change.welcome_subject);
        set(&mut self.welcome_body, change.welcome_body);
        self.updated_at = now;
        self.validate()
    }

    fn validate(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks
            .length(&self.name, 1, 255, "name")
            .length(&self.welcome_subject, 0, 255, "welcome_subject")
            .length(&self.welcome_body, 0, 100_000, "welcome_body");
        checks.finish()
    }
}
