//! What the migrator takes where nothing is to do, for many extensions beside one.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use powernode::migrator::{ExtensionMigrations, Migrator};
use powernode_tests::library::{Build, Library, Package};

use crate::{
    figure::Figure,
    place::{self, Place},
};

const EXTENSIONS: usize = 50;
const ROUNDS: usize = 20;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let library = Library::built("queries", Build::Optimized)?;
    let place = Place::with(
        |extensions| {
            (0..EXTENSIONS).map(place::slug).try_for_each(|slug| {
                Package::new(&slug, library.stamped(&slug)?).write(&extensions.join(&slug))
            })
        },
        &[],
        |_| (),
    )?;
    let mut extensions = Vec::new();
    for entry in &place.booted.registry.entries {
        let plugin = entry.plugin.as_ref().context("an extension is not loaded")?;
        let migrations = plugin.migrations().into_result().map_err(anyhow::Error::msg)?;
        let migrations = migrations.into_iter().collect();
        extensions.push(ExtensionMigrations { slug: entry.slug.clone(), migrations });
    }
    ensure!(extensions.len() == EXTENSIONS, "{} extensions", extensions.len());
    let migrator = Migrator::new(&place.booted.core.engine);
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let one = timed(&migrator, &extensions[..1])?;
        pairs.push((one, timed(&migrator, &extensions)?));
    }
    Ok(vec![Figure::beside("migrate_noop", "ms", &pairs).value_at_most(50.0)])
}

/// Milliseconds of a run that has nothing to do.
fn timed(migrator: &Migrator, extensions: &[ExtensionMigrations]) -> Result<f64> {
    let begun = Instant::now();
    let plan = migrator.plan(extensions)?;
    let outcomes = migrator.run(&plan)?;
    let took = begun.elapsed();
    let ran = outcomes.iter().filter(|it| it.result.as_ref().is_ok_and(|it| !it.is_empty()));
    ensure!(ran.count() == 0, "there was something to do");
    Ok(took.as_secs_f64() * 1e3)
}
