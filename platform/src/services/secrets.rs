//! Configuration and secrets of one extension; secrets are encrypted where they lie.
//!
//! AES-256-GCM with a fresh random nonce for each value; slug and name are
//! authenticated with it, so that a row copied to another name does not open.

use std::{fmt, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{Eq, insert_into},
    prelude::*,
};
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec},
    host::RawSettings,
};
use powernode_plugin_api::{
    Db,
    db::{HostConnection, RunError},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use serde_json::json;

use super::answer;
use crate::{
    audit::{self, By, Entry},
    db::{Vault, schema::core_secrets},
};

/// Whose the core's own secrets are; no extension has that slug.
const CORE: &str = "core";
/// The secret that is none: it tells which key the database was written with.
const MARK: &str = "master key";

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
    /// The database was written with another key.
    #[error(
        "the master key here is `{found}`, and this database was written with `{expected}`: put that key back; \
         where it is lost, `powernode key adopt` names what is lost with it"
    )]
    Wrong {
        /// The id of the key that the database was written with.
        expected: String,
        /// The id of the key that was given.
        found: String,
    },
    /// The database was written with a key, and there is none.
    #[error(
        "there is no master key in `{}`, and this database was written with `{expected}`: put that key there; \
         where it is lost, `powernode key adopt` names what is lost with it", path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The id of the key that the database was written with.
        expected: String,
    },
    /// Some secrets were encrypted with another key than the database's.
    #[error(
        "secrets of `{extension}` were encrypted with master key `{expected}`, and this is `{found}`, the database's: \
         `powernode key adopt` names those secrets, and with `--yes` forgets them"
    )]
    Orphaned {
        /// Whose secrets.
        extension: String,
        /// The key's id that is stored beside them.
        expected: String,
        /// The id of the database's key.
        found: String,
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

    /// The key of the tokens that extensions get of this platform.
    pub fn tokens(&self) -> hmac::Key {
        self.derived(b"a token")
    }

    fn backups(&self) -> hmac::Key {
        self.derived(b"a backup")
    }

    /// A key for something that is no extension's: no slug has a space, so that no key of links is one of these.
    fn derived(&self, what: &[u8]) -> hmac::Key {
        let key = self.links.expand(&[what], hmac::HMAC_SHA256).map(hmac::Key::from);
        // It fails for keys of several kilobytes alone.
        key.unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, self.id.as_bytes()))
    }

    /// What the keys of links are derived from.
    pub(super) fn links(&self) -> &Prk {
        &self.links
    }

    /// The id of the key that the database was written with; none where it has seen no key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Database`].
    pub async fn wanted(core: &Db) -> Result<Option<String>, KeyError> {
        let rows = core.read(|conn| rows(conn).map_err(RunError::from)).await?;
        let mark = rows.iter().find(|it| it.is_mark());
        Ok(mark.or(rows.first()).map(|it| it.key_id.clone()))
    }

    /// Looks whether this is the database's key, or could be.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn check(&self, core: &Db) -> Result<(), KeyError> {
        self.checked(core).await.map(drop)
    }

    async fn checked(&self, core: &Db) -> Result<Vec<Kept>, KeyError> {
        let found = core.read(|conn| rows(conn).map_err(RunError::from)).await?;
        self.fits(&found)?;
        Ok(found)
    }

    /// Looks whether this is the database's key; one that has seen none makes it its own.
    ///
    /// # Errors
    ///
    /// [`KeyError::Wrong`], [`KeyError::Orphaned`], [`KeyError::Database`].
    pub async fn settle(&self, core: &Db) -> Result<(), KeyError> {
        let found = self.checked(core).await?;
        if found.iter().any(Kept::is_mark) {
            return Ok(());
        }
        let mark = self.mark()?;
        // Another node may begin with another key at the same moment: one of the two is the database's.
        let found = core
            .transaction(move |conn| {
                insert_into(core_secrets::table)
                    .values(mark)
                    .on_conflict_do_nothing()
                    .execute(conn)?;
                rows(conn)
            })
            .await
            .map_err(RunError::from)?;
        self.fits(&found)
    }

    fn fits(&self, found: &[Kept]) -> Result<(), KeyError> {
        let others = || found.iter().filter(|it| it.key_id != self.id);
        let mark = others().find(|it| it.is_mark());
        let (expected, found) = match (mark, others().next()) {
            (None, None) => return Ok(()),
            (None, Some(other)) if found.iter().any(|it| it.key_id == self.id) => {
                let (extension, expected) = (other.extension.clone(), other.key_id.clone());
                return Err(KeyError::Orphaned { extension, expected, found: self.id.clone() });
            }
            (mark, other) => (mark.or(other), self.id.clone()),
        };
        let expected = expected.map(|it| it.key_id.clone()).unwrap_or_default();
        Err(KeyError::Wrong { expected, found })
    }

    /// The secrets that do not open with `key`, or with none; whose, and their names.
    ///
    /// # Errors
    ///
    /// [`KeyError::Database`].
    pub async fn lost(key: Option<&Self>, core: &Db) -> Result<Vec<(String, String)>, KeyError> {
        let rows = core.read(|conn| rows(conn).map_err(RunError::from)).await?;
        let own = key.map(|it| it.id.clone());
        let lost = rows.into_iter().filter(|it| !it.is_mark() && Some(&it.key_id) != own.as_ref());
        Ok(lost.map(|it| (it.extension, it.name)).collect())
    }

    /// Makes this the database's key, and forgets the secrets that do not open with it; the audit log names them.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`], [`KeyError::Database`]; nothing was changed then.
    pub async fn adopt(&self, core: &Db, by: By) -> Result<(), KeyError> {
        let (id, mark) = (self.id.clone(), self.mark()?);
        core.transaction(move |conn| {
            let others: Vec<_> = rows(conn)?.into_iter().filter(|it| it.key_id != id).collect();
            let former = others.iter().find(|it| it.is_mark()).map(|it| it.key_id.clone());
            let lost = others.iter().filter(|it| !it.is_mark());
            let lost: Vec<_> = lost.map(|it| format!("{}/{}", it.extension, it.name)).collect();
            diesel::delete(core_secrets::table.filter(core_secrets::key_id.ne(&id)))
                .execute(conn)?;
            insert_into(core_secrets::table).values(mark).on_conflict_do_nothing().execute(conn)?;
            let entry = Entry::new("key.adopt", "key")
                .with_before(json!({ "key": former, "secrets": lost }))
                .with_after(json!({ "key": id }));
            audit::append(conn, &by, entry)
        })
        .await
        .map_err(RunError::from)?;
        Ok(())
    }

    /// The row that tells which key a database was written with.
    fn mark(&self) -> Result<Row, KeyError> {
        let sealed = Vault::seal(self, MARK, self.id.as_bytes()).ok_or(KeyError::NoRandomness)?;
        Ok((
            core_secrets::extension.eq(CORE.to_owned()),
            core_secrets::name.eq(MARK.to_owned()),
            core_secrets::key_id.eq(self.id.clone()),
            core_secrets::nonce.eq(sealed.0),
            core_secrets::ciphertext.eq(sealed.1),
            core_secrets::updated_at.eq(Utc::now()),
        ))
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

type Row = (
    Eq<core_secrets::extension, String>,
    Eq<core_secrets::name, String>,
    Eq<core_secrets::key_id, String>,
    Eq<core_secrets::nonce, Vec<u8>>,
    Eq<core_secrets::ciphertext, Vec<u8>>,
    Eq<core_secrets::updated_at, DateTime<Utc>>,
);

/// A secret, and with which key it was encrypted.
struct Kept {
    extension: String,
    name: String,
    key_id: String,
}

impl Kept {
    /// Whether it is no secret, and tells the database's key.
    fn is_mark(&self) -> bool {
        self.extension == CORE && self.name == MARK
    }
}

fn rows(conn: &mut HostConnection) -> QueryResult<Vec<Kept>> {
    let rows = core_secrets::table
        .select((core_secrets::extension, core_secrets::name, core_secrets::key_id))
        .order((core_secrets::extension, core_secrets::name))
        .load::<(String, String, String)>(conn)?;
    Ok(rows.into_iter().map(|(extension, name, key_id)| Kept { extension, name, key_id }).collect())
}

/// Under the core's name: no extension can ask for what lies there.
impl Vault for MasterKey {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn seal(&self, name: &str, value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        MasterKey::seal(self, &about(CORE, name), value).ok()
    }

    fn open(&self, name: &str, nonce: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        MasterKey::open(self, &about(CORE, name), nonce, text).ok()
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
