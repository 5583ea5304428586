//! Accounts, users and tokens: who sends a request, and what they may do.
//!
//! A token is shown once, when it is made; the database has its hash. Who a token
//! stands for is remembered for a few seconds, so that a request asks no database.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chrono::Utc;
use diesel::prelude::*;
use powernode_plugin_api::{Db, db::RunError};
use uuid::Uuid;

use crate::db::schema::core_tokens;

mod accounts;
pub mod permissions;
mod principal;
mod secret;
mod tokens;

pub use self::{
    accounts::{Account, AccountError, User},
    principal::{Principal, Scopes},
    secret::Secret,
    tokens::{NewToken, Token, TokenError},
};

/// How long a token's bearer is remembered; so long may another node's revocation go unnoticed.
const REMEMBERED: Duration = Duration::from_secs(3);
/// Tokens that are remembered at most.
const MOST_REMEMBERED: usize = 10_000;
/// How often the times of use are written.
const WRITE_USES: Duration = Duration::from_secs(10);

/// Who sends requests.
pub struct Access {
    core: Db,
    known: RwLock<HashMap<[u8; 32], Known>>,
    used: Mutex<HashMap<Uuid, ()>>,
}

#[derive(Clone)]
struct Known {
    // None: there is no such token.
    principal: Option<Arc<Principal>>,
    until: Instant,
}

/// Why nobody could be identified.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The header is there, and no token that is valid now.
    #[error("the token is not valid: it is unknown, expired or revoked")]
    Invalid,
    /// The header is not `Bearer …`.
    #[error("the Authorization header must be `Bearer <token>`")]
    Malformed,
    /// The tokens cannot be read.
    #[error("cannot read the tokens")]
    Database(#[from] RunError),
}

impl Access {
    /// Reads the core's tables.
    pub fn new(core: Db) -> Self {
        Self { core, known: RwLock::default(), used: Mutex::default() }
    }

    /// The core's tables.
    pub fn core(&self) -> &Db {
        &self.core
    }

    /// Who the `Authorization` header stands for; nobody where there is none.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn identify(
        &self,
        header: Option<&str>,
    ) -> Result<Option<Arc<Principal>>, AccessError> {
        let Some(header) = header else { return Ok(None) };
        let token = header.strip_prefix("Bearer ").ok_or(AccessError::Malformed)?;
        let hash = secret::hash(token.trim());
        let now = Instant::now();
        if let Some(known) = self.remembered(&hash, now) {
            return known.map(Some).ok_or(AccessError::Invalid);
        }
        let principal = self.look_up(hash).await?.map(Arc::new);
        let until = now + REMEMBERED;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, it| it.until > now);
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
        }
        known.insert(hash, Known { principal: principal.clone(), until });
        drop(known);
        if let Some(principal) = &principal {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(principal.token, ());
        }
        principal.map(Some).ok_or(AccessError::Invalid)
    }

    /// Forgets all bearers, so that a change counts from the next request on.
    pub fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Writes when tokens were used, from time to time, until it is dropped.
    pub async fn write_uses(&self) {
        loop {
            tokio::time::sleep(WRITE_USES).await;
            let used =
                std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
            if used.is_empty() {
                continue;
            }
            let ids: Vec<_> = used.into_keys().collect();
            let written = self.core.transaction(move |conn| {
                diesel::update(core_tokens::table.filter(core_tokens::id.eq_any(ids)))
                    .set(core_tokens::last_used_at.eq(Utc::now()))
                    .execute(conn)
                    .map_err(RunError::from)
            });
            if let Err(error) = written.await {
                tracing::debug!("Cannot write when tokens were used: {error}");
            }
        }
    }

    fn remembered(&self, hash: &[u8; 32], now: Instant) -> Option<Option<Arc<Principal>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(hash).filter(|it| it.until > now)?;
        let fresh = |it: &Arc<Principal>| it.expires_at.is_none_or(|it| it > Utc::now());
        Some(found.principal.clone().filter(fresh))
    }

    async fn look_up(&self, hash: [u8; 32]) -> Result<Option<Principal>, AccessError> {
        let row = self.core.read(move |conn| {
            core_tokens::table
                .filter(core_tokens::hash.eq(hex::encode(hash)))
                .filter(core_tokens::revoked_at.is_null())
                .select(principal::Row::as_select())
                .first(conn)
                .optional()
                .map_err(RunError::from)
        });
        Ok(row.await?.and_then(|it| it.into_principal(Utc::now())))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

#[cfg(test)]
mod tests;
