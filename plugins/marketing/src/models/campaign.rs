//! Campaigns.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Actor, Channel, Step,
    change::{set, valid_tags},
    step::refusal,
};
use crate::schema::marketing_campaigns;

#[cfg(test)]
mod tests;

/// What a campaign is called in sentences.
pub const CAMPAIGN: &str = "campaign";

text_enum! {
    /// Where a campaign stands.
    pub enum Status {
        Draft = "draft",
        Scheduled = "scheduled",
        Active = "active",
        Paused = "paused",
        Completed = "completed",
        Archived = "archived",
    }
}

text_enum! {
    /// What kind of messages a campaign sends.
    pub enum CampaignType {
        Email = "email",
        Social = "social",
        Chat = "chat",
        Sms = "sms",
        MultiChannel = "multi_channel",
    }
}

use Status::{Active, Archived, Completed, Draft, Paused, Scheduled};

/// Sets the time at which it starts; again, to another time.
pub const SCHEDULE: Step<Status> =
    Step { from: &[Draft, Scheduled], to: Scheduled, done: "scheduled" };
/// Starts it.
pub const EXECUTE: Step<Status> = Step { from: &[Draft, Scheduled], to: Active, done: "executed" };
/// Holds it for a while.
pub const PAUSE: Step<Status> = Step { from: &[Active], to: Paused, done: "paused" };
/// Ends the pause.
pub const RESUME: Step<Status> = Step { from: &[Paused], to: Active, done: "resumed" };
/// Ends it.
pub const COMPLETE: Step<Status> = Step { from: &[Active], to: Completed, done: "completed" };
/// Puts it away.
pub const ARCHIVE: Step<Status> =
    Step { from: &[Draft, Completed], to: Archived, done: "archived" };

/// A campaign: messages of one kind or of several to an audience.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_campaigns, treat_none_as_null = true)]
pub struct Campaign {
    pub id: Id<Campaign>,
    #[serde(skip)]
    pub account_id: Uuid,
    /// The user who created it.
    #[serde(rename = "created_by")]
    pub user_id: Option<Uuid>,
    /// Unique in the account.
    pub name: String,
    /// Made from the name; unique in the account, and never changed.
    pub slug: String,
    pub description: String,
    pub campaign_type: CampaignType,
    pub status: Status,
    pub channels: AsJson<Vec<Channel>>,
    /// In the currency's smallest unit; 0 where there is no budget.
    pub budget_cents: i64,
    /// An ISO 4217 code.
    pub currency: String,
    pub target_audience: AsJson<Map<String, Value>>,
    pub tags: AsJson<Vec<String>>,
    pub settings: AsJson<Map<String, Value>>,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub paused_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What clients send to create a campaign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    pub name: String,
    pub campaign_type: CampaignType,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub channels: Vec<Channel>,
    #[serde(default)]
    pub budget_cents: i64,
    #[serde(default = "dollars")]
    pub currency: String,
    #[serde(default)]
    pub target_audience: Map<String, Value>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub settings: Map<String, Value>,
}

fn dollars() -> String {
    "USD".to_owned()
}

/// What clients send to change a campaign; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeCampaign {
    pub name: Option<String>,
    pub campaign_type: Option<CampaignType>,
    pub description: Option<String>,
    pub channels: Option<Vec<Channel>>,
    pub budget_cents: Option<i64>,
    pub currency: Option<String>,
    pub target_audience: Option<Map<String, Value>>,
    pub tags: Option<Vec<String>>,
    pub settings: Option<Map<String, Value>>,
}

impl Identified for Campaign {
    const PREFIX: &'static str = "camp";
}

impl Campaign {
    /// A draft of `actor`'s, or what is wrong with it.
    pub fn draft(actor: Actor, new: NewCampaign, slug: String) -> Result<Self> {
        let campaign = Self {
            id: Id::new(),
            account_id: actor.account,
            user_id: actor.user,
            name: new.name.trim().to_owned(),
            slug,
            description: new.description,
            campaign_type: new.campaign_type,
            status: Draft,
            channels: AsJson(new.channels),
            budget_cents: new.budget_cents,
            currency: new.currency,
            target_audience: AsJson(new.target_audience),
            tags: AsJson(new.tags),
            settings: AsJson(new.settings),
            scheduled_at: None,
            started_at: None,
            paused_at: None,
            completed_at: None,
            created_at: actor.now,
            updated_at: actor.now,
        };
        campaign.validate().map(|()| campaign)
    }

    /// Another draft with the same content, by `actor`.
    pub fn duplicate(&self, actor: Actor, name: String, slug: String) -> Self {
        Self {
            id: Id::new(),
            user_id: actor.user,
            name,
            slug,
            status: Draft,
            scheduled_at: None,
            started_at: None,
            paused_at: None,
            completed_at: None,
            created_at: actor.now,
            updated_at: actor.now,
            ..self.clone()
        }
    }

    /// Changes what the client sent; 422 where the campaign is over, or where it is not valid.
    pub fn change(&mut self, change: ChangeCampaign, now: DateTime<Utc>) -> Result<()> {
        self.may_be_changed()?;
        set(&mut self.name, change.name.map(|it| it.trim().to_owned()));
        set(&mut self.campaign_type, change.campaign_type);
        set(&mut self.description, change.description);
        set(&mut self.channels.0, change.channels);
        set(&mut self.budget_cents, change.budget_cents);
        set(&mut self.currency, change.currency);
        set(&mut self.target_audience.0, change.target_audience);
        set(&mut self.tags.0, change.tags);
        set(&mut self.settings.0, change.settings);
        self.updated_at = now;
        self.validate()
    }

    /// 422 once it is over; its contents and lists then stay as well.
    pub fn may_be_changed(&self) -> Result<()> {
        match self.status {
            Draft | Scheduled | Active | Paused => Ok(()),
            Completed | Archived => Err(refusal(CAMPAIGN, self.status, "changed")),
        }
    }

    /// Takes a step; 422 where the campaign's state does not allow it.
    pub fn take(&mut self, step: &Step<Status>, now: DateTime<Utc>) -> Result<()> {
        self.status = step.take(CAMPAIGN, self.status)?;
        self.paused_at = (self.status == Paused).then_some(now);
        match self.status {
            Active => _ = self.started_at.get_or_insert(now),
            Completed => self.completed_at = Some(now),
            Draft | Scheduled | Paused | Archived => {}
        }
        self.updated_at = now;
        Ok(())
    }

    /// 422 unless it may be deleted: one that sent something is history.
    pub fn may_be_deleted(&self) -> Result<()> {
        match self.status {
            Draft | Scheduled | Archived => Ok(()),
            Active | Paused | Completed => Err(refusal(CAMPAIGN, self.status, "deleted")),
        }
    }

    fn validate(&self) -> Result<()> {
        let kind = self.campaign_type;
        let mut checks = Checks::new();
        checks
            .length(&self.name, 1, 255, "name")
            .length(&self.description, 0, 10_000, "description")
            .require(self.budget_cents >= 0, "budget_cents", "must not be negative")
            .require(
                is_currency(&self.currency),
                "currency",
                "must be an ISO 4217 code such as EUR",
            );
        for channel in self.channels.iter().filter(|it| !kind.sends_by(**it)) {
            let message = format!("{channel} is no channel of the campaign type {kind}");
            checks.require(false, "channels", message);
        }
        let twice =
            self.channels.iter().enumerate().any(|(at, it)| self.channels[..at].contains(it));
        checks.require(!twice, "channels", "must each be there once");
        valid_tags(&mut checks, &self.tags);
        checks.finish()
    }
}

impl CampaignType {
    /// Whether such a campaign may send by `channel`.
    pub fn sends_by(self, channel: Channel) -> bool {
        use Channel::{Chat, Email, Facebook, Instagram, Linkedin, Sms, Twitter};
        match self {
            Self::Email => channel == Email,
            Self::Social => matches!(channel, Twitter | Linkedin | Facebook | Instagram),
            Self::Chat => channel == Chat,
            Self::Sms => channel == Sms,
            Self::MultiChannel => true,
        }
    }
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|it| it.is_ascii_uppercase())
}
