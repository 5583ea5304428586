//! `mailer`: sending e-mail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, contract::contract};
use crate::error::Result;

/// An address, with a name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// `ada@example.com`
    pub email: String,
    /// `Ada`
    #[serde(default)]
    pub name: Option<String>,
}

/// A mail to one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The account that it is sent for.
    #[serde(default)]
    pub account_id: Option<Uuid>,
    /// The same for the same mail: one that comes twice is sent once, where the provider can tell.
    pub key: String,
    /// Who sends it; none is the platform.
    #[serde(default)]
    pub from: Option<Mailbox>,
    /// Who gets it.
    pub to: Mailbox,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    #[serde(default)]
    pub html: Option<String>,
    /// More headers: `List-Unsubscribe`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    /// Whether the next server took it.
    pub accepted: bool,
    /// Its `Message-ID`.
    #[serde(default)]
    pub id: Option<String>,
    /// Why it was not taken, and never will be.
    #[serde(default)]
    pub reason: Option<String>,
}

contract! {
    /// Sending e-mail.
    ///
    /// Where nobody provides it, a mail is not accepted, and the answer says so. An error means: again later.
    trait Mailer {
        /// Sends a mail to one person.
        async fn send(mail: Mail) -> Mailed;
    }
}

/// Sends e-mail.
#[derive(Debug)]
pub struct AskMailer(pub(crate) Ask);

impl AskMailer {
    /// Sends a mail to one person.
    ///
    /// # Errors
    ///
    /// The provider's, when a later try may succeed.
    pub async fn send(&self, mail: &Mail) -> Result<Mailed> {
        let mailed = self.0.ask("mailer", "send", mail).await?;
        let nobody = || "nobody sends mail: no extension provides `mailer`".to_owned();
        Ok(mailed.unwrap_or_else(|| Mailed { accepted: false, id: None, reason: Some(nobody()) }))
    }
}
