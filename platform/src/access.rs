//! Accounts, users and tokens: who sends a request, and what they may do.
//!
//! A token is shown once, when it is made; the database has its hash. Who a token
//! stands for is remembered for a few seconds, so that a request asks no database.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use diesel::prelude::*;
use powernode_plugin_api::{Db, db::RunError};
use uuid::Uuid;

use crate::db::schema::core_tokens;

mod accounts;
mod clock;
mod issued;
pub mod permissions;
mod principal;
mod secret;
mod tokens;

pub use self::{
    accounts::{Account, AccountError, User},
    clock::Clock,
    issued::{IssuedToken, Issuer},
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
    clock: Clock,
    known: RwLock<HashMap<[u8; 32], Known>>,
    used: Mutex<HashSet<Uuid>>,
    // Counts what was forgotten, so that nothing is remembered that was read before.
    forgotten: AtomicU64,
    issuer: Option<Issuer>,
}

#[derive(Clone)]
struct Known {
    principal: Arc<Principal>,
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
        Self {
            core,
            clock: Clock::default(),
            known: RwLock::default(),
            used: Mutex::default(),
            forgotten: AtomicU64::new(0),
            issuer: None,
        }
    }

    /// And those to whom `issuer` gave tokens.
    pub fn with_issuer(self, issuer: Issuer) -> Self {
        Self { issuer: Some(issuer), ..self }
    }

    /// By another clock than the system's.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The clock by which tokens end.
    pub fn clock(&self) -> &Clock {
        &self.clock
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
        let (scheme, token) = header.split_once(' ').ok_or(AccessError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(AccessError::Malformed);
        }
        let token = token.trim();
        if Issuer::wrote(token) {
            let issuer = self.issuer.as_ref().ok_or(AccessError::Invalid)?;
            let principal = issuer.open(token, self.clock.now()).ok_or(AccessError::Invalid)?;
            return Ok(Some(Arc::new(principal)));
        }
        let hash = secret::hash(token);
        let now = self.clock.at(Instant::now());
        if let Some(principal) = self.remembered(&hash, now) {
            return Ok(Some(principal));
        }
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        // Unknown tokens are not remembered: a flood of them must not push out those that are known.
        let principal = self.look_up(hash).await?.map(Arc::new).ok_or(AccessError::Invalid)?;
        self.remember(hash, principal.clone(), now, forgotten);
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(principal.token);
        Ok(Some(principal))
    }

    /// Forgets all bearers, so that a change counts from the next request on.
    pub fn forget(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        known.clear();
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
            let ids: Vec<_> = used.into_iter().collect();
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

    fn remembered(&self, hash: &[u8; 32], now: Instant) -> Option<Arc<Principal>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let principal = &known.get(hash).filter(|it| it.until > now)?.principal;
        // One that expired meanwhile is looked up again, and found no more.
        let is_fresh = principal.expires_at.is_none_or(|it| it > self.clock.now());
        is_fresh.then(|| principal.clone())
    }

    /// Remembers a bearer, unless something was forgotten since it was read.
    fn remember(&self, hash: [u8; 32], principal: Arc<Principal>, now: Instant, forgotten: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if self.forgotten.load(Ordering::SeqCst) != forgotten {
            return;
        }
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, it| it.until > now);
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
        }
        known.insert(hash, Known { principal, until: now + REMEMBERED });
    }

    async fn look_up(&self, hash: [u8; 32]) -> Result<Option<Principal>, AccessError> {
        let now = self.clock.now();
        let row = self.core.read(move |conn| {
            core_tokens::table
                .filter(core_tokens::hash.eq(hex::encode(hash)))
                .filter(core_tokens::revoked_at.is_null())
                .select(principal::Row::as_select())
                .first(conn)
                .optional()
                .map_err(RunError::from)
        });
        Ok(row.await?.and_then(|it| it.into_principal(now)))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

#[cfg(test)]
mod tests;
