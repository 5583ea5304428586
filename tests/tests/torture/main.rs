//! Jobs under torture: processes that are killed, gates and queues that flap, nodes that come and go, handlers that
//! misbehave. What was acknowledged is done, and nothing is done twice that no crash was in the middle of.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Stdio},
    time::Duration,
};

use powernode_tests::{
    artefacts::{fixture, platform},
    postgres::Cluster,
    setup::{Setup, manifest},
};

mod faults;
mod kills;
mod ledger;
mod nodes;
mod storm;

const BASE: &str = "/api/v1/fixture-000";
const SOON: Duration = Duration::from_secs(60);
/// What nodes of one database share.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Address space of a process that may allocate without end, in KiB.
const MOST_MEMORY: u64 = 2 << 20;

/// A platform with the worker's fixture, on SQLite or on that database.
fn setup(database: Option<&str>) -> Setup {
    of(Setup::new().unwrap(), database)
}

fn of(setup: Setup, database: Option<&str>) -> Setup {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    let setup = match database {
        Some(url) => setup.with_setting("database.url", url).with_variable("HOME", "/nonexistent"),
        None => setup,
    };
    setup
        .with_variable("POWERNODE_SECRETS__KEY", KEY)
        // A backtrace of an allocation that failed allocates.
        .with_variable("RUST_BACKTRACE", "0")
        .with_setting("worker.rescue_after", "1s")
        .with_setting("limits.per_address", "1000000000")
        .with_setting("limits.per_token", "1000000000")
        .with_extension(&fixture("worker").unwrap(), &manifest)
        .unwrap()
}

/// The same on both engines.
fn setups() -> Vec<(&'static str, Setup)> {
    on_both(setup)
}

/// The same, of which one that allocates without end falls, and not the machine.
fn bounded() -> Vec<(&'static str, Setup)> {
    on_both(|database| {
        let place = std::env::temp_dir().join(format!("powernode-bounded-{}", std::process::id()));
        let program = platform().unwrap();
        let script =
            format!("#!/bin/sh\nulimit -v {MOST_MEMORY}\nexec '{}' \"$@\"\n", program.display());
        fs::write(&place, script).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        of(Setup::of(&place).unwrap(), database)
    })
}

fn on_both(setup: impl Fn(Option<&str>) -> Setup) -> Vec<(&'static str, Setup)> {
    let mut setups = vec![("sqlite", setup(None))];
    if let Some(cluster) = Cluster::shared() {
        setups.push(("postgres", setup(Some(&cluster.database().unwrap()))));
    }
    setups
}

/// A process of its own that is killed when this is dropped.
struct Process(Child);

impl Process {
    fn start(setup: &Setup, words: &[&str]) -> Self {
        let log = fs::File::options().create(true).append(true).open(setup.log_file()).unwrap();
        let mut command = setup.command();
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
