//! Links that somebody without a login may follow.

use std::fmt;

use chrono::{DateTime, Utc};
use powernode_abi::{Id, host::LinksObject};
use uuid::Uuid;

use crate::error::Result;

/// Signs links; a route that is [`signed`](crate::routes::Route::signed) for their purpose takes them.
///
/// The platform verifies a link before it asks the gate, and the link's account is the one whose flag
/// counts. The key is the extension's own, and is derived from the platform's master key: with another
/// master key, links that were sent are void.
pub struct Links(LinksObject);

impl Links {
    pub(crate) fn new(object: LinksObject) -> Self {
        Self(object)
    }

    /// The last part of a link's path, for letters, digits, `-` and `_` alone.
    ///
    /// `claim` is what the link says, in at most 200 bytes: whoever holds the link can read it, and
    /// nobody can change it. [`Call::link`](crate::request::Request::link) answers it. Without `expires`
    /// the link is good as long as the master key.
    ///
    /// # Errors
    ///
    /// When the purpose or the claim is too long.
    pub fn sign(
        &self,
        purpose: &str,
        account: Uuid,
        claim: &str,
        expires: Option<DateTime<Utc>>,
    ) -> Result<String> {
        // A moment at or before 1970 has passed as well as the first one after it.
        let expires = expires.map_or(0, |it| it.timestamp_micros().max(1));
        let account = Id(account.into_bytes());
        let signed = self.0.sign(purpose.into(), account, claim.into(), expires);
        Ok(signed.into_result()?.into())
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links")
    }
}
