//! Who asks, and which tables are its own.

use std::sync::Arc;

/// Tables of the core that an extension's foreign keys may point to, by their `id`.
pub(crate) const REFERABLE: [&str; 2] = ["core_accounts", "core_users"];

/// The one that a connection works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    slug: Arc<str>,
    prefix: Arc<str>,
    core: bool,
}

impl Principal {
    /// The platform itself: owner of `core_*`.
    pub fn core() -> Self {
        Self { slug: "core".into(), prefix: "core_".into(), core: true }
    }

    /// The extension `slug`: owner of `<slug>_*`, dashes written as underscores.
    pub fn extension(slug: &str) -> Self {
        Self { slug: slug.into(), prefix: table_prefix(slug).into(), core: false }
    }

    /// The slug; `core` for the platform.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// What the names of its tables begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether this is the platform itself.
    pub fn is_core(&self) -> bool {
        self.core
    }

    /// Whether a table, index, view or trigger of this name is its own.
    pub fn owns(&self, name: &str) -> bool {
        let begins = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        begins(&self.prefix) && (self.core || !begins("core_"))
    }

    /// How a sentence names it.
    pub(crate) fn described(&self) -> String {
        if self.core { "the core".to_owned() } else { format!("extension `{}`", self.slug) }
    }
}

/// What the tables of extension `slug` begin with: `supply-chain` owns `supply_chain_*`.
pub fn table_prefix(slug: &str) -> String {
    format!("{}_", slug.replace('-', "_").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(slug: &str, name: &str, owns: bool) {
        assert_eq!(Principal::extension(slug).owns(name), owns, "{slug} {name}");
    }

    #[test]
    fn a_name_is_owned_by_its_prefix() {
        check("shop", "shop_items", true);
        check("shop", "SHOP_items", true);
        check("supply-chain", "supply_chain_orders", true);
        check("shop", "shops", false);
        check("shop", "shopping_items", false);
        check("shop", "blog_posts", false);
        check("shop", "", false);
        check("shop", "日本", false);
    }

    #[test]
    fn no_extension_owns_a_table_of_the_core() {
        check("core", "core_users", false);
        assert!(Principal::core().owns("core_users"));
    }
}
