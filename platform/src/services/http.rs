//! Requests of one extension to servers elsewhere, and to this platform.

use std::{collections::BTreeSet, fmt, time::Duration};

use chrono::Utc;
use diesel::prelude::*;
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{RSlice, RStr, RString},
    client::{HttpAnswer, RawHttp},
    error::{DENIED, FAILED, TIMED_OUT, TOO_LARGE, UNAVAILABLE},
    http::Header,
};
use powernode_plugin_api::{
    Db,
    db::RunError,
    host::{HttpHead, TokenAsked, TokenGiven},
};

use super::{Failure, answer};
use crate::{
    access::Issuer,
    db::schema::core_accounts,
    egress::{Answer, Egress, EgressError, Outgoing},
};

/// The HTTP client of one extension.
pub struct Http {
    slug: String,
    egress: Egress,
    core: Db,
    issuer: Issuer,
    permissions: BTreeSet<String>,
}

impl Http {
    /// The client of the extension with that slug, whose manifest names these permissions.
    pub fn new(
        slug: &str,
        egress: Egress,
        core: Db,
        issuer: Issuer,
        permissions: BTreeSet<String>,
    ) -> Self {
        Self { slug: slug.to_owned(), egress, core, issuer, permissions }
    }
}

impl RawHttp for Http {
    fn send(&self, head: RStr<'_>, body: RSlice<'_, u8>) -> PFuture<Res<HttpAnswer>> {
        let head = serde_json::from_str::<HttpHead>(head.as_str());
        let (egress, body) = (self.egress.clone(), body.as_slice().to_vec());
        answer(async move {
            let head = head.map_err(|error| {
                AbiError::failed(format!("the request's head cannot be read: {error}"))
            })?;
            let HttpHead { method, url, headers, timeout_ms, max_bytes, redirects } = head;
            let timeout = timeout_ms.map(Duration::from_millis);
            let asked =
                Outgoing { method, url, headers, body, timeout, max_answer: max_bytes, redirects };
            Ok(crossing(egress.send(asked).await?))
        })
    }

    fn token(&self, asked: RStr<'_>) -> PFuture<Res<RString>> {
        let asked = serde_json::from_str::<TokenAsked>(asked.as_str());
        let (core, issuer) = (self.core.clone(), self.issuer.clone());
        let (slug, permissions) = (self.slug.clone(), self.permissions.clone());
        answer(async move {
            let TokenAsked { account_id, permissions: wanted, lifetime_ms } =
                asked.map_err(|error| AbiError::failed(error.to_string()))?;
            let denied = |text: String| Failure::from(AbiError::new(DENIED, text));
            if let Some(other) = wanted.iter().find(|it| !permissions.contains(*it)) {
                return Err(denied(format!("the manifest of `{slug}` does not name `{other}`")));
            }
            let known = core.read(move |conn| {
                let found = core_accounts::table.find(account_id).count();
                found.get_result::<i64>(conn).map_err(RunError::from)
            });
            if known.await.map_err(diesel::result::Error::from)? == 0 {
                return Err(denied(format!("there is no account `{account_id}`")));
            }
            let life = Duration::from_millis(lifetime_ms);
            let issued = issuer.issue(&slug, account_id, wanted, life, Utc::now());
            let issued = issued.map_err(AbiError::failed)?;
            let given = TokenGiven { token: issued.token, expires_at: issued.expires_at };
            let text = serde_json::to_string(&given);
            Ok(text.map_err(|error| AbiError::failed(error.to_string()))?.into())
        })
    }
}

fn crossing(answer: Answer) -> HttpAnswer {
    let Answer { status, headers, body } = answer;
    let header =
        |(name, value): (String, String)| Header { name: name.into(), value: value.into() };
    HttpAnswer { status, headers: headers.into_iter().map(header).collect(), body: body.into() }
}

impl From<EgressError> for Failure {
    fn from(error: EgressError) -> Self {
        let code = match error {
            EgressError::Refused(_) => DENIED,
            EgressError::TimedOut { .. } => TIMED_OUT,
            EgressError::TooLarge { .. } => TOO_LARGE,
            EgressError::Unreachable { .. } => UNAVAILABLE,
            EgressError::Invalid(_) => FAILED,
        };
        Self(AbiError::new(code, error.to_string()))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http of `{}`", self.slug)
    }
}
