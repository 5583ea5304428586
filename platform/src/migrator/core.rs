//! The core's own migrations, from `/migrations`.

use powernode_plugin_api::db::migration;

use super::ExtensionMigrations;

/// Under which name the ledger keeps the core's migrations; no extension may have it.
pub(super) const SLUG: &str = "core";

macro_rules! texts {
    ($($folder:literal),* $(,)?) => {
        vec![$(migration(
            $folder,
            texts!(@ "sqlite", $folder, "up"),
            texts!(@ "sqlite", $folder, "down"),
            texts!(@ "postgres", $folder, "up"),
            texts!(@ "postgres", $folder, "down"),
        )),*]
    };
    (@ $database:literal, $folder:literal, $direction:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../migrations/", $database, "/", $folder, "/", $direction, ".sql"
        ))
    };
}

/// All of them.
pub(super) fn migrations() -> ExtensionMigrations {
    ExtensionMigrations {
        slug: SLUG.to_owned(),
        migrations: texts![
            "2026-01-01-000000_core",
            "2026-02-01-000000_roles",
            "2026-03-01-000000_queue",
            "2026-03-02-000000_events",
            "2026-03-03-000000_webhooks",
            "2026-03-04-000000_queue_limits",
            "2026-03-05-000000_changes"
        ],
    }
}

#[cfg(test)]
mod tests {
    use diesel::{migration::MigrationSource, pg::Pg, sqlite::Sqlite};
    use diesel_migrations::FileBasedMigrations;

    use super::*;

    #[track_caller]
    fn check<DB: diesel::backend::Backend>(dialect: &str)
    where
        FileBasedMigrations: MigrationSource<DB>,
    {
        let folder = format!("{}/../migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
        let source = FileBasedMigrations::from_path(folder).unwrap();
        let mut found: Vec<String> = MigrationSource::<DB>::migrations(&source)
            .unwrap()
            .iter()
            .map(|migration| migration.name().to_string())
            .collect();
        found.sort();
        let embedded: Vec<String> = migrations()
            .migrations
            .iter()
            .map(|def| format!("{}_{}", def.version, def.name))
            .collect();
        assert_eq!(embedded, found, "{dialect}");
    }

    #[test]
    fn what_diesel_finds_in_the_folders_is_embedded() {
        check::<Sqlite>("sqlite");
        check::<Pg>("postgres");
    }
}
