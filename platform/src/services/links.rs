//! Links that somebody without a login may follow: what they say, signed with a key of the extension's.
//!
//! The key is derived from the master key by HKDF, the signature is HMAC-SHA-256. A link is the base64 of
//!
//! | bytes | |
//! |---|---|
//! | 1 | the form's number, 1 |
//! | 16 | the account |
//! | 8 | when it expires, in microseconds since 1970 UTC, big-endian; 0: never |
//! | up to 200 | what it says, as text |
//! | 32 | the signature over the purpose's length, the purpose and all of the above |

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat, Utc};
use powernode_abi::{
    AbiError, Res,
    abi_stable::std_types::{RStr, RString},
    error::TOO_LARGE,
    host::{Id, RawLinks},
};
use ring::hmac;
use uuid::Uuid;

use super::MasterKey;

const FORM: u8 = 1;
/// Longest purpose, in bytes; its length is one byte.
const LONGEST_PURPOSE: usize = 64;
/// Longest text of a link, in bytes.
const LONGEST_CLAIM: usize = 200;
/// Longest link, in letters; what is longer is not even decoded.
const LONGEST: usize = 400;
const SIGNATURE: usize = 32;

/// The key of one extension's links.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

/// A link that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose it is.
    pub account: Uuid,
    /// What it says.
    pub claim: String,
}

/// Why a link is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not this extension's, not for this purpose, or not as it was signed.
    #[error("this link is not valid")]
    Invalid,
    /// It was good until then.
    #[error("this link expired at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true))]
    Expired {
        /// Whose it was.
        account: Uuid,
        /// Until when it was good.
        at: DateTime<Utc>,
    },
}

impl LinkKey {
    /// The key of the extension with that slug.
    pub fn new(master: &MasterKey, slug: &str) -> Self {
        let info = [slug.as_bytes()];
        let key = master.links().expand(&info, hmac::HMAC_SHA256);
        // It fails for keys of several kilobytes alone; the empty key then signs nothing that opens.
        Self(key.map_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, &[]), hmac::Key::from))
    }

    /// Reads a link that was signed for this purpose.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub fn open(&self, purpose: &str, link: &str, now: DateTime<Utc>) -> Result<Link, LinkError> {
        if link.len() > LONGEST {
            return Err(LinkError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(link).map_err(|_| LinkError::Invalid)?;
        let (content, signature) = bytes
            .len()
            .checked_sub(SIGNATURE)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(LinkError::Invalid)?;
        hmac::verify(&self.0, &signed(purpose, content), signature)
            .map_err(|_| LinkError::Invalid)?;
        let ([FORM], rest) = content.split_first_chunk().ok_or(LinkError::Invalid)? else {
            return Err(LinkError::Invalid);
        };
        let (account, rest) = rest.split_first_chunk().ok_or(LinkError::Invalid)?;
        let (expires, claim) = rest.split_first_chunk().ok_or(LinkError::Invalid)?;
        let account = Uuid::from_bytes(*account);
        let expires = i64::from_be_bytes(*expires);
        let at = DateTime::from_timestamp_micros(expires).ok_or(LinkError::Invalid)?;
        if expires != 0 && at <= now {
            return Err(LinkError::Expired { account, at });
        }
        let claim = String::from_utf8(claim.to_vec()).map_err(|_| LinkError::Invalid)?;
        Ok(Link { account, claim })
    }
}

impl RawLinks for LinkKey {
    fn sign(&self, purpose: RStr<'_>, account: Id, claim: RStr<'_>, expires: i64) -> Res<RString> {
        if purpose.len() > LONGEST_PURPOSE || claim.len() > LONGEST_CLAIM {
            let message = format!(
                "a link's purpose has at most {LONGEST_PURPOSE} bytes and its text {LONGEST_CLAIM}; they have {} and {}",
                purpose.len(),
                claim.len(),
            );
            return Err(AbiError::new(TOO_LARGE, message)).into();
        }
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&account.0);
        bytes.extend_from_slice(&expires.to_be_bytes());
        bytes.extend_from_slice(claim.as_bytes());
        let signature = hmac::sign(&self.0, &signed(purpose.as_str(), &bytes));
        bytes.extend_from_slice(signature.as_ref());
        Ok(RString::from(URL_SAFE_NO_PAD.encode(bytes))).into()
    }
}

/// What the signature is over.
fn signed(purpose: &str, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(purpose.len()).unwrap_or(u8::MAX);
    [&[length], purpose.as_bytes(), content].concat()
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Uuid = Uuid::from_u128(7);

    fn key(master: &str, slug: &str) -> LinkKey {
        LinkKey::new(&MasterKey::parse(&master.repeat(32)).unwrap(), slug)
    }

    fn sign(purpose: &str, claim: &str, expires: i64) -> String {
        let account = Id(ACCOUNT.into_bytes());
        key("ab", "shop").sign(purpose.into(), account, claim.into(), expires).unwrap().into()
    }

    fn at(microseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(microseconds).unwrap()
    }

    fn said(found: Result<Link, LinkError>) -> String {
        found.map_or_else(|error| error.to_string(), |it| it.claim)
    }

    #[test]
    fn a_link_says_what_was_signed_until_it_expires() {
        let link = sign("confirm", "subr_1", 2_000_000);
        let open = |now| key("ab", "shop").open("confirm", &link, at(now));
        let whole = Link { account: ACCOUNT, claim: "subr_1".to_owned() };
        assert_eq!(open(1_999_999), Ok(whole));
        assert_eq!(
            open(2_000_000),
            Err(LinkError::Expired { account: ACCOUNT, at: at(2_000_000) })
        );
        assert_eq!(
            said(key("ab", "shop").open("stay", &sign("stay", "", 0), at(i64::MAX / 2))),
            ""
        );
        assert!(link.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it)), "{link}");
    }

    #[test]
    fn another_purpose_extension_or_master_key_opens_nothing() {
        let link = sign("confirm", "subr_1", 0);
        for (master, slug, purpose) in [
            ("ab", "shop", "unsubscribe"),
            ("ab", "shop", ""),
            ("ab", "shop2", "confirm"),
            ("ac", "shop", "confirm"),
        ] {
            let found = key(master, slug).open(purpose, &link, at(1));
            assert_eq!(found, Err(LinkError::Invalid), "{master} {slug} {purpose}");
        }
        assert_eq!(said(key("ab", "shop").open("confirm", &link, at(1))), "subr_1");
    }

    #[test]
    fn a_link_that_was_changed_anywhere_is_void() {
        let link = sign("confirm", "subr_1", 0);
        let opens = |link: &str| key("ab", "shop").open("confirm", link, at(1)).is_ok();
        for place in 0..link.len() {
            for other in ["A", "_"].into_iter().filter(|it| link[place..=place] != **it) {
                let changed = format!("{}{other}{}", &link[..place], &link[place + 1..]);
                assert!(!opens(&changed), "{changed}");
            }
            assert!(!opens(&link[..place]), "cut at {place}");
        }
        assert!(!opens(&format!("{link}A")) && !opens(&"A".repeat(500)) && opens(&link));
    }

    #[test]
    fn what_is_too_long_is_not_signed() {
        let sign = |purpose: &str, claim: &str| {
            let account = Id(ACCOUNT.into_bytes());
            key("ab", "shop").sign(purpose.into(), account, claim.into(), 0).is_ok()
        };
        assert!(sign(&"p".repeat(64), &"c".repeat(200)));
        assert!(!sign(&"p".repeat(65), "") && !sign("", &"c".repeat(201)));
        let longest = sign_longest();
        assert!(longest.len() <= LONGEST, "{}", longest.len());
    }

    fn sign_longest() -> String {
        sign("", &"c".repeat(200), 0)
    }
}
