//! Subscribers: one address on one list.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    EmailList, Step,
    change::{set, valid_tags},
    email::{Email, NoEmail},
};
use crate::schema::{marketing_email_bounces, marketing_email_subscribers};

#[cfg(test)]
mod tests;

/// What a subscriber is called in sentences.
pub const SUBSCRIBER: &str = "subscriber";

/// After as many bounces nothing more is sent.
pub const MOST_BOUNCES: i64 = 3;

text_enum! {
    /// Whether an address gets e-mails: only one that is `subscribed` does.
    pub enum Status {
        Pending = "pending",
        Subscribed = "subscribed",
        Unsubscribed = "unsubscribed",
        Bounced = "bounced",
        Complained = "complained",
        /// Nobody confirmed it.
        Expired = "expired",
    }
}

use Status::{Bounced, Complained, Expired, Pending, Subscribed, Unsubscribed};

/// The owner of the address wants the e-mails.
pub const CONFIRM: Step<Status> = Step { from: &[Pending], to: Subscribed, done: "confirmed" };
/// The owner of the address wants no more of them.
pub const UNSUBSCRIBE: Step<Status> =
    Step { from: &[Pending, Subscribed], to: Unsubscribed, done: "unsubscribed" };
/// Begins to wait for a confirmation once more.
pub const ASK: Step<Status> =
    Step { from: &[Pending, Expired], to: Pending, done: "asked to confirm" };
/// Nobody confirmed it, although they were asked again.
pub const EXPIRE: Step<Status> = Step { from: &[Pending], to: Expired, done: "given up" };
/// The address cannot be reached.
pub const BOUNCE: Step<Status> =
    Step { from: &[Pending, Subscribed], to: Bounced, done: "marked as bounced" };
/// The owner of the address called an e-mail spam.
pub const COMPLAIN: Step<Status> =
    Step { from: &[Pending, Subscribed], to: Complained, done: "marked as complaining" };

/// One address on one list.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_email_subscribers, treat_none_as_null = true)]
pub struct Subscriber {
    pub id: Id<Subscriber>,
    #[serde(skip)]
    pub account_id: Uuid,
    #[serde(rename = "email_list_id")]
    pub marketing_email_list_id: Id<EmailList>,
    /// In lower case; unique on the list.
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    /// Where the address came from.
    pub source: String,
    pub tags: AsJson<Vec<String>>,
    pub custom_fields: AsJson<Map<String, Value>>,
    pub preferences: AsJson<Map<String, Value>>,
    pub status: Status,
    pub subscribed_at: Option<DateTime<Utc>>,
    pub unsubscribed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A subscriber, and how many e-mails came back.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CountedSubscriber {
    #[serde(flatten)]
    pub subscriber: Subscriber,
    /// Counted in the ledger when asked.
    pub bounce_count: i64,
}

/// An e-mail that came back.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = marketing_email_bounces)]
pub struct Bounce {
    pub id: Uuid,
    pub account_id: Uuid,
    pub marketing_email_subscriber_id: Id<Subscriber>,
    pub reason: String,
    pub bounced_at: DateTime<Utc>,
}

/// What clients send to add a subscriber.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a subscriber, which is a JSON object")]
pub struct NewSubscriber {
    pub email: String,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
    #[serde(default)]
    pub source: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub custom_fields: Map<String, Value>,
    #[serde(default)]
    pub preferences: Map<String, Value>,
}

/// What clients send to change a subscriber; the address stays, since it is what was confirmed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSubscriber {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub tags: Option<Vec<String>>,
    pub custom_fields: Option<Map<String, Value>>,
    pub preferences: Option<Map<String, Value>>,
}

impl Bounce {
    /// An e-mail to `subscriber` that came back.
    pub fn of(subscriber: &Subscriber, reason: String, now: DateTime<Utc>) -> Result<Self> {
        let mut checks = Checks::new();
        checks.length(&reason, 0, 1_000, "reason");
        checks.finish()?;
        Ok(Self {
            id: Uuid::now_v7(),
            account_id: subscriber.account_id,
            marketing_email_subscriber_id: subscriber.id,
            reason,
            bounced_at: now,
        })
    }
}

impl Identified for Subscriber {
    const PREFIX: &'static str = "subr";
}

impl Subscriber {
    /// A subscriber of `list`: pending where the list asks for a confirmation.
    pub fn new(
        list: &EmailList,
        new: NewSubscriber,
        source: &str,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let email = new.email.parse().map(Email::into_string);
        let email = email.map_err(|error: NoEmail| Error::invalid("email", error.to_string()))?;
        let status = if list.double_opt_in { Pending } else { Subscribed };
        let subscriber = Self {
            id: Id::new(),
            account_id: list.account_id,
            marketing_email_list_id: list.id,
            email,
            first_name: new.first_name,
            last_name: new.last_name,
            source: new.source.unwrap_or_else(|| source.to_owned()),
            tags: AsJson(new.tags),
            custom_fields: AsJson(new.custom_fields),
            preferences: AsJson(new.preferences),
            status,
            subscribed_at: (status == Subscribed).then_some(now),
            unsubscribed_at: None,
            created_at: now,
            updated_at: now,
        };
        subscriber.validate().map(|()| subscriber)
    }

    /// Changes what the client sent.
    pub fn change(&mut self, change: ChangeSubscriber, now: DateTime<Utc>) -> Result<()> {
        set(&mut self.first_name, change.first_name);
        set(&mut self.last_name, change.last_name);
        set(&mut self.tags.0, change.tags);
        set(&mut self.custom_fields.0, change.custom_fields);
        set(&mut self.preferences.0, change.preferences);
        self.updated_at = now;
        self.validate()
    }

    /// Takes a step; 422 where the subscriber's state does not allow it.
    pub fn take(&mut self, step: &Step<Status>, now: DateTime<Utc>) -> Result<()> {
        self.status = step.take(SUBSCRIBER, self.status)?;
        match self.status {
            Subscribed => self.subscribed_at = Some(now),
            Unsubscribed => self.unsubscribed_at = Some(now),
            Pending | Bounced | Complained | Expired => {}
        }
        self.updated_at = now;
        Ok(())
    }

    /// Takes a step for the owner of the address, and answers whether that changed anything: a link may be followed
    /// twice, and where nothing is sent any more, whoever wants nothing has what they want.
    pub fn follow(&mut self, step: &Step<Status>, now: DateTime<Utc>) -> Result<bool> {
        let ends = step.to == Unsubscribed && matches!(self.status, Bounced | Complained | Expired);
        if self.status == step.to || ends {
            return Ok(false);
        }
        self.take(step, now).map(|()| true)
    }

    fn validate(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks
            .length(&self.first_name, 0, 100, "first_name")
            .length(&self.last_name, 0, 100, "last_name")
            .length(&self.source, 1, 100, "source");
        valid_tags(&mut checks, &self.tags);
        checks.finish()
    }
}
