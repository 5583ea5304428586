//! Crossing the boundary of real libraries: whatever an extension's code does, its request alone pays.

#![forbid(unsafe_code)]

mod bodies;
mod libraries;
mod limits;
mod panics;
mod services;

use anyhow::{Result, ensure};
use powernode_tests::{
    client::{Answer, Client},
    instance::Instance,
    library::{Build, Library, Package},
    setup::Setup,
};

/// A place with copies of the fixture under these slugs, each eleven letters long.
fn setup(slugs: &[&str]) -> Result<Setup> {
    let setup = Setup::new()?
        .with_setting("limits.per_address", "1000000")
        .with_setting("limits.per_token", "1000000");
    let faulty = Library::built("faulty", Build::Plain)?;
    for slug in slugs {
        install(&setup, slug, &faulty)?;
    }
    Ok(setup)
}

/// Installs a stamped copy of a library.
fn install(setup: &Setup, slug: &str, library: &Library) -> Result<()> {
    Package::new(slug, library.stamped(slug)?).write(&setup.extensions().join(slug))
}

/// Asks an extension's route.
fn get(client: &Client, slug: &str, path: &str) -> Result<Answer> {
    client.get(&format!("/api/v1/{slug}/{path}"))
}

/// The extension answers as if nothing had happened.
fn serves(instance: &Instance, slug: &str) -> Result<()> {
    let answer = get(&instance.anonymous(), slug, "ok")?;
    ensure!(answer.status == 200, "`{slug}` answers {}: {}", answer.status, answer.text());
    Ok(())
}
