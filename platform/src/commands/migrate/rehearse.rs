//! The plan, run on a copy.

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use serde_json::{Value, json};

use super::{Output, look_at};
use crate::{
    boot,
    commands::runtime,
    config::Settings,
    db::{Engine, copy::Scratch},
    migrator::{MigrationError, Migrator, Ran},
};

/// What one extension's migrations did to the copy.
struct Act {
    slug: String,
    result: Result<Vec<Ran>, MigrationError>,
    /// Its tables with their rows, before and after; none where the table was not or is not there.
    tables: BTreeMap<String, (Option<u64>, Option<u64>)>,
}

pub(super) fn run(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let (place, core, looked) = look_at(settings, &runtime)?;
    let sources = looked.migrations;
    let slugs: Vec<_> =
        std::iter::once("core").chain(sources.iter().map(|it| it.slug.as_str())).collect();
    drop(core);
    let began = Instant::now();
    let scratch = Scratch::new(&boot::database(settings), place.path())?;
    let copied = began.elapsed().as_secs_f64() * 1000.0;
    let acts = {
        let engine = Engine::open(scratch.settings())?;
        let migrator = Migrator::new(&engine).with_locks();
        let count = || {
            slugs.iter().map(|it| migrator.tables(it)).collect::<Result<Vec<_>, MigrationError>>()
        };
        let before = count()?;
        let outcomes = migrator.run(&migrator.plan(&sources)?)?;
        let tables = before.into_iter().zip(count()?).map(|(before, after)| changed(before, after));
        let outcomes = outcomes.into_iter().zip(tables);
        outcomes
            .map(|(outcome, tables)| Act { slug: outcome.slug, result: outcome.result, tables })
            .collect::<Vec<_>>()
    };
    drop(scratch);
    let failed = acts.iter().any(|it| it.result.is_err());
    let value = json!({
        "copy_milliseconds": copied,
        "steps": acts.iter().map(Act::json).collect::<Vec<_>>(),
    });
    output.answer(&value, || {
        let mut lines =
            vec![format!("Copied the database in {copied:.0} ms; nothing else was changed.")];
        lines.extend(acts.iter().flat_map(Act::lines));
        lines.join("\n")
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn changed(
    before: Vec<(String, u64)>,
    after: Vec<(String, u64)>,
) -> BTreeMap<String, (Option<u64>, Option<u64>)> {
    let mut tables: BTreeMap<_, _> =
        before.into_iter().map(|(name, rows)| (name, (Some(rows), None))).collect();
    for (name, rows) in after {
        tables.entry(name).or_insert((None, None)).1 = Some(rows);
    }
    tables
}

impl Act {
    fn json(&self) -> Value {
        let tables: BTreeMap<_, _> = self
            .tables
            .iter()
            .map(|(name, (before, after))| (name, json!({ "before": before, "after": after })))
            .collect();
        json!({
            "extension": self.slug, "ran": self.result.as_ref().ok(), "tables": tables,
            "error": self.result.as_ref().err().map(ToString::to_string),
        })
    }

    fn lines(&self) -> Vec<String> {
        let ran = match &self.result {
            Err(error) => return vec![format!("{}: fails: {error}", self.slug)],
            Ok(ran) if ran.is_empty() => return vec![format!("{}: up to date", self.slug)],
            Ok(ran) => ran,
        };
        let mut lines = vec![format!("{}: {} ran", self.slug, ran.len())];
        for Ran { version, name, milliseconds, locks } in ran {
            let locks = if locks.is_empty() {
                "nothing that others use".to_owned()
            } else {
                locks.join(", ")
            };
            lines.push(format!("  {version}_{name}: {milliseconds:.0} ms, locks {locks}"));
        }
        for (name, rows) in &self.tables {
            lines.push(match rows {
                (Some(before), Some(after)) if before == after => format!("  {name}: {after} rows"),
                (Some(before), Some(after)) => format!("  {name}: {before} rows, then {after}"),
                (None, Some(after)) => format!("  {name}: new, {after} rows"),
                (before, None) => format!("  {name}: {} rows, then gone", before.unwrap_or(0)),
            });
        }
        lines
    }
}
