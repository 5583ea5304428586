//! Whose a table is, so that a refusal can name its owner.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use powernode_abi::{DbError, data::kind};

use super::Principal;

/// The principals that this process has met, by the prefix of their tables.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    known: RwLock<BTreeMap<Arc<str>, Principal>>,
}

impl Owners {
    /// Remembers `principal`.
    pub(crate) fn know(&self, principal: &Principal) {
        let has = |it: &BTreeMap<_, _>| it.contains_key(principal.prefix());
        if has(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(principal.prefix().into(), principal.clone());
    }

    /// The first name in `text` that belongs to another extension than `principal`, or to the core, with its owner.
    pub(crate) fn foreign(&self, principal: &Principal, text: &str) -> Option<(String, String)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let owner = |word: &str| {
            if principal.owns(word) {
                return None;
            }
            // A schema is called like the prefix of its tables.
            let core = Principal::core();
            if core.owns(word) || word == core.slug() {
                return Some(core.described());
            }
            // The longest prefix wins.
            let mut others = known.values().rev().filter(|it| it.slug() != principal.slug());
            let other = others.find(|it| it.owns(word) || it.owns(&format!("{word}_x")));
            other.map(Principal::described)
        };
        words(text).find_map(|word| Some((word.to_owned(), owner(word)?)))
    }

    /// Says in the log what `principal` tried, and whose it is.
    pub(crate) fn refused(&self, principal: &Principal, sql: &str, error: &DbError) {
        if error.kind != kind::DENIED {
            return;
        }
        let message = error.message.as_str();
        let found = self
            .foreign(principal, message)
            .or_else(|| self.foreign(principal, sql))
            .or_else(|| of_database(message))
            .or_else(|| of_database(sql));
        let slug = principal.slug();
        match found {
            Some((table, owner)) => tracing::warn!(
                extension = slug,
                table,
                owner,
                "Refused extension `{slug}`: `{table}` belongs to {owner}: {message}"
            ),
            None => tracing::warn!(
                extension = slug,
                owner = "the platform",
                "Refused extension `{slug}`: what it tried belongs to the platform alone: {message}"
            ),
        }
    }
}

/// The first name in `text` that belongs to SQLite or to PostgreSQL.
fn of_database(text: &str) -> Option<(String, String)> {
    let begins = |word: &str, it: &&str| word.to_ascii_lowercase().starts_with(it);
    let own =
        |word: &&str| ["pg_", "sqlite_", "information_schema"].iter().any(|it| begins(word, it));
    words(text).find(own).map(|word| (word.to_owned(), "the database itself".to_owned()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let owners = Owners::default();
        for slug in ["shop", "blog", "supply", "supply-chain"] {
            owners.know(&Principal::extension(slug));
        }
        let found = owners.foreign(&Principal::extension("shop"), text);
        let found = found.as_ref().map(|(table, owner)| (table.as_str(), owner.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_owner_is_found_by_its_prefix() {
        check("SELECT title FROM \"blog_posts\"", Some(("blog_posts", "extension `blog`")));
        check("permission denied for schema blog", Some(("blog", "extension `blog`")));
        check("DELETE FROM core_users", Some(("core_users", "the core")));
        check("x.supply_chain_orders", Some(("supply_chain_orders", "extension `supply-chain`")));
        check("UPDATE pg_class, blog_posts", Some(("blog_posts", "extension `blog`")));
        check("permission denied for schema core", Some(("core", "the core")));
        check("UPDATE pg_class", None);
        assert_eq!(of_database("UPDATE pg_class").map(|it| it.0).as_deref(), Some("pg_class"));
        check("SELECT * FROM shop_items JOIN blogs", None);
    }
}
