//! Making, listing and revoking tokens.

use chrono::{DateTime, Datelike as _, Utc};
use diesel::{dsl::insert_into, prelude::*};
use powernode_plugin_api::db::{HostConnection, RunError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Access, Scopes, Secret};
use crate::{
    audit::{self, By, Entry},
    db::schema::{core_accounts, core_tokens, core_users},
};

/// Characters of a name at most.
const LONGEST_NAME: usize = 200;
/// The last year in which a token may end: later ones sort wrongly as text.
const LAST_YEAR: i32 = 9999;

/// A token, without its secret.
#[derive(Clone, Debug, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = core_tokens)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// The account that its bearer acts in.
    pub account_id: Uuid,
    /// The user behind it.
    pub user_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// What is shown of it.
    pub prefix: String,
    /// Its permissions.
    #[schemars(with = "Vec<String>")]
    pub scopes: Value,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was used last, within some seconds.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The account that its bearer acts in.
    pub account: Uuid,
    /// The user behind it.
    pub user: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// Its permissions.
    pub scopes: Scopes,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a token could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No such token.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// No such account.
    #[error("there is no account `{0}`")]
    NoAccount(Uuid),
    /// No such user in that account.
    #[error("there is no user `{0}` in that account")]
    NoUser(Uuid),
    /// The name is empty or too long.
    #[error("the name must have 1 to 200 characters")]
    Name,
    /// It ends in a year that no database can order as text.
    #[error("the end must be in a year before 10000")]
    Expiry,
    /// Several tokens show the same.
    #[error("several tokens are shown as `{0}`: name the one by its id")]
    Ambiguous(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The database.
    #[error("cannot change the tokens")]
    Database(#[from] RunError),
}

impl From<diesel::result::Error> for TokenError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Access {
    /// Makes a token; the secret is answered once, and kept nowhere.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn create_token(
        &self,
        mut new: NewToken,
        by: By,
    ) -> Result<(Token, Secret), TokenError> {
        new.name = new.name.trim().to_owned();
        if !(1..=LONGEST_NAME).contains(&new.name.chars().count()) {
            return Err(TokenError::Name);
        }
        if new.expires_at.is_some_and(|it| it.year() > LAST_YEAR) {
            return Err(TokenError::Expiry);
        }
        let secret = Secret::generate().map_err(|_| TokenError::NoRandomness)?;
        let kept = secret.clone();
        let token = self.core.transaction(move |conn| insert(conn, &new, &kept, &by)).await?;
        Ok((token, secret))
    }

    /// All tokens, also those that ended; of one account, or of all.
    ///
    /// # Errors
    ///
    /// [`TokenError::Database`].
    pub async fn tokens(&self, account: Option<Uuid>) -> Result<Vec<Token>, TokenError> {
        self.core
            .read(move |conn| {
                let mut query = core_tokens::table
                    .order(core_tokens::id)
                    .select(Token::as_select())
                    .into_boxed();
                if let Some(account) = account {
                    query = query.filter(core_tokens::account_id.eq(account));
                }
                Ok(query.load(conn)?)
            })
            .await
    }

    /// The token with that id or shown prefix.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn token(&self, token: &str) -> Result<Token, TokenError> {
        let wanted = token.to_owned();
        self.core.read(move |conn| find(conn, wanted)).await
    }

    /// Revokes the token with that id or shown prefix; it is refused from the next request on.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn revoke_token(&self, token: &str, by: By) -> Result<Token, TokenError> {
        let wanted = token.to_owned();
        let token = self
            .core
            .transaction(move |conn| {
                let before = find(conn, wanted)?;
                let token: Token = diesel::update(core_tokens::table.find(before.id))
                    .set(core_tokens::revoked_at.eq(before.revoked_at.unwrap_or(by.at)))
                    .returning(Token::as_returning())
                    .get_result(conn)?;
                let entry = Entry::new("token.revoke", format!("token/{}", token.prefix))
                    .with_before(json!({ "revoked_at": before.revoked_at }))
                    .with_after(json!({ "revoked_at": token.revoked_at }));
                audit::append(conn, &by, entry)?;
                Ok::<_, TokenError>(token)
            })
            .await?;
        self.forget();
        Ok(token)
    }
}

fn find(conn: &mut HostConnection, wanted: String) -> Result<Token, TokenError> {
    let all = core_tokens::table.select(Token::as_select()).limit(2);
    let mut found: Vec<Token> = match wanted.parse::<Uuid>() {
        Ok(id) => all.filter(core_tokens::id.eq(id)).load(conn)?,
        Err(_) => all.filter(core_tokens::prefix.eq(&wanted)).load(conn)?,
    };
    match (found.pop(), found.pop()) {
        (Some(token), None) => Ok(token),
        (Some(_), Some(_)) => Err(TokenError::Ambiguous(wanted)),
        (None, _) => Err(TokenError::Unknown(wanted)),
    }
}

pub(super) fn insert(
    conn: &mut HostConnection,
    new: &NewToken,
    secret: &Secret,
    by: &By,
) -> Result<Token, TokenError> {
    let known: i64 =
        core_accounts::table.filter(core_accounts::id.eq(new.account)).count().get_result(conn)?;
    if known == 0 {
        return Err(TokenError::NoAccount(new.account));
    }
    if let Some(user) = new.user {
        let own = core_users::table.find(user).filter(core_users::account_id.eq(new.account));
        if own.count().get_result::<i64>(conn)? == 0 {
            return Err(TokenError::NoUser(user));
        }
    }
    let token: Token = insert_into(core_tokens::table)
        .values((
            core_tokens::id.eq(Uuid::now_v7()),
            core_tokens::account_id.eq(new.account),
            core_tokens::user_id.eq(new.user),
            core_tokens::name.eq(&new.name),
            core_tokens::prefix.eq(&secret.prefix),
            core_tokens::hash.eq(secret.hash()),
            core_tokens::scopes.eq(json!(new.scopes.list())),
            core_tokens::expires_at.eq(new.expires_at),
            core_tokens::created_at.eq(Utc::now()),
        ))
        .returning(Token::as_returning())
        .get_result(conn)?;
    let entry = Entry::new("token.create", format!("token/{}", token.prefix));
    let after = json!({
        "name": token.name,
        "account_id": token.account_id,
        "user_id": token.user_id,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    });
    audit::append(conn, by, entry.with_after(after))?;
    Ok(token)
}
