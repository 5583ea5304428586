//! The bearer of a token.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::core_tokens;

/// Who sends a request.
#[derive(Debug)]
pub struct Principal {
    /// The account it acts in.
    pub account: Uuid,
    /// The user behind the token, where there is one.
    pub user: Option<Uuid>,
    /// The token.
    pub token: Uuid,
    /// What is shown of the token.
    pub token_prefix: String,
    /// When the token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The extension that asks on its own behalf; it does so while its gates are open.
    pub extension: Option<String>,
    scopes: Scopes,
    uid: Option<u32>,
}

impl Principal {
    /// The user of this machine who owns the platform: it holds all permissions, and no token.
    pub fn operator(account: Uuid, uid: u32) -> Self {
        Self {
            account,
            user: None,
            token: Uuid::nil(),
            token_prefix: String::new(),
            expires_at: None,
            extension: None,
            scopes: Scopes(vec!["*".to_owned()]),
            uid: Some(uid),
        }
    }

    /// An extension, in one of the accounts that it works for.
    pub(super) fn of_extension(
        slug: String,
        account: Uuid,
        token: Uuid,
        scopes: Scopes,
        expires_at: DateTime<Utc>,
    ) -> Self {
        let (user, uid, expires_at) = (None, None, Some(expires_at));
        let (token_prefix, extension) = (String::new(), Some(slug));
        Self { account, user, token, token_prefix, expires_at, extension, scopes, uid }
    }

    /// Whether it holds a permission.
    pub fn may(&self, permission: &str) -> bool {
        self.scopes.cover(permission)
    }

    /// Whether it holds all permissions.
    pub fn is_admin(&self) -> bool {
        self.scopes.cover("*")
    }

    /// As the audit log names it.
    pub fn name(&self) -> String {
        if let Some(slug) = &self.extension {
            return format!("extension:{slug}");
        }
        match (self.uid, self.user) {
            (Some(uid), _) => format!("uid:{uid}"),
            (None, Some(user)) => format!("user:{user} ({})", self.token_prefix),
            (None, None) => format!("token:{}", self.token_prefix),
        }
    }
}

/// The permissions of a token: exact names, `marketing.*`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a list of scopes; each must be a name, `name.*` or `*`.
    ///
    /// # Errors
    ///
    /// The scope that is none.
    pub fn new(scopes: Vec<String>) -> Result<Self, String> {
        let name = |it: &str| {
            let word = |it: &str| {
                !it.is_empty()
                    && it
                        .chars()
                        .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
            };
            it.split('.').all(word)
        };
        let fine = |it: &&String| *it == "*" || name(it.strip_suffix(".*").unwrap_or(it));
        match scopes.iter().find(|it| !fine(it)) {
            Some(bad) => Err(bad.clone()),
            None => Ok(Self(scopes)),
        }
    }

    /// Whether they cover a permission.
    pub fn cover(&self, permission: &str) -> bool {
        self.0.iter().any(|scope| match scope.strip_suffix('*') {
            Some("") => true,
            Some(beginning) => permission.starts_with(beginning),
            None => scope == permission,
        })
    }

    /// The scopes.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = core_tokens)]
pub(super) struct Row {
    id: Uuid,
    account_id: Uuid,
    user_id: Option<Uuid>,
    prefix: String,
    scopes: serde_json::Value,
    expires_at: Option<DateTime<Utc>>,
}

impl Row {
    /// Nobody, once it expired.
    pub(super) fn into_principal(self, now: DateTime<Utc>) -> Option<Principal> {
        if self.expires_at.is_some_and(|it| it <= now) {
            return None;
        }
        let scopes: Vec<String> = serde_json::from_value(self.scopes).ok()?;
        let scopes = Scopes::new(scopes).ok()?;
        Some(Principal {
            account: self.account_id,
            user: self.user_id,
            token: self.id,
            token_prefix: self.prefix,
            expires_at: self.expires_at,
            extension: None,
            scopes,
            uid: None,
        })
    }
}
