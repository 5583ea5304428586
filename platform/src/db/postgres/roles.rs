//! A login role for each extension: its own schema, and nothing else.
//!
//! `SET ROLE` would be no boundary: who may become a role may cease to be it. A role that logs in is no member of
//! any other, so that the server itself refuses what is not the extension's. Its password is random, encrypted with
//! the master key where it lies, and known to nobody; nodes share it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use powernode_abi::{DbError, data::kind};
use ring::digest::{SHA256, digest};

use super::{
    Connection, scram,
    session::{CORE, schema},
};
use crate::db::Principal;

/// Encrypts passwords of roles where they lie.
pub trait Vault: Send + Sync {
    /// What tells its key from others.
    fn key_id(&self) -> &str;
    /// Encrypts `value`, which opens under `name` alone: nonce and text. None where that is not possible.
    fn seal(&self, name: &str, value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)>;
    /// Decrypts what [`Vault::seal`] answered. None where it does not open.
    fn open(&self, name: &str, nonce: &[u8], text: &[u8]) -> Option<Vec<u8>>;
}

/// Longest name of a role, in bytes.
const LONGEST: usize = 63;

/// The login roles of a database.
#[derive(Default)]
pub(crate) struct Roles {
    vault: OnceLock<Arc<dyn Vault>>,
    known: Mutex<HashMap<Arc<str>, Login>>,
}

/// A role and its password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) role: Arc<str>,
    pub(super) password: Arc<str>,
}

impl Roles {
    /// Encrypts with `vault` from now on; the first one stays.
    pub(crate) fn keep_with(&self, vault: Arc<dyn Vault>) {
        // A second one is the same key: one process has one.
        let _ = self.vault.set(vault);
    }

    /// The role of `principal`, read from the database where this process does not know it yet.
    pub(super) fn login(
        &self,
        principal: &Principal,
        operator: impl FnOnce() -> Result<super::Lease, DbError>,
    ) -> Result<Login, DbError> {
        if let Some(login) = self.known().get(principal.slug()) {
            return Ok(login.clone());
        }
        let mut operator = operator()?;
        let stored = self.stored(&mut operator, principal)?;
        let login = stored.ok_or_else(|| {
            DbError::new(
                kind::CLOSED,
                format!(
                    "{} has no login role yet: `powernode migrate` makes it",
                    principal.described()
                ),
            )
        })?;
        self.known().insert(principal.slug().into(), login.clone());
        Ok(login)
    }

    /// Makes sure that `principal` has its role and its schema, and the role no rights but on that.
    ///
    /// For one process at a time, on the operator's connection.
    pub(super) fn prepare(
        &self,
        operator: &mut Connection,
        principal: &Principal,
    ) -> Result<(), DbError> {
        let stored = self.stored(operator, principal)?;
        if let Some(login) = &stored
            && is_settled(operator, principal, &login.role)?
        {
            self.known().insert(principal.slug().into(), login.clone());
            return Ok(());
        }
        operator.begin_transaction()?;
        let made = self.make(operator, principal, stored);
        match made.and_then(|login| operator.commit_transaction().map(|()| login)) {
            Ok(login) => {
                self.known().insert(principal.slug().into(), login);
                Ok(())
            }
            Err(error) => {
                operator.roll_back_all();
                Err(explained(error, principal))
            }
        }
    }

    /// Gives the role the password that is kept.
    pub(super) fn set_password(
        &self,
        operator: &mut Connection,
        principal: &Principal,
    ) -> Result<(), DbError> {
        let Some(Login { role, password }) = self.stored(operator, principal)? else {
            return Ok(());
        };
        let verifier = scram::verifier(&password).ok_or_else(no_randomness)?;
        operator.batch(&format!("ALTER ROLE \"{role}\" PASSWORD '{verifier}'"))
    }

    fn make(
        &self,
        operator: &mut Connection,
        principal: &Principal,
        stored: Option<Login>,
    ) -> Result<Login, DbError> {
        let database =
            operator.host_rows("SELECT current_database()::text", &[])?.concat().concat();
        let role: Arc<str> = name(&database, principal.slug()).into();
        let exists = has_role(operator, &role)?;
        let login = match stored.filter(|it| it.role == role) {
            Some(login) => login,
            None => self.renewed(operator, principal, &role)?,
        };
        let verifier = scram::verifier(&login.password).ok_or_else(no_randomness)?;
        let verb = if exists { "ALTER" } else { "CREATE" };
        operator.batch(&format!("{verb} ROLE \"{role}\" LOGIN NOINHERIT PASSWORD '{verifier}'"))?;
        // The operator's own role reaches what is the extension's, for backups and for taking it away.
        let member = "SELECT 1::text WHERE pg_has_role(current_user, $1, 'MEMBER')";
        if operator.host_rows(member, &[&role])?.is_empty() {
            operator.batch(&format!("GRANT \"{role}\" TO CURRENT_USER"))?;
        }
        let own = schema(principal);
        operator.batch(&format!(
            "CREATE SCHEMA IF NOT EXISTS \"{own}\";
             GRANT USAGE, CREATE ON SCHEMA \"{own}\" TO \"{role}\";
             GRANT USAGE ON SCHEMA {CORE} TO \"{role}\";
             GRANT REFERENCES (id) ON {CORE}.core_accounts TO \"{role}\";
             GRANT REFERENCES (id) ON {CORE}.core_users TO \"{role}\";
             GRANT EXECUTE ON FUNCTION {CORE}.core_book(text, text, text) TO \"{role}\";
             GRANT EXECUTE ON FUNCTION {CORE}.core_unbook(text) TO \"{role}\";
             GRANT EXECUTE ON FUNCTION {CORE}.core_enqueue(text, text, bigint) TO \"{role}\";
             GRANT EXECUTE ON FUNCTION {CORE}.core_publish(text, text, bigint) TO \"{role}\";
             GRANT EXECUTE ON FUNCTION {CORE}.core_once(text, text, bigint) TO \"{role}\""
        ))?;
        // Tables that were made while `database.confinement` was another.
        for row in operator.host_rows(OTHERS, &[&own, &role])? {
            let Some(table) = row.first() else { continue };
            operator.batch(&format!("ALTER TABLE {table} OWNER TO \"{role}\""))?;
        }
        operator.host_rows(
            "INSERT INTO core_roles (role, extension) VALUES ($1, $2) \
             ON CONFLICT (extension) DO UPDATE SET role = excluded.role",
            &[&role, principal.slug()],
        )?;
        Ok(login)
    }

    /// A new password, kept.
    fn renewed(
        &self,
        operator: &mut Connection,
        principal: &Principal,
        role: &Arc<str>,
    ) -> Result<Login, DbError> {
        let vault = self.vault()?;
        let password = scram::password().ok_or_else(no_randomness)?;
        let name = secret(principal);
        let sealed = vault.seal(&name, password.as_bytes()).ok_or_else(no_randomness)?;
        operator.host_rows(
            "INSERT INTO core_secrets (extension, name, key_id, nonce, ciphertext, updated_at) \
             VALUES ('core', $1, $2, decode($3, 'hex'), decode($4, 'hex'), now()) \
             ON CONFLICT (extension, name) DO UPDATE SET key_id = excluded.key_id, nonce = excluded.nonce, \
             ciphertext = excluded.ciphertext, updated_at = excluded.updated_at",
            &[&name, vault.key_id(), &hex::encode(sealed.0), &hex::encode(sealed.1)],
        )?;
        Ok(Login { role: Arc::clone(role), password: password.into() })
    }

    /// The role that is kept; none where there is none, or it does not open.
    fn stored(
        &self,
        operator: &mut Connection,
        principal: &Principal,
    ) -> Result<Option<Login>, DbError> {
        let name = secret(principal);
        let rows = operator.host_rows(
            "SELECT r.role, encode(s.nonce, 'hex'), encode(s.ciphertext, 'hex') \
             FROM core.core_roles r JOIN core.core_secrets s ON s.extension = 'core' AND s.name = $1 \
             WHERE r.extension = $2",
            &[&name, principal.slug()],
        )?;
        let Some([role, nonce, text]) = rows.first().map(Vec::as_slice) else { return Ok(None) };
        let bytes = |text: &str| hex::decode(text).unwrap_or_default();
        let opened = self.vault()?.open(&name, &bytes(nonce), &bytes(text));
        let password = opened.and_then(|it| String::from_utf8(it).ok());
        Ok(password.map(|it| Login { role: role.as_str().into(), password: it.into() }))
    }

    fn vault(&self) -> Result<&Arc<dyn Vault>, DbError> {
        self.vault.get().ok_or_else(|| {
            DbError::new(
                kind::OTHER,
                "login roles need the master key, which this command did not read",
            )
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Login>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// A password is nobody's to read.
impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roles")
            .field("has_vault", &self.vault.get().is_some())
            .finish_non_exhaustive()
    }
}

/// Tables and the like in schema `$1` that are not `$2`'s.
const OTHERS: &str = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner \
     WHERE n.nspname = $1 AND r.rolname <> $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
     AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
     AND d.deptype IN ('a', 'i') AND c.relkind = 'S')";

fn has_role(operator: &mut Connection, role: &str) -> Result<bool, DbError> {
    let rows = operator.host_rows("SELECT 1::text FROM pg_roles WHERE rolname = $1", &[role])?;
    Ok(!rows.is_empty())
}

/// Whether the role has what it needs, and can do what it may: then a start changes nothing.
fn is_settled(
    operator: &mut Connection,
    principal: &Principal,
    role: &str,
) -> Result<bool, DbError> {
    let own = schema(principal);
    let there = "SELECT 1::text FROM pg_roles WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper \
                 AND to_regnamespace(quote_ident($2)) IS NOT NULL";
    if operator.host_rows(there, &[role, &own])?.is_empty() {
        return Ok(false);
    }
    let rights = "SELECT 1::text WHERE has_schema_privilege($1, $2, 'USAGE') \
                  AND has_schema_privilege($1, $2, 'CREATE') AND has_schema_privilege($1, 'core', 'USAGE') \
                  AND has_column_privilege($1, 'core.core_accounts', 'id', 'REFERENCES') \
                  AND has_column_privilege($1, 'core.core_users', 'id', 'REFERENCES') \
                  AND has_function_privilege($1, 'core.core_book(text, text, text)', 'EXECUTE') \
                  AND has_function_privilege($1, 'core.core_unbook(text)', 'EXECUTE') \
                  AND has_function_privilege($1, 'core.core_enqueue(text, text, bigint)', 'EXECUTE')";
    let has = !operator.host_rows(rights, &[role, &own])?.is_empty();
    Ok(has && operator.host_rows(OTHERS, &[&own, role])?.is_empty())
}

/// The role's name: the same for all nodes, and another for each database, since a server's databases share roles.
fn name(database: &str, slug: &str) -> String {
    let of = |text: &str| {
        hex::encode(digest(&SHA256, text.as_bytes()).as_ref().get(..4).unwrap_or_default())
    };
    let name = format!("powernode_{}_{}", of(database), slug.replace('-', "_"));
    if name.len() <= LONGEST {
        return name;
    }
    let end = of(slug);
    let kept: String = name.chars().take(LONGEST - end.len() - 1).collect();
    format!("{kept}_{end}")
}

/// Under which name the password lies among the core's secrets.
fn secret(principal: &Principal) -> String {
    format!("database/{}", principal.slug())
}

fn no_randomness() -> DbError {
    DbError::new(kind::OTHER, "the system gives no random numbers, which passwords are made of")
}

fn explained(mut error: DbError, principal: &Principal) -> DbError {
    error.message = format!(
        "cannot make the login role of {}: {}; give the role of `database.url` CREATEROLE and the database, \
         or set `database.confinement` to `search_path`, which is weaker",
        principal.described(),
        error.message
    )
    .into();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_and_differs_between_databases() {
        assert_eq!(name("a", "supply-chain"), "powernode_ca978112_supply_chain");
        assert_ne!(name("a", "shop"), name("b", "shop"));
        let long = name("a", &"x".repeat(80));
        assert_eq!(long.len(), LONGEST);
        assert_ne!(long, name("a", &"x".repeat(81)));
    }
}
