//! `notifications`: telling people something, wherever they look.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, contract::contract};

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The account.
    pub account_id: Uuid,
    /// One of its users; none is all of them.
    #[serde(default)]
    pub user_id: Option<Uuid>,
    /// What kind it is, so that people may choose: `marketing.campaign_sent`.
    pub kind: String,
    /// The same for the same notification.
    pub key: String,
    /// One line.
    pub title: String,
    /// More of it.
    #[serde(default)]
    pub body: Option<String>,
    /// Where to look: a path of the pages.
    #[serde(default)]
    pub link: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// Whether it was passed on.
    pub delivered: bool,
    /// Why not.
    #[serde(default)]
    pub reason: Option<String>,
}

contract! {
    /// Telling people something, wherever they look.
    ///
    /// Where nobody provides it, nobody is told, and the answer says so; where the provider fails, that is logged, and
    /// the caller goes on.
    trait Notifications {
        /// Tells it.
        async fn notify(notification: Notification) -> Notified;
    }
}

/// Tells people something.
#[derive(Debug)]
pub struct AskNotifications(pub(crate) Ask);

impl AskNotifications {
    /// Tells it.
    pub async fn notify(&self, notification: &Notification) -> Notified {
        let not = |reason: &str| Notified { delivered: false, reason: Some(reason.to_owned()) };
        match self.0.ask("notifications", "notify", notification).await {
            Ok(notified) => notified.unwrap_or_else(|| not("nobody passes notifications on")),
            Err(error) => {
                let kind = &notification.kind;
                tracing::error!(kind, "what provides `notifications` fails: {error}");
                not("what passes notifications on failed")
            }
        }
    }
}
