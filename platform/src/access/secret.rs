//! The text of a token: `pn_<8 characters, shown>_<43 characters, secret>`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

/// A new token, shown once.
#[derive(Clone)]
pub struct Secret {
    /// What is shown of it in lists and logs: `pn_` and eight characters.
    pub prefix: String,
    /// The whole text.
    pub text: String,
}

impl Secret {
    /// Makes one of 256 random bits.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; 36];
        SystemRandom::new().fill(&mut bytes)?;
        let (shown, hidden) = bytes.split_at(4);
        let prefix = format!("pn_{}", hex::encode(shown));
        let text = format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(hidden));
        Ok(Self { prefix, text })
    }

    /// What the database keeps.
    pub fn hash(&self) -> String {
        hex::encode(hash(&self.text))
    }
}

/// SHA-256: the text is random, so that a slow hash would protect nothing more.
pub(super) fn hash(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_…", self.prefix)
    }
}
