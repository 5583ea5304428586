//! Faults of the database, and of what stands in it.

use std::fs;
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use diesel::connection::SimpleConnection as _;
use powernode_tests::postgres::Cluster;

use crate::house::{mode, own};
use crate::{Fault, by_hand, mended};

/// A secret that nobody can open.
const SECRET: &str = "INSERT INTO core_secrets (extension, name, key_id, nonce, ciphertext, updated_at) \
                      VALUES ('fixture-000', 'older', '0011223344556677', x'00', x'00', '2026-01-01 00:00:00');";

pub(crate) fn faults() -> Vec<Fault> {
    let mut faults = files();
    faults.extend(tables());
    if Cluster::shared().is_some() {
        faults.push(mended_by_nobody());
    }
    faults
}

fn files() -> Vec<Fault> {
    vec![
        by_hand("database.missing", |it| {
            fs::remove_file(it.data("powernode.db"))?;
            Ok(it)
        }),
        mended("database.rescued", |it| {
            let path = it.data("powernode.db");
            fs::rename(&path, it.data("powernode.db.rescued"))?;
            Ok(it)
        }),
        mended("database.directory_missing", |mut it| {
            // No platform ran with that database.
            fs::remove_file(it.data("last_start.json"))?;
            it.set("database.path", it.setup.directory().join("data/rows/powernode.db"));
            Ok(it)
        }),
        mended("database.not_writable", |it| {
            mode(&it.data("powernode.db"), 0o400)?;
            Ok(it)
        }),
        mended("database.wal_long", |it| {
            let wal = it.data("powernode.db-wal");
            it.write(&wal, "")?;
            fs::File::options().write(true).open(&wal)?.set_len(300 << 20)?;
            Ok(it)
        }),
        by_hand("database.locked", |mut it| {
            let mut holder = it.database()?;
            holder.batch_execute("BEGIN IMMEDIATE")?;
            it.kept.push(Box::new(holder));
            Ok(it)
        }),
        by_hand("database.not_a_database", |it| {
            it.write(&it.data("powernode.db"), "no database at all ".repeat(1000))?;
            Ok(it)
        }),
        by_hand("database.corrupt", |it| {
            let file = fs::File::options().write(true).open(it.data("powernode.db"))?;
            file.write_all_at(&[0xff; 3 * 4096], 2 * 4096)?;
            Ok(it)
        }),
        mended("database.schema_older", |it| {
            it.write(&it.data("powernode.db"), "")?;
            Ok(it)
        }),
        by_hand("database.schema_newer", |it| {
            it.sql("INSERT INTO core_migrations (extension, version, name, checksum, run_at) VALUES ('core', '2999-01-01-000000', 'later', 'x', '2026-01-01 00:00:00')")?;
            Ok(it)
        }),
        by_hand("database.migration_edited", |it| {
            it.sql("UPDATE core_migrations SET checksum = 'x' WHERE extension = 'core'")?;
            Ok(it)
        }),
        by_hand("database.unreachable", |mut it| {
            it.set("database.url", "postgres://me:hidden@127.0.0.1:1/nothing");
            Ok(it)
        }),
    ]
}

/// It works, and is a choice.
fn mended_by_nobody() -> Fault {
    by_hand("database.weak_confinement", |mut it| {
        let cluster = Cluster::shared().context("no PostgreSQL")?;
        it.set("database.url", cluster.database()?);
        it.set("database.confinement", "search_path");
        it.setup.cli(&["migrate"])?;
        Ok(it)
    })
}

fn tables() -> Vec<Fault> {
    vec![
        by_hand("key.missing", |it| {
            fs::remove_file(it.data("master.key"))?;
            Ok(it)
        }),
        by_hand("key.wrong", |it| {
            it.write(&it.data("master.key"), "5e".repeat(32))?;
            Ok(it)
        }),
        by_hand("secrets.orphaned", |it| {
            it.sql(SECRET)?;
            Ok(it)
        }),
        mended("access.no_operator_token", |it| {
            it.sql("UPDATE core_tokens SET revoked_at = '2026-01-01 00:00:00'")?;
            Ok(it)
        }),
        mended("access.operator_token_expired", |it| {
            it.setup.cli(&["tokens", "create", "--name", "short", "--expires-in", "1"])?;
            it.sql(
                "UPDATE core_tokens SET expires_at = '2026-01-01 00:00:00' WHERE name = 'short'",
            )?;
            Ok(it)
        }),
        mended("flags.vanished_extension", |it| {
            fs::remove_dir_all(it.extension())?;
            Ok(it)
        }),
        mended("extension.quarantined", |it| {
            it.sql("INSERT INTO core_quarantine (extension, reason, at, count) VALUES ('fixture-000', 'it panicked 5 times', '2026-01-01 00:00:00', 5)")?;
            Ok(it)
        }),
        by_hand("audit.broken", |it| {
            it.sql("UPDATE core_audit SET actor = 'somebody else' WHERE seq = 2")?;
            Ok(it)
        }),
        by_hand("system.clock_behind", |it| {
            it.sql("UPDATE core_tokens SET created_at = '2999-01-01 00:00:00'")?;
            Ok(it)
        }),
        mended("state.malformed", |it| {
            it.write(&it.setup.state_file(), "{\"disabled\":[")?;
            Ok(it)
        }),
        mended("state.unreadable", |it| {
            it.write(&it.setup.state_file(), "{}")?;
            mode(&it.setup.state_file(), 0)?;
            Ok(it)
        }),
        mended("state.unknown_extension", |it| {
            it.write(&it.setup.state_file(), "{\"disabled\":[\"fixtrue-000\"]}")?;
            own(&it.setup.directory().join("config"))?;
            Ok(it)
        }),
    ]
}
