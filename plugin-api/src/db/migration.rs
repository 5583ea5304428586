//! Migrations, embedded in the library.

pub use powernode_abi::MigrationDef;

/// The first line of an `up.sql` that may not run inside a transaction.
const NO_TRANSACTION: &str = "-- powernode: no-transaction";

/// Embeds the migrations of the crate that calls it, in the order in which they run.
///
/// Each name is a folder below both `migrations/sqlite/` and `migrations/postgres/`, with
/// an `up.sql` and a `down.sql`; what stands before the first `_` is the version. An
/// `up.sql` whose first line is `-- powernode: no-transaction` runs outside of a
/// transaction, as `CREATE INDEX CONCURRENTLY` must.
///
/// ```text
/// use powernode_plugin_api::migrations;
///
/// let all = migrations!["2026-01-31-120000_create_campaigns", "2026-02-07-090000_add_lists"];
/// ```
#[macro_export]
macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        ::std::vec![$($crate::db::migration(
            $name,
            $crate::migrations!(@text "sqlite", $name, "up"),
            $crate::migrations!(@text "sqlite", $name, "down"),
            $crate::migrations!(@text "postgres", $name, "up"),
            $crate::migrations!(@text "postgres", $name, "down"),
        )),*] as ::std::vec::Vec<$crate::db::MigrationDef>
    };
    (@text $database:literal, $name:literal, $direction:literal) => {
        ::core::include_str!(::core::concat!(
            ::core::env!("CARGO_MANIFEST_DIR"),
            "/migrations/",
            $database,
            "/",
            $name,
            "/",
            $direction,
            ".sql"
        ))
    };
}

/// One migration of [`migrations!`].
#[doc(hidden)]
pub fn migration(
    folder: &str,
    up_sqlite: &'static str,
    down_sqlite: &'static str,
    up_postgres: &'static str,
    down_postgres: &'static str,
) -> MigrationDef {
    let (version, name) = folder.split_once('_').unwrap_or((folder, ""));
    let alone =
        |text: &str| text.lines().next().is_some_and(|line| line.trim_end() == NO_TRANSACTION);
    MigrationDef {
        version: version.into(),
        name: name.into(),
        up_sqlite: up_sqlite.into(),
        down_sqlite: down_sqlite.into(),
        up_postgres: up_postgres.into(),
        down_postgres: down_postgres.into(),
        in_transaction: !alone(up_sqlite) && !alone(up_postgres),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &str, up: &'static str, expected: (&str, &str, bool)) {
        let made = migration(folder, up, "", "SELECT 1;", "");
        assert_eq!((made.version.as_str(), made.name.as_str(), made.in_transaction), expected);
    }

    #[test]
    fn the_folder_names_version_and_name() {
        check(
            "2026-01-31-120000_create_a_b",
            "SELECT 1;",
            ("2026-01-31-120000", "create_a_b", true),
        );
        check("2026-01-31-120000", "", ("2026-01-31-120000", "", true));
    }

    #[test]
    fn the_first_line_switches_the_transaction_off() {
        check("1_x", "-- powernode: no-transaction\nVACUUM;", ("1", "x", false));
        check("1_x", "VACUUM;\n-- powernode: no-transaction", ("1", "x", true));
    }
}
