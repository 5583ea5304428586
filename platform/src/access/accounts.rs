//! Accounts and users.

use chrono::{DateTime, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::db::{HostConnection, RunError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Access, NewToken, Scopes, Secret, TokenError,
    tokens::{self},
};
use crate::{
    audit::{self, By, Entry},
    db::schema::{core_accounts, core_users},
};

/// An account.
#[derive(Clone, Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = core_accounts)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A user.
#[derive(Clone, Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = core_users)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// The account that it belongs to.
    pub account_id: Uuid,
    /// Its e-mail address.
    pub email: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Why an account could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Core mode has one account.
    #[error("Several accounts are unavailable: no extension is loaded")]
    Unavailable,
    /// The name is empty or too long.
    #[error("the name must have 1 to 200 characters")]
    Name,
    /// The address is none.
    #[error("the address must be one, `name@host`, of at most 254 letters")]
    Email,
    /// Another user of the account has the address.
    #[error("the account has a user with that address")]
    Taken,
    /// No such account.
    #[error("there is no such account")]
    Unknown,
    /// The database.
    #[error("cannot change the accounts")]
    Database(#[from] RunError),
}

impl From<diesel::result::Error> for AccountError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Access {
    /// Makes the account and the operator's token at the first start; nothing later.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn bootstrap(&self, by: By) -> Result<Option<Secret>, TokenError> {
        let secret = Secret::generate().map_err(|_| TokenError::NoRandomness)?;
        let kept = secret.clone();
        let made = self.core.transaction(move |conn| {
            if core_accounts::table.count().get_result::<i64>(conn)? > 0 {
                return Ok::<_, TokenError>(false);
            }
            let account = insert(conn, "Operator", &by)?;
            let user: User = insert_into(core_users::table)
                .values((
                    core_users::id.eq(Uuid::now_v7()),
                    core_users::account_id.eq(account.id),
                    core_users::email.eq("operator@localhost"),
                    core_users::name.eq("Operator"),
                    core_users::created_at.eq(Utc::now()),
                ))
                .returning(User::as_returning())
                .get_result(conn)?;
            let new = NewToken {
                account: account.id,
                user: Some(user.id),
                name: "operator".to_owned(),
                scopes: Scopes::new(vec!["*".to_owned()]).unwrap_or_default(),
                expires_at: None,
            };
            tokens::insert(conn, &new, &kept, &by)?;
            Ok(true)
        });
        Ok(made.await?.then_some(secret))
    }

    /// All accounts, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`AccountError::Database`].
    pub async fn accounts(&self) -> Result<Vec<Account>, AccountError> {
        let load = |conn: &mut HostConnection| {
            let all = core_accounts::table.order(core_accounts::id).select(Account::as_select());
            Ok(all.load(conn)?)
        };
        self.core.read(load).await
    }

    /// One account.
    ///
    /// # Errors
    ///
    /// [`AccountError::Database`].
    pub async fn account(&self, id: Uuid) -> Result<Option<Account>, AccountError> {
        self.core
            .read(move |conn| {
                let one = core_accounts::table.find(id).select(Account::as_select());
                Ok(one.first(conn).optional()?)
            })
            .await
    }

    /// The users of one account.
    ///
    /// # Errors
    ///
    /// [`AccountError::Database`].
    pub async fn users(&self, account: Uuid) -> Result<Vec<User>, AccountError> {
        self.core
            .read(move |conn| {
                let all = core_users::table.filter(core_users::account_id.eq(account));
                Ok(all.order(core_users::id).select(User::as_select()).load(conn)?)
            })
            .await
    }

    /// Makes a user of an account; the address is theirs alone there.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn create_user(
        &self,
        account: Uuid,
        email: &str,
        name: &str,
        by: By,
    ) -> Result<User, AccountError> {
        let (email, name) = (email.trim().to_owned(), name.trim().to_owned());
        if !(1..=200).contains(&name.chars().count()) {
            return Err(AccountError::Name);
        }
        let is_address = email.len() <= 254
            && email
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !email.contains(|it: char| it.is_whitespace() || it.is_control());
        if !is_address {
            return Err(AccountError::Email);
        }
        let make = move |conn: &mut HostConnection| {
            if core_accounts::table.find(account).count().get_result::<i64>(conn)? == 0 {
                return Err(AccountError::Unknown);
            }
            let made = insert_into(core_users::table)
                .values((
                    core_users::id.eq(Uuid::now_v7()),
                    core_users::account_id.eq(account),
                    core_users::email.eq(&email),
                    core_users::name.eq(&name),
                    core_users::created_at.eq(by.at),
                ))
                .on_conflict((core_users::account_id, core_users::email))
                .do_nothing()
                .returning(User::as_returning());
            let user: Option<User> = made.get_result(conn).optional()?;
            let user = user.ok_or(AccountError::Taken)?;
            let entry = Entry::new("user.create", format!("user/{}", user.id));
            let after = json!({ "account_id": account, "email": email, "name": name });
            audit::append(conn, &by, entry.with_after(after))?;
            Ok(user)
        };
        self.core.transaction(make).await
    }

    /// Makes an account; in core mode there is one, and no second.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn create_account(
        &self,
        name: &str,
        core_mode: bool,
        by: By,
    ) -> Result<Account, AccountError> {
        let name = name.trim().to_owned();
        if !(1..=200).contains(&name.chars().count()) {
            return Err(AccountError::Name);
        }
        self.core
            .transaction(move |conn| {
                let known: i64 = core_accounts::table.count().get_result(conn)?;
                if core_mode && known > 0 {
                    return Err(AccountError::Unavailable);
                }
                Ok(insert(conn, &name, &by)?)
            })
            .await
    }
}

fn insert(conn: &mut HostConnection, name: &str, by: &By) -> QueryResult<Account> {
    let account: Account = insert_into(core_accounts::table)
        .values((
            core_accounts::id.eq(Uuid::now_v7()),
            core_accounts::name.eq(name),
            core_accounts::created_at.eq(Utc::now()),
        ))
        .returning(Account::as_returning())
        .get_result(conn)?;
    let entry = Entry::new("account.create", format!("account/{}", account.id));
    audit::append(conn, by, entry.with_after(json!({ "name": name })))?;
    Ok(account)
}
