//! Accounts and users, read for extensions: within one account, singly and in bulk.

use std::fmt;

use diesel::prelude::*;
use powernode_abi::{
    AbiError, PFuture, Res,
    abi_stable::std_types::{ROption, RSlice, RString},
    host::{Id, RawAccounts},
};
use powernode_plugin_api::Db;
use serde::Serialize;
use uuid::Uuid;

use super::answer;
use crate::db::schema::{core_accounts, core_users};

/// Most rows of one answer.
const MOST: u32 = 1_000;

/// The accounts service; the same for all extensions.
pub struct Accounts {
    core: Db,
}

impl Accounts {
    /// Reads the core's tables.
    pub fn new(core: Db) -> Self {
        Self { core }
    }
}

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = core_accounts)]
struct Account {
    id: Uuid,
    name: String,
}

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = core_users)]
struct User {
    id: Uuid,
    account_id: Uuid,
    email: String,
    name: String,
}

impl RawAccounts for Accounts {
    fn accounts(&self, ids: RSlice<'_, Id>) -> PFuture<Res<RString>> {
        let (core, ids) = (self.core.clone(), uuids(ids));
        answer(async move {
            let ids = bounded(ids)?;
            let rows = core.read(move |conn| {
                core_accounts::table
                    .filter(core_accounts::id.eq_any(ids))
                    .order(core_accounts::id)
                    .select(Account::as_select())
                    .load(conn)
            });
            Ok(json(&rows.await?)?)
        })
    }

    fn users(&self, account: Id, ids: RSlice<'_, Id>) -> PFuture<Res<RString>> {
        let (core, ids) = (self.core.clone(), uuids(ids));
        answer(async move {
            let ids = bounded(ids)?;
            let rows = core.read(move |conn| {
                core_users::table
                    .filter(core_users::account_id.eq(Uuid::from_bytes(account.0)))
                    .filter(core_users::id.eq_any(ids))
                    .order(core_users::id)
                    .select(User::as_select())
                    .load(conn)
            });
            Ok(json(&rows.await?)?)
        })
    }

    fn users_of(&self, account: Id, after: ROption<Id>, limit: u32) -> PFuture<Res<RString>> {
        let core = self.core.clone();
        let after = after.map(|it| Uuid::from_bytes(it.0)).unwrap_or(Uuid::nil());
        answer(async move {
            let rows = core.read(move |conn| {
                core_users::table
                    .filter(core_users::account_id.eq(Uuid::from_bytes(account.0)))
                    .filter(core_users::id.gt(after))
                    .order(core_users::id)
                    .limit(i64::from(limit.min(MOST)))
                    .select(User::as_select())
                    .load(conn)
            });
            Ok(json(&rows.await?)?)
        })
    }

    fn all(&self, after: ROption<Id>, limit: u32) -> PFuture<Res<RString>> {
        let core = self.core.clone();
        let after = after.map(|it| Uuid::from_bytes(it.0)).unwrap_or(Uuid::nil());
        answer(async move {
            let rows = core.read(move |conn| {
                core_accounts::table
                    .filter(core_accounts::id.gt(after))
                    .order(core_accounts::id)
                    .limit(i64::from(limit.min(MOST)))
                    .select(Account::as_select())
                    .load(conn)
            });
            Ok(json(&rows.await?)?)
        })
    }
}

fn uuids(ids: RSlice<'_, Id>) -> Vec<Uuid> {
    ids.iter().map(|it| Uuid::from_bytes(it.0)).collect()
}

fn bounded(ids: Vec<Uuid>) -> Result<Vec<Uuid>, AbiError> {
    if ids.len() > MOST as usize {
        let message = format!("at most {MOST} ids at once; {} were asked for", ids.len());
        return Err(AbiError::new(powernode_abi::error::TOO_LARGE, message));
    }
    Ok(ids)
}

fn json(rows: &impl Serialize) -> Result<RString, AbiError> {
    let text = serde_json::to_string(rows);
    text.map(RString::from).map_err(|error| AbiError::failed(error.to_string()))
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}
