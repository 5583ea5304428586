//! Endpoints: whose, where, and what they want to hear.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::db::{HostConnection, RunError};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Secret, Webhooks, hear,
    secret::{self, Which},
};
use crate::{
    audit::{self, By, Entry},
    db::schema::core_webhooks,
    events::{BadTopic, Pattern},
};

/// Longest address and description, in characters.
const LONGEST: usize = 2_000;
/// Most patterns of one endpoint.
const MOST_TOPICS: usize = 50;
/// Most endpoints of one account, whatever its plan: each event is looked at for each.
const MOST_ENDPOINTS: i64 = 100;
/// How long the secret before a rotation signs too.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// Where an account wants events sent.
#[derive(Clone, Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = core_webhooks)]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub account_id: Uuid,
    /// Where deliveries are sent.
    pub url: String,
    /// What people say of it.
    pub description: String,
    /// Which events: patterns of topics.
    #[schemars(with = "Vec<String>")]
    pub topics: Value,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why it was switched off, where nobody did it by hand.
    pub disabled_reason: Option<String>,
    /// How often it failed in a row.
    pub failures: i64,
    /// How often that stopped it since it answered last.
    #[serde(skip)]
    pub trips: i64,
    /// Until when it is left alone, since it failed too often.
    pub paused_until: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation signs too.
    pub previous_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// An endpoint as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Where deliveries are sent.
    pub url: String,
    /// What people say of it.
    pub description: String,
    /// Which events: patterns of topics.
    pub topics: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
}

/// Why an endpoint is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The account has no such endpoint.
    #[error("there is no such webhook")]
    Unknown,
    /// Something of it cannot be.
    #[error("{field}: {fault}")]
    Field {
        /// Which part.
        field: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// A pattern is none.
    #[error(transparent)]
    Topic(#[from] BadTopic),
    /// The account has too many.
    #[error("an account has {MOST_ENDPOINTS} webhooks at most")]
    Many,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The database.
    #[error("cannot change the webhooks")]
    Database(#[from] RunError),
}

impl From<diesel::result::Error> for WebhookError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Webhooks {
    /// The endpoints of an account, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`WebhookError::Database`].
    pub async fn endpoints(&self, account: Uuid) -> Result<Vec<Endpoint>, WebhookError> {
        let load = move |conn: &mut HostConnection| {
            let own = core_webhooks::table.filter(core_webhooks::account_id.eq(account));
            Ok(own.order(core_webhooks::id).select(Endpoint::as_select()).load(conn)?)
        };
        self.core.read(load).await
    }

    /// One endpoint of an account.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn endpoint(&self, account: Uuid, id: Uuid) -> Result<Endpoint, WebhookError> {
        self.core.read(move |conn| find(conn, account, id)).await
    }

    /// Makes an endpoint, and its secret, which is answered this once.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn create(
        &self,
        account: Uuid,
        new: NewEndpoint,
        by: By,
    ) -> Result<(Endpoint, Secret), WebhookError> {
        let new = self.checked(new)?;
        let made = Secret::generate().map_err(|_| WebhookError::NoRandomness)?;
        let (key, kept) = (self.key.clone(), made.clone());
        let endpoint = self.core.transaction(move |conn| {
            let own = core_webhooks::table.filter(core_webhooks::account_id.eq(account));
            if own.count().get_result::<i64>(conn)? >= MOST_ENDPOINTS {
                return Err(WebhookError::Many);
            }
            let endpoint: Endpoint = insert_into(core_webhooks::table)
                .values((
                    core_webhooks::id.eq(Uuid::now_v7()),
                    core_webhooks::account_id.eq(account),
                    wanted(&new),
                    core_webhooks::created_at.eq(by.at),
                    core_webhooks::updated_at.eq(by.at),
                ))
                .returning(Endpoint::as_returning())
                .get_result(conn)?;
            secret::keep(conn, &key, endpoint.id, Which::Current, &kept, by.at)?;
            hear(conn, by.at)?;
            let entry = Entry::new("webhook.create", subject(endpoint.id));
            audit::append(conn, &by, entry.with_after(shown(&endpoint)))?;
            Ok(endpoint)
        });
        Ok((endpoint.await?, made))
    }

    /// Makes an endpoint as `new` says; one that is switched on begins anew.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn change(
        &self,
        account: Uuid,
        id: Uuid,
        new: NewEndpoint,
        by: By,
    ) -> Result<Endpoint, WebhookError> {
        let new = self.checked(new)?;
        let change = move |conn: &mut HostConnection| {
            let before = find(conn, account, id)?;
            let endpoint: Endpoint = diesel::update(core_webhooks::table.find(id))
                .set((
                    wanted(&new),
                    core_webhooks::failures.eq(0),
                    core_webhooks::trips.eq(0),
                    core_webhooks::paused_until.eq(None::<DateTime<Utc>>),
                    core_webhooks::disabled_reason.eq(None::<String>),
                    core_webhooks::updated_at.eq(by.at),
                ))
                .returning(Endpoint::as_returning())
                .get_result(conn)?;
            let entry = Entry::new("webhook.change", subject(id))
                .with_before(shown(&before))
                .with_after(shown(&endpoint));
            audit::append(conn, &by, entry)?;
            Ok(endpoint)
        };
        self.core.transaction(change).await
    }

    /// Removes an endpoint with its deliveries; what was not sent is not sent any more.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn remove(&self, account: Uuid, id: Uuid, by: By) -> Result<Endpoint, WebhookError> {
        let remove = move |conn: &mut HostConnection| {
            let before = find(conn, account, id)?;
            diesel::delete(core_webhooks::table.find(id)).execute(conn)?;
            secret::forget(conn, id)?;
            hear(conn, by.at)?;
            let entry = Entry::new("webhook.remove", subject(id)).with_before(shown(&before));
            audit::append(conn, &by, entry)?;
            Ok(before)
        };
        self.core.transaction(remove).await
    }

    /// Gives an endpoint another secret, which is answered this once; the one before signs too for a day.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub async fn rotate(
        &self,
        account: Uuid,
        id: Uuid,
        by: By,
    ) -> Result<(Endpoint, Secret), WebhookError> {
        let made = Secret::generate().map_err(|_| WebhookError::NoRandomness)?;
        let (key, kept) = (self.key.clone(), made.clone());
        let rotate = move |conn: &mut HostConnection| {
            find(conn, account, id)?;
            let before = secret::find(conn, &key, id, Which::Current)?;
            if let Some(before) = &before {
                secret::keep(conn, &key, id, Which::Previous, before, by.at)?;
            }
            secret::keep(conn, &key, id, Which::Current, &kept, by.at)?;
            let until = before.map(|_| by.at + OVERLAP);
            let endpoint: Endpoint = diesel::update(core_webhooks::table.find(id))
                .set((core_webhooks::previous_until.eq(until), core_webhooks::updated_at.eq(by.at)))
                .returning(Endpoint::as_returning())
                .get_result(conn)?;
            audit::append(conn, &by, Entry::new("webhook.rotate", subject(id)))?;
            Ok::<_, WebhookError>(endpoint)
        };
        Ok((self.core.transaction(rotate).await?, made))
    }

    /// What somebody asks for, as far as it can be.
    fn checked(&self, new: NewEndpoint) -> Result<NewEndpoint, WebhookError> {
        let fault = |field, fault: &str| WebhookError::Field { field, fault: fault.to_owned() };
        if new.description.chars().count() > LONGEST || new.description.contains('\0') {
            return Err(fault("description", "must have at most 2000 characters, and no NUL"));
        }
        if new.url.chars().count() > LONGEST {
            return Err(fault("url", "must have at most 2000 characters"));
        }
        let url = Url::parse(new.url.trim()).ok();
        let url = url.filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
        let url = url.ok_or_else(|| fault("url", "must be an address, `https://…`"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("url", "must hold no password: deliveries are signed"));
        }
        self.egress.targets().check(&url).map_err(|error| fault("url", &error.to_string()))?;
        if url.scheme() == "http" && !self.egress.is_private(&url) {
            return Err(fault("url", "must begin with `https://`: what is sent is not for others"));
        }
        if new.topics.is_empty() || new.topics.len() > MOST_TOPICS {
            return Err(fault("topics", "must name 1 to 50 patterns of topics"));
        }
        for topic in &new.topics {
            Pattern::parse(topic)?;
        }
        Ok(NewEndpoint { url: url.into(), ..new })
    }
}

/// Whether there is any endpoint.
pub(super) fn any(conn: &mut HostConnection) -> QueryResult<bool> {
    let one = core_webhooks::table.select(core_webhooks::id).first::<Uuid>(conn).optional()?;
    Ok(one.is_some())
}

pub(super) fn find(
    conn: &mut HostConnection,
    account: Uuid,
    id: Uuid,
) -> Result<Endpoint, WebhookError> {
    let own = core_webhooks::table.find(id).filter(core_webhooks::account_id.eq(account));
    let found = own.select(Endpoint::as_select()).first(conn).optional()?;
    found.ok_or(WebhookError::Unknown)
}

type Wanted = (
    diesel::dsl::Eq<core_webhooks::url, String>,
    diesel::dsl::Eq<core_webhooks::description, String>,
    diesel::dsl::Eq<core_webhooks::topics, Value>,
    diesel::dsl::Eq<core_webhooks::enabled, bool>,
);

fn wanted(new: &NewEndpoint) -> Wanted {
    (
        core_webhooks::url.eq(new.url.clone()),
        core_webhooks::description.eq(new.description.clone()),
        core_webhooks::topics.eq(json!(new.topics)),
        core_webhooks::enabled.eq(new.enabled),
    )
}

pub(super) fn subject(id: Uuid) -> String {
    format!("webhook/{id}")
}

fn shown(endpoint: &Endpoint) -> Value {
    let Endpoint { account_id, url, description, topics, enabled, .. } = endpoint;
    json!({ "account_id": account_id, "url": url, "description": description, "topics": topics, "enabled": enabled })
}
