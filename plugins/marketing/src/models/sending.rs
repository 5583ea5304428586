//! Sendings: a campaign going out, on its launch or on a day of the calendar, and each e-mail and post of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{Campaign, Content, SocialAccount, Subscriber};
use crate::schema::{marketing_deliveries, marketing_sendings, marketing_social_posts};

/// What the launch of a campaign is called among its occasions.
pub const LAUNCH: &str = "launch";

/// An e-mail or a post that could not go out is tried so often.
pub const MOST_ATTEMPTS: i32 = 5;

text_enum! {
    /// How far a sending is.
    pub enum State {
        /// Who gets it is written down.
        Preparing = "preparing",
        /// That is done, and it goes out.
        Sending = "sending",
        Done = "done",
    }
}

text_enum! {
    /// What became of an e-mail or a post.
    pub enum Delivery {
        Pending = "pending",
        /// It is being spoken about: after a crash nobody knows, and it is sent again under the same number.
        Sending = "sending",
        Sent = "sent",
        /// The address does not exist.
        Bounced = "bounced",
        /// The owner of the address called it spam.
        Complained = "complained",
        /// The other side did not take it.
        Failed = "failed",
        /// Nobody wanted it any more when its turn came.
        Skipped = "skipped",
    }
}

/// A campaign going out.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_sendings, treat_none_as_null = true)]
pub struct Sending {
    pub id: Id<Sending>,
    #[serde(skip)]
    pub account_id: Uuid,
    #[serde(rename = "campaign_id")]
    pub marketing_campaign_id: Id<Campaign>,
    /// `launch`, or the entry of the calendar and its day.
    pub occasion: String,
    pub state: State,
    #[serde(skip)]
    pub reached: String,
    #[serde(skip)]
    pub batches: i32,
    pub created_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// One e-mail to one address.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_deliveries, treat_none_as_null = true)]
pub struct Letter {
    /// Also the first part of its `Message-ID`.
    pub id: Id<Letter>,
    #[serde(skip)]
    pub account_id: Uuid,
    #[serde(rename = "campaign_id")]
    pub marketing_campaign_id: Id<Campaign>,
    #[serde(rename = "sending_id")]
    pub marketing_sending_id: Id<Sending>,
    #[serde(rename = "content_id")]
    pub marketing_campaign_content_id: Option<Id<Content>>,
    #[serde(rename = "subscriber_id")]
    pub marketing_email_subscriber_id: Id<Subscriber>,
    pub email: String,
    #[serde(skip)]
    pub batch: i32,
    pub state: Delivery,
    pub attempts: i32,
    /// What the mail server said last.
    pub answer: String,
    pub created_at: DateTime<Utc>,
    pub claimed_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub opened_at: Option<DateTime<Utc>>,
    pub clicked_at: Option<DateTime<Utc>>,
    pub bounced_at: Option<DateTime<Utc>>,
    pub complained_at: Option<DateTime<Utc>>,
    pub unsubscribed_at: Option<DateTime<Utc>>,
}

/// One content on one account of a social platform.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize, JsonSchema)]
#[diesel(table_name = marketing_social_posts, treat_none_as_null = true)]
pub struct Post {
    pub id: Id<Post>,
    #[serde(skip)]
    pub account_id: Uuid,
    #[serde(rename = "campaign_id")]
    pub marketing_campaign_id: Id<Campaign>,
    #[serde(rename = "sending_id")]
    pub marketing_sending_id: Id<Sending>,
    #[serde(rename = "content_id")]
    pub marketing_campaign_content_id: Id<Content>,
    #[serde(rename = "social_account_id")]
    pub marketing_social_account_id: Id<SocialAccount>,
    pub state: Delivery,
    pub attempts: i32,
    /// What the platform calls the post, or why it did not take it.
    pub answer: String,
    pub created_at: DateTime<Utc>,
    pub posted_at: Option<DateTime<Utc>>,
}

impl Identified for Sending {
    const PREFIX: &'static str = "send";
}

impl Identified for Letter {
    const PREFIX: &'static str = "mail";
}

impl Identified for Post {
    const PREFIX: &'static str = "post";
}

impl Sending {
    /// One that has everything before it.
    pub fn new(campaign: &Campaign, occasion: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: Id::new(),
            account_id: campaign.account_id,
            marketing_campaign_id: campaign.id,
            occasion: occasion.to_owned(),
            state: State::Preparing,
            reached: String::new(),
            batches: 0,
            created_at: now,
            completed_at: None,
        }
    }

    /// An e-mail to a subscriber that waits for its batch; one of the variants, the same for an address each time.
    pub fn letter(
        &self,
        contents: &[Id<Content>],
        subscriber: Id<Subscriber>,
        email: &str,
        now: DateTime<Utc>,
    ) -> Letter {
        let sum =
            email.bytes().fold(0_usize, |sum, it| sum.wrapping_mul(31).wrapping_add(it.into()));
        Letter {
            id: Id::new(),
            account_id: self.account_id,
            marketing_campaign_id: self.marketing_campaign_id,
            marketing_sending_id: self.id,
            marketing_campaign_content_id: contents.get(sum % contents.len().max(1)).copied(),
            marketing_email_subscriber_id: subscriber,
            email: email.to_owned(),
            batch: self.batches,
            state: Delivery::Pending,
            attempts: 0,
            answer: String::new(),
            created_at: now,
            claimed_at: None,
            sent_at: None,
            opened_at: None,
            clicked_at: None,
            bounced_at: None,
            complained_at: None,
            unsubscribed_at: None,
        }
    }

    /// A post that waits for its turn.
    pub fn post(
        &self,
        content: Id<Content>,
        social: Id<SocialAccount>,
        now: DateTime<Utc>,
    ) -> Post {
        Post {
            id: Id::new(),
            account_id: self.account_id,
            marketing_campaign_id: self.marketing_campaign_id,
            marketing_sending_id: self.id,
            marketing_campaign_content_id: content,
            marketing_social_account_id: social,
            state: Delivery::Pending,
            attempts: 0,
            answer: String::new(),
            created_at: now,
            posted_at: None,
        }
    }
}

/// What a mail server or a platform said, in at most 500 characters and without control characters.
pub fn said(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(500).collect()
}
