//! Values by key, kept in `core_kv` under the extension's slug.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec},
    host::RawKv,
};
use powernode_plugin_api::Db;

use super::answer;
use crate::db::schema::core_kv;

/// Longest key, in bytes.
const LONGEST_KEY: usize = 500;
/// Largest value, in bytes.
const LARGEST_VALUE: usize = 1024 * 1024;
/// Most keys of one answer.
const MOST_KEYS: u32 = 1_000;

/// The key-value service of one extension.
pub struct Kv {
    slug: String,
    core: Db,
}

impl Kv {
    /// The service of the extension with that slug.
    pub fn new(slug: &str, core: Db) -> Self {
        Self { slug: slug.to_owned(), core }
    }
}

/// Rows that did not expire.
macro_rules! live {
    ($slug:expr, $now:expr) => {
        core_kv::table
            .filter(core_kv::extension.eq($slug))
            .filter(core_kv::expires_at.is_null().or(core_kv::expires_at.gt($now)))
    };
}

impl RawKv for Kv {
    fn get(&self, key: RStr<'_>) -> PFuture<Res<ROption<RVec<u8>>>> {
        let (core, slug, key) = (self.core.clone(), self.slug.clone(), key.to_string());
        answer(async move {
            let value = core.read(move |conn| {
                live!(slug, Utc::now())
                    .filter(core_kv::key.eq(key))
                    .select(core_kv::value)
                    .first::<Vec<u8>>(conn)
                    .optional()
            });
            Ok(value.await?.map(RVec::from).into())
        })
    }

    fn put(&self, key: RStr<'_>, value: RSlice<'_, u8>, milliseconds: u64) -> PFuture<Res<()>> {
        let (core, slug, key) = (self.core.clone(), self.slug.clone(), key.to_string());
        let value = value.to_vec();
        answer(async move {
            if key.len() > LONGEST_KEY || value.len() > LARGEST_VALUE {
                let message = format!(
                    "a key has at most {LONGEST_KEY} bytes and a value {LARGEST_VALUE}; `{}` has {} and {}",
                    key.chars().take(40).collect::<String>(),
                    key.len(),
                    value.len(),
                );
                return Err(AbiError::new(powernode_abi::error::TOO_LARGE, message).into());
            }
            let expires_at = expiry(milliseconds);
            core.transaction(move |conn| {
                insert_into(core_kv::table)
                    .values((
                        core_kv::extension.eq(slug),
                        core_kv::key.eq(key),
                        core_kv::value.eq(&value),
                        core_kv::expires_at.eq(expires_at),
                    ))
                    .on_conflict((core_kv::extension, core_kv::key))
                    .do_update()
                    .set((core_kv::value.eq(&value), core_kv::expires_at.eq(expires_at)))
                    .execute(conn)
            })
            .await?;
            Ok(())
        })
    }

    fn remove(&self, key: RStr<'_>) -> PFuture<Res<bool>> {
        let (core, slug, key) = (self.core.clone(), self.slug.clone(), key.to_string());
        answer(async move {
            let removed = core.transaction(move |conn| {
                let row = core_kv::extension.eq(slug).and(core_kv::key.eq(key));
                diesel::delete(core_kv::table.filter(row)).execute(conn)
            });
            Ok(removed.await? > 0)
        })
    }

    fn keys(&self, prefix: RStr<'_>, limit: u32) -> PFuture<Res<RVec<RString>>> {
        let (core, slug, prefix) = (self.core.clone(), self.slug.clone(), prefix.to_string());
        answer(async move {
            let keys = core.read(move |conn| {
                live!(slug, Utc::now())
                    .filter(core_kv::key.like(like_prefix(&prefix)).escape('\\'))
                    .order(core_kv::key)
                    .limit(i64::from(limit.min(MOST_KEYS)))
                    .select(core_kv::key)
                    .load::<String>(conn)
            });
            Ok(keys.await?.into_iter().map(RString::from).collect())
        })
    }
}

fn expiry(milliseconds: u64) -> Option<DateTime<Utc>> {
    let delta = i64::try_from(milliseconds).ok().and_then(TimeDelta::try_milliseconds)?;
    (milliseconds > 0).then(|| Utc::now().checked_add_signed(delta)).flatten()
}

/// The prefix as a LIKE pattern.
fn like_prefix(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kv of `{}`", self.slug)
    }
}
