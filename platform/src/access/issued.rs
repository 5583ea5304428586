//! Tokens that extensions get of the platform, to ask its API: void after some minutes, and nowhere kept.
//!
//! `pnx_<base64 of the claims, JSON>.<base64 of HMAC-SHA-256 over that text>`. They are not revoked: an extension's
//! tokens are void while its gates are closed, and end soon.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::{
    digest::{SHA256, digest},
    hmac,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Principal, Scopes};

const MARK: &str = "pnx_";
/// Longest token, in letters: what is longer is not even decoded.
const LONGEST: usize = 8 << 10;
/// How long a token is good for at most.
const LONGEST_LIFE: Duration = Duration::from_secs(15 * 60);

/// Makes tokens for extensions, and reads them.
#[derive(Clone)]
pub struct Issuer(hmac::Key);

/// A token that was made.
#[derive(Clone)]
pub struct IssuedToken {
    /// What stands behind `Bearer`.
    pub token: String,
    /// When it is void.
    pub expires_at: DateTime<Utc>,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    extension: String,
    account: Uuid,
    scopes: Vec<String>,
    /// Seconds since 1970.
    until: i64,
}

impl Issuer {
    /// Tokens that are signed with this key.
    pub fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// A token for the extension with that slug, in one account and with these permissions; it is good for `life`, and
    /// for 15 minutes at most.
    ///
    /// # Errors
    ///
    /// A scope that is none.
    pub fn issue(
        &self,
        slug: &str,
        account: Uuid,
        scopes: Vec<String>,
        life: Duration,
        now: DateTime<Utc>,
    ) -> Result<IssuedToken, String> {
        let scopes = Scopes::new(scopes)?.list().to_vec();
        let expires_at = now + life.min(LONGEST_LIFE);
        let until = expires_at.timestamp();
        let claims = Claims { extension: slug.to_owned(), account, scopes, until };
        let claims = serde_json::to_vec(&claims).map_err(|error| error.to_string())?;
        let text = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(claims));
        let seal = hmac::sign(&self.0, text.as_bytes());
        let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(seal));
        Ok(IssuedToken { token, expires_at: DateTime::from_timestamp(until, 0).unwrap_or(now) })
    }

    /// Whether a token looks like one of these.
    pub(super) fn wrote(token: &str) -> bool {
        token.starts_with(MARK)
    }

    /// Who bears a token; nobody, where it was not made here, was changed, or is void.
    pub(super) fn open(&self, token: &str, now: DateTime<Utc>) -> Option<Principal> {
        let (text, seal) = token.split_once('.').filter(|_| token.len() <= LONGEST)?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        hmac::verify(&self.0, text.as_bytes(), &seal).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?;
        let Claims { extension, account, scopes, until } = serde_json::from_slice(&claims).ok()?;
        let expires_at = DateTime::from_timestamp(until, 0).filter(|it| *it > now)?;
        let scopes = Scopes::new(scopes).ok()?;
        // One sender for all limits, however many tokens it asks for.
        let sender = digest(&SHA256, format!("{extension} {account}").as_bytes());
        let token = Uuid::from_slice(sender.as_ref().get(..16)?).ok()?;
        Some(Principal::of_extension(extension, account, token, scopes, expires_at))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token until {}", self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Uuid = Uuid::from_u128(7);

    fn issuer(key: &[u8]) -> Issuer {
        Issuer::new(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn issued(life: u64) -> IssuedToken {
        let scopes = vec!["notes.read".to_owned()];
        issuer(b"a").issue("shop", ACCOUNT, scopes, Duration::from_secs(life), at(100)).unwrap()
    }

    #[test]
    fn a_token_is_its_extension_s_until_it_ends() {
        let IssuedToken { token, expires_at } = issued(60);
        assert_eq!(expires_at, at(160));
        let bearer = issuer(b"a").open(&token, at(159)).unwrap();
        assert_eq!((bearer.name().as_str(), bearer.account), ("extension:shop", ACCOUNT));
        assert!(bearer.may("notes.read") && !bearer.may("notes.write") && !bearer.is_admin());
        assert!(issuer(b"a").open(&token, at(160)).is_none());
    }

    #[test]
    fn nobody_asks_for_longer_than_a_quarter_of_an_hour() {
        assert_eq!(issued(1_000_000).expires_at, at(1_000));
    }

    #[test]
    fn another_key_or_a_change_anywhere_makes_it_void() {
        let token = issued(60).token;
        assert!(issuer(b"b").open(&token, at(100)).is_none());
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            assert!(issuer(b"a").open(&changed, at(100)).is_none(), "{changed}");
        }
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let asked = issuer(b"a").issue("shop", ACCOUNT, vec!["No".into()], Duration::ZERO, at(1));
        assert_eq!(asked.unwrap_err(), "No");
    }
}
