//! What an endpoint and the platform share: shown once, and encrypted where it lies.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::db::HostConnection;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use super::{CORE, WebhookError};
use crate::{
    db::{Vault, schema::core_secrets},
    services::MasterKey,
};

const MARK: &str = "whsec_";
/// Bytes of one that is made here; the standard has 24 to 64.
const LENGTH: usize = 32;

/// A secret: `whsec_` and the base64 of its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Which of an endpoint's two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The newest.
    Current,
    /// The one before the last rotation.
    Previous,
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = vec![0; LENGTH];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads its text; none where it is no secret of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(MARK)?).ok()?;
        (24..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Its text.
    pub fn text(&self) -> String {
        format!("{MARK}{}", STANDARD.encode(&self.0))
    }

    /// What signatures are made with.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Keeps a secret of an endpoint's.
pub(super) fn keep(
    conn: &mut HostConnection,
    key: &MasterKey,
    endpoint: Uuid,
    which: Which,
    secret: &Secret,
    now: DateTime<Utc>,
) -> Result<(), WebhookError> {
    let name = name(endpoint, which);
    let (nonce, text) = Vault::seal(key, &name, &secret.0).ok_or(WebhookError::NoRandomness)?;
    let values = (
        core_secrets::key_id.eq(key.id().to_owned()),
        core_secrets::nonce.eq(nonce),
        core_secrets::ciphertext.eq(text),
        core_secrets::updated_at.eq(now),
    );
    insert_into(core_secrets::table)
        .values((core_secrets::extension.eq(CORE), core_secrets::name.eq(name), values.clone()))
        .on_conflict((core_secrets::extension, core_secrets::name))
        .do_update()
        .set(values)
        .execute(conn)?;
    Ok(())
}

/// A secret of an endpoint's; none where there is none, or it does not open.
pub(super) fn find(
    conn: &mut HostConnection,
    key: &MasterKey,
    endpoint: Uuid,
    which: Which,
) -> QueryResult<Option<Secret>> {
    let name = name(endpoint, which);
    let row = core_secrets::table
        .filter(core_secrets::extension.eq(CORE).and(core_secrets::name.eq(&name)))
        .select((core_secrets::nonce, core_secrets::ciphertext));
    let row: Option<(Vec<u8>, Vec<u8>)> = row.first(conn).optional()?;
    Ok(row.and_then(|(nonce, text)| Vault::open(key, &name, &nonce, &text)).map(Secret))
}

/// Forgets both secrets of an endpoint.
pub(super) fn forget(conn: &mut HostConnection, endpoint: Uuid) -> QueryResult<()> {
    let names = [name(endpoint, Which::Current), name(endpoint, Which::Previous)];
    let own = core_secrets::extension.eq(CORE).and(core_secrets::name.eq_any(names));
    diesel::delete(core_secrets::table.filter(own)).execute(conn).map(drop)
}

fn name(endpoint: Uuid, which: Which) -> String {
    match which {
        Which::Current => format!("webhook/{endpoint}"),
        Which::Previous => format!("webhook/{endpoint}/previous"),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whsec_…")
    }
}
