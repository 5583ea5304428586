//! E-mail: what an installation sends it with, what a letter looks like, and how it is handed over.

use std::{path::PathBuf, time::Duration};

use chrono::TimeDelta;
use lettre::message::Mailbox;
use powernode_plugin_api::prelude::*;
use serde::Deserialize;

mod carrier;
mod letter;
mod text;

pub use self::{
    carrier::{Carrier, Connection, Verdict},
    letter::{Draft, Kind, compose},
    text::urls,
};

/// The secret that holds the mail server's password.
pub const PASSWORD: &str = "smtp_password";

/// What the extension's section of the platform's settings says of e-mail.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// None: no e-mail is sent, and what would send some is refused.
    transport: Option<Transport>,
    smtp: Smtp,
    /// Where files go, one for each e-mail.
    mail_folder: Option<PathBuf>,
    /// `Shop <news@example.com>`
    from: Option<String>,
    /// Where people reach the platform: what links in e-mails begin with.
    public_url: Option<String>,
    batch_size: Option<u16>,
    emails_per_second: Option<u32>,
    confirm_reminder_seconds: Option<u32>,
    retry_seconds: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Transport {
    Smtp,
    File,
}

/// A mail server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Smtp {
    pub host: String,
    pub port: Option<u16>,
    pub tls: Tls,
    /// Without one nobody logs in; the password is a secret.
    pub username: Option<String>,
}

/// How the conversation is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// It begins in clear, and goes on encrypted or not at all.
    #[default]
    Starttls,
    /// From the first byte.
    #[serde(rename = "tls")]
    Wrapped,
    /// Never: for a server on the same machine.
    None,
}

/// What e-mail is sent with.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: Mailbox,
    /// Without a slash at its end.
    pub public_url: String,
    pub carrier: Carrier,
    /// E-mails of one job.
    pub batch: u16,
    /// Between two e-mails.
    pub gap: Duration,
    /// Between two requests to confirm.
    pub reminder: TimeDelta,
    /// Until an address is tried again that the mail server did not take.
    pub retry: TimeDelta,
}

impl Mail {
    /// What the settings say; none where they say nothing of e-mail. Names what is missing or wrong.
    pub fn new(settings: &Settings) -> Result<Option<Self>> {
        let Some(transport) = settings.transport else { return Ok(None) };
        let carrier = match transport {
            Transport::Smtp => {
                if settings.smtp.host.is_empty() {
                    return Err(wrong("smtp.host", "is missing: transport = \"smtp\" asks for it"));
                }
                Carrier::Smtp(settings.smtp.clone())
            }
            Transport::File => {
                let folder = settings.mail_folder.clone();
                let missing =
                    || wrong("mail_folder", "is missing: transport = \"file\" asks for it");
                Carrier::File(folder.ok_or_else(missing)?)
            }
        };
        let from = settings.from.as_deref().ok_or_else(|| wrong("from", "is missing"))?;
        let from = from
            .parse()
            .map_err(|_| wrong("from", "is no address such as `Shop <news@example.com>`"))?;
        let public_url = settings.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
        if !public_url.starts_with("https://") && !public_url.starts_with("http://") {
            return Err(wrong("public_url", "must say where people reach the platform: https://…"));
        }
        let batch = settings.batch_size.unwrap_or(100);
        if !(1..=1_000).contains(&batch) {
            return Err(wrong("batch_size", "must be from 1 to 1000"));
        }
        let per_second = settings.emails_per_second.unwrap_or(0);
        Ok(Some(Self {
            from,
            public_url: public_url.to_owned(),
            carrier,
            batch,
            gap: Duration::from_secs(1).checked_div(per_second).unwrap_or_default(),
            reminder: TimeDelta::seconds(
                settings.confirm_reminder_seconds.unwrap_or(172_800).into(),
            ),
            retry: TimeDelta::seconds(settings.retry_seconds.unwrap_or(900).into()),
        }))
    }

    /// The number of a message: the same however often it is sent.
    pub fn message_id(&self, number: &str) -> String {
        format!("<{number}@{}>", self.from.email.domain())
    }
}

fn wrong(key: &str, what: &str) -> Error {
    Error::internal(format!("setting `extension.marketing.{key}` {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(settings: Value, expected: &str) {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let found = match Mail::new(&settings) {
            Ok(mail) => mail.map_or("none".to_owned(), |it| format!("{} {:?}", it.from, it.gap)),
            Err(error) => {
                std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
            }
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn settings_say_how_or_what_is_missing() {
        let of = |more: Value| {
            let mut all = json!({ "transport": "smtp", "smtp": { "host": "localhost" }, "from": "A <a@example.com>",
                "public_url": "https://example.com/" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        check(json!({}), "none");
        check(of(json!({ "emails_per_second": 4 })), "A <a@example.com> 250ms");
        check(of(json!({ "smtp": {} })), "smtp.host");
        check(of(json!({ "transport": "file" })), "mail_folder");
        check(of(json!({ "from": "nobody" })), "from");
        check(of(json!({ "public_url": "example.com" })), "public_url");
        check(of(json!({ "batch_size": 0 })), "batch_size");
    }
}
