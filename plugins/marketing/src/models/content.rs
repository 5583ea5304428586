//! Contents: what a campaign says on one channel, in one variant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Actor, Campaign, Channel, Step, change::set};
use crate::schema::marketing_campaign_contents;

#[cfg(test)]
mod tests;

/// What a content is called in sentences.
pub const CONTENT: &str = "content";

text_enum! {
    /// Whether a content may be sent.
    pub enum Status {
        Draft = "draft",
        Approved = "approved",
        Rejected = "rejected",
    }
}

use Status::{Approved, Draft, Rejected};

/// Lets it be sent.
pub const APPROVE: Step<Status> = Step { from: &[Draft], to: Approved, done: "approved" };
/// Sends it back to its author, whose change makes it a draft again.
pub const REJECT: Step<Status> = Step { from: &[Draft], to: Rejected, done: "rejected" };

/// What a campaign says on one channel; variants of it are compared with each other.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_campaign_contents, treat_none_as_null = true)]
pub struct Content {
    pub id: Id<Content>,
    #[serde(skip)]
    pub account_id: Uuid,
    #[serde(rename = "campaign_id")]
    pub marketing_campaign_id: Id<Campaign>,
    pub channel: Channel,
    /// Unique for the campaign and channel.
    pub variant_name: String,
    /// An e-mail must have one.
    pub subject: String,
    pub body: String,
    pub preview_text: String,
    pub media_urls: AsJson<Vec<String>>,
    /// The words of the call to action.
    pub cta_text: String,
    /// Where the call to action leads.
    pub cta_url: String,
    /// What one platform alone knows.
    pub platform_specific: AsJson<Map<String, Value>>,
    /// Whether a machine wrote it.
    pub ai_generated: bool,
    pub status: Status,
    pub approved_by: Option<Uuid>,
    pub approved_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What clients send to create a content.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContent {
    pub channel: Channel,
    pub body: String,
    #[serde(default = "only_variant")]
    pub variant_name: String,
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub preview_text: String,
    #[serde(default)]
    pub media_urls: Vec<String>,
    #[serde(default)]
    pub cta_text: String,
    #[serde(default)]
    pub cta_url: String,
    #[serde(default)]
    pub platform_specific: Map<String, Value>,
    #[serde(default)]
    pub ai_generated: bool,
}

fn only_variant() -> String {
    "A".to_owned()
}

/// What clients send to change a content; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeContent {
    pub body: Option<String>,
    pub variant_name: Option<String>,
    pub subject: Option<String>,
    pub preview_text: Option<String>,
    pub media_urls: Option<Vec<String>>,
    pub cta_text: Option<String>,
    pub cta_url: Option<String>,
    pub platform_specific: Option<Map<String, Value>>,
    pub ai_generated: Option<bool>,
}

impl Identified for Content {
    const PREFIX: &'static str = "cont";
}

impl Content {
    /// A draft for `campaign`, or what is wrong with it.
    pub fn draft(campaign: &Campaign, new: NewContent, now: DateTime<Utc>) -> Result<Self> {
        let kind = campaign.campaign_type;
        if !kind.sends_by(new.channel) {
            let message = format!("{} is no channel of the campaign type {kind}", new.channel);
            return Err(Error::invalid("channel", message));
        }
        let content = Self {
            id: Id::new(),
            account_id: campaign.account_id,
            marketing_campaign_id: campaign.id,
            channel: new.channel,
            variant_name: new.variant_name,
            subject: new.subject,
            body: new.body,
            preview_text: new.preview_text,
            media_urls: AsJson(new.media_urls),
            cta_text: new.cta_text,
            cta_url: new.cta_url,
            platform_specific: AsJson(new.platform_specific),
            ai_generated: new.ai_generated,
            status: Draft,
            approved_by: None,
            approved_at: None,
            created_at: now,
            updated_at: now,
        };
        content.validate().map(|()| content)
    }

    /// The same as a draft of another campaign: it has to be approved there.
    pub fn duplicate(&self, campaign: &Campaign) -> Self {
        Self {
            id: Id::new(),
            marketing_campaign_id: campaign.id,
            status: Draft,
            approved_by: None,
            approved_at: None,
            created_at: campaign.created_at,
            updated_at: campaign.created_at,
            ..self.clone()
        }
    }

    /// A draft for the same channel: what the client sent, and the rest as it is here. Without a name it gets the
    /// first letter that is not among `taken`.
    pub fn variant(
        &self,
        mut change: ChangeContent,
        taken: &[String],
        now: DateTime<Utc>,
    ) -> Result<Self> {
        change.variant_name = change.variant_name.or_else(|| free_name(taken));
        let mut variant = Self { id: Id::new(), created_at: now, ..self.clone() };
        variant.change(change, now).map(|()| variant)
    }

    /// Changes what the client sent. It is a draft then: nobody approved the new words.
    pub fn change(&mut self, change: ChangeContent, now: DateTime<Utc>) -> Result<()> {
        set(&mut self.body, change.body);
        set(&mut self.variant_name, change.variant_name);
        set(&mut self.subject, change.subject);
        set(&mut self.preview_text, change.preview_text);
        set(&mut self.media_urls.0, change.media_urls);
        set(&mut self.cta_text, change.cta_text);
        set(&mut self.cta_url, change.cta_url);
        set(&mut self.platform_specific.0, change.platform_specific);
        set(&mut self.ai_generated, change.ai_generated);
        self.status = Draft;
        self.approved_by = None;
        self.approved_at = None;
        self.updated_at = now;
        self.validate()
    }

    /// Takes a step of the review; 422 where the content's state does not allow it.
    pub fn take(&mut self, step: &Step<Status>, actor: Actor) -> Result<()> {
        self.status = step.take(CONTENT, self.status)?;
        if self.status == Approved {
            self.approved_by = actor.user;
            self.approved_at = Some(actor.now);
        }
        self.updated_at = actor.now;
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks
            .length(&self.variant_name, 1, 100, "variant_name")
            .length(&self.subject, usize::from(self.channel == Channel::Email), 255, "subject")
            .length(&self.body, 1, 100_000, "body")
            .length(&self.preview_text, 0, 255, "preview_text")
            .length(&self.cta_text, 0, 100, "cta_text")
            .require(self.cta_url.is_empty() || is_url(&self.cta_url), "cta_url", NO_URL);
        for (at, url) in self.media_urls.iter().enumerate() {
            checks.require(is_url(url), &format!("media_urls[{at}]"), NO_URL);
        }
        checks.finish()
    }
}

/// `A` to `Z`, then `A2` to `Z2`, and so on.
fn free_name(taken: &[String]) -> Option<String> {
    let numbers = std::iter::once(String::new()).chain((2_u64..).map(|it| it.to_string()));
    let mut names =
        numbers.flat_map(|number| ('A'..='Z').map(move |letter| format!("{letter}{number}")));
    names.find(|it| !taken.contains(it))
}

const NO_URL: &str = "must be a URL that begins with https:// or http://";

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |it: char| !it.is_whitespace() && !it.is_control();
    rest.is_some_and(|it| !it.is_empty() && !it.starts_with('/') && it.chars().all(is_plain))
        && text.len() <= 2_048
}
