//! Configuration and secrets of one extension; secrets are encrypted where they lie.
//!
//! AES-256-GCM with a fresh random nonce for each value; slug and name are
//! authenticated with it, so that a row copied to another name does not open.

use std::{fmt, sync::Arc};

use chrono::Utc;
use diesel::{dsl::insert_into, prelude::*};
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec},
    host::RawSettings,
};
use powernode_plugin_api::{Db, db::RunError};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use super::answer;
use crate::db::{Vault, schema::core_secrets};

/// Length of a master key, in bytes.
const KEY_LEN: usize = 32;

/// The key that secrets are encrypted with, and that the keys of links are derived from.
pub struct MasterKey {
    key: LessSafeKey,
    links: Prk,
    id: String,
}

/// Why there is no usable master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is no key.
    #[error(
        "the master key must be {KEY_LEN} bytes as 64 hexadecimal digits; make one with `openssl rand -hex 32`"
    )]
    Malformed,
    /// Secrets were encrypted with another key.
    #[error(
        "secrets of `{extension}` were encrypted with master key `{expected}`, and this is `{found}`: give the platform the former key"
    )]
    Wrong {
        /// Whose secrets.
        extension: String,
        /// The key's id that is stored.
        expected: String,
        /// The id of the key that was given.
        found: String,
    },
    /// There are secrets and no key.
    #[error(
        "secrets of `{extension}` were encrypted with master key `{expected}`, and no key was given: set `secrets.key_file`"
    )]
    Missing {
        /// Whose secrets.
        extension: String,
        /// The key's id that is stored.
        expected: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The secrets could not be looked at.
    #[error("cannot read the secrets")]
    Database(#[from] RunError),
}

impl MasterKey {
    /// The key of a text of 64 hexadecimal digits; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| KeyError::Malformed)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Malformed)?;
        let fingerprint = digest(&SHA256, &[b"powernode master key ".as_slice(), &bytes].concat());
        let id = fingerprint.as_ref().iter().take(8).map(|it| format!("{it:02x}")).collect();
        let links = Salt::new(HKDF_SHA256, b"powernode links").extract(&bytes);
        Ok(Self { key: LessSafeKey::new(key), links, id })
    }

    /// A new random key, as text.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<String, KeyError> {
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
        Ok(hex::encode(bytes))
    }

    /// What tells it from other keys, and gives nothing of it away.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A mark on the text of a backup that nobody makes without this key.
    pub fn seal_backup(&self, text: &[u8]) -> Vec<u8> {
        hmac::sign(&self.backups(), text).as_ref().to_vec()
    }

    /// Whether [`seal_backup`](Self::seal_backup) made that mark.
    pub fn is_backup_seal(&self, text: &[u8], seal: &[u8]) -> bool {
        hmac::verify(&self.backups(), text, seal).is_ok()
    }

    fn backups(&self) -> hmac::Key {
        // No slug has a space: no key of links is this one.
        let key =
            self.links.expand(&[b"a backup".as_slice()], hmac::HMAC_SHA256).map(hmac::Key::from);
        // It fails for keys of several kilobytes alone.
        key.unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, self.id.as_bytes()))
    }

    /// What the keys of links are derived from.
    pub(super) fn links(&self) -> &Prk {
        &self.links
    }

    /// Looks whether all stored secrets belong to `key`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Wrong`], [`KeyError::Missing`], [`KeyError::Database`].
    pub async fn check(key: Option<&Self>, core: &Db) -> Result<(), KeyError> {
        let found = key.map(|it| it.id.clone());
        let mine = found.clone().unwrap_or_default();
        let other = core
            .read(move |conn| {
                core_secrets::table
                    .filter(core_secrets::key_id.ne(mine))
                    .select((core_secrets::extension, core_secrets::key_id))
                    .first::<(String, String)>(conn)
                    .optional()
                    .map_err(RunError::from)
            })
            .await?;
        match (other, found) {
            (None, _) => Ok(()),
            (Some((extension, expected)), Some(found)) => {
                Err(KeyError::Wrong { extension, expected, found })
            }
            (Some((extension, expected)), None) => Err(KeyError::Missing { extension, expected }),
        }
    }

    fn seal(&self, about: &[u8], value: &[u8]) -> Result<(Vec<u8>, Vec<u8>), AbiError> {
        let failed = |_| AbiError::failed("the value could not be encrypted");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = value.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(unique, Aad::from(about), &mut text).map_err(failed)?;
        Ok((nonce.to_vec(), text))
    }

    fn open(&self, about: &[u8], nonce: &[u8], text: &[u8]) -> Result<Vec<u8>, AbiError> {
        let failed = |_| AbiError::failed("the secret does not open: its row was changed");
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(failed)?;
        let mut text = text.to_vec();
        let value = self.key.open_in_place(nonce, Aad::from(about), &mut text).map_err(failed)?;
        Ok(value.to_vec())
    }
}

/// Under the core's name: no extension can ask for what lies there.
impl Vault for MasterKey {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn seal(&self, name: &str, value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        MasterKey::seal(self, &about("core", name), value).ok()
    }

    fn open(&self, name: &str, nonce: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        MasterKey::open(self, &about("core", name), nonce, text).ok()
    }
}

/// The settings service of one extension.
pub struct Settings {
    slug: String,
    config: String,
    key: Option<Arc<MasterKey>>,
    core: Db,
}

impl Settings {
    /// The service of the extension with that slug; `config` is its section as JSON text.
    pub fn new(slug: &str, config: String, key: Option<Arc<MasterKey>>, core: Db) -> Self {
        Self { slug: slug.to_owned(), config, key, core }
    }
}

impl RawSettings for Settings {
    fn config(&self) -> RString {
        self.config.as_str().into()
    }

    fn secret(&self, name: RStr<'_>) -> PFuture<Res<ROption<RVec<u8>>>> {
        let (core, slug, name) = (self.core.clone(), self.slug.clone(), name.to_string());
        let key = self.key.clone();
        answer(async move {
            let about = about(&slug, &name);
            let row = core.read(move |conn| {
                core_secrets::table
                    .find((slug, name))
                    .select((core_secrets::nonce, core_secrets::ciphertext))
                    .first::<(Vec<u8>, Vec<u8>)>(conn)
                    .optional()
            });
            let Some((nonce, text)) = row.await? else { return Ok(ROption::RNone) };
            let value = key.ok_or_else(no_key)?.open(&about, &nonce, &text)?;
            Ok(ROption::RSome(value.into()))
        })
    }

    fn set_secret(&self, name: RStr<'_>, value: RSlice<'_, u8>) -> PFuture<Res<()>> {
        let (core, slug, name) = (self.core.clone(), self.slug.clone(), name.to_string());
        let sealed = self.key.as_deref().ok_or_else(no_key).and_then(|key| {
            Ok((key.id.clone(), key.seal(&about(&slug, &name), value.as_slice())?))
        });
        answer(async move {
            let (id, (nonce, text)) = sealed?;
            core.transaction(move |conn| {
                let row = (
                    core_secrets::key_id.eq(id),
                    core_secrets::nonce.eq(nonce),
                    core_secrets::ciphertext.eq(text),
                    core_secrets::updated_at.eq(Utc::now()),
                );
                insert_into(core_secrets::table)
                    .values((
                        core_secrets::extension.eq(slug),
                        core_secrets::name.eq(name),
                        row.clone(),
                    ))
                    .on_conflict((core_secrets::extension, core_secrets::name))
                    .do_update()
                    .set(row)
                    .execute(conn)
            })
            .await?;
            Ok(())
        })
    }

    fn remove_secret(&self, name: RStr<'_>) -> PFuture<Res<bool>> {
        let (core, slug, name) = (self.core.clone(), self.slug.clone(), name.to_string());
        answer(async move {
            let removed = core.transaction(move |conn| {
                diesel::delete(core_secrets::table.find((slug, name))).execute(conn)
            });
            Ok(removed.await? > 0)
        })
    }
}

fn about(slug: &str, name: &str) -> Vec<u8> {
    format!("{}:{slug}{name}", slug.len()).into_bytes()
}

fn no_key() -> AbiError {
    AbiError::new(
        powernode_abi::error::UNAVAILABLE,
        "the platform has no master key: set `secrets.key_file`",
    )
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey `{}`", self.id)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings of `{}`", self.slug)
    }
}
