//! A place with an extension whose migrations the test writes.

use anyhow::{Context as _, Result, bail, ensure};
use powernode_tests::{
    artefacts::fixture,
    postgres::Cluster,
    setup::{Said, Setup, manifest},
};
use serde_json::{Value, json};

/// A migration: folder, up, down.
pub(crate) type Step = (String, String, String);

/// One database with a platform that has the extension `stepper`.
pub(crate) struct Place {
    pub(crate) engine: &'static str,
    pub(crate) setup: Setup,
    pub(crate) database: Option<(&'static Cluster, String)>,
}

impl Place {
    /// On SQLite.
    pub(crate) fn sqlite() -> Result<Place> {
        Place::of("sqlite", Setup::new()?, None)
    }

    /// On PostgreSQL; none where it is not installed.
    pub(crate) fn postgres() -> Result<Option<Place>> {
        let Some(cluster) = Cluster::shared() else { return Ok(None) };
        let url = cluster.database()?;
        let setup = Setup::new()?.with_setting("database.url", &url);
        Place::of("postgres", setup, Some((cluster, url))).map(Some)
    }

    /// On each database there is.
    pub(crate) fn both() -> Result<Vec<Place>> {
        Ok([Some(Place::sqlite()?), Place::postgres()?].into_iter().flatten().collect())
    }

    fn of(
        engine: &'static str,
        setup: Setup,
        database: Option<(&'static Cluster, String)>,
    ) -> Result<Place> {
        let mut manifest = manifest("stepper", "1.0.0");
        manifest["default_enabled"] = true.into();
        let setup = setup.with_extension(&fixture("stepper")?, &manifest)?;
        Ok(Place { engine, setup, database })
    }

    /// Runs a command while the library brings `steps`.
    pub(crate) fn cli(&self, steps: &[Step], arguments: &[&str]) -> Result<Said> {
        let setting = setting(steps);
        self.setup.cli(&[&["--set", &setting], arguments].concat())
    }

    /// Runs a command that must succeed, and answers its JSON.
    pub(crate) fn json(&self, steps: &[Step], arguments: &[&str]) -> Result<Value> {
        let said = self.cli(steps, &[&["--json"], arguments].concat())?;
        ensure!(said.code == Some(0), "{arguments:?}: {said:?}");
        said.json()
    }

    /// Which of the extension's migrations ran, and which wait.
    pub(crate) fn ran(&self, steps: &[Step]) -> Result<(Vec<String>, Vec<String>)> {
        let status = self.json(steps, &["migrate", "status"])?;
        let found = status["extensions"].as_array().into_iter().flatten();
        let own = found.clone().find(|it| it["extension"] == "stepper");
        let own = own.with_context(|| format!("no stepper in {status}"))?;
        let versions = |value: &Value| {
            let each = value.as_array().into_iter().flatten();
            each.filter_map(|it| Some(it["version"].as_str()?.to_owned())).collect::<Vec<_>>()
        };
        ensure!(own["error"].is_null(), "{status}");
        Ok((versions(&own["ran"]), versions(&own["pending"])))
    }

    /// The tables of the extension, with their rows, as `migrate purge` counts them; nothing is dropped.
    pub(crate) fn tables(&self) -> Result<Value> {
        let said = self.setup.cli(&["--json", "migrate", "purge", "stepper"])?;
        match said.code {
            Some(0) => Ok(said.json()?["tables"].clone()),
            Some(4) => Ok(json!({})),
            _ => bail!("{said:?}"),
        }
    }
}

/// The setting under which the library brings `steps`.
pub(crate) fn setting(steps: &[Step]) -> String {
    let steps: Vec<_> = steps
        .iter()
        .map(|(folder, up, down)| json!({ "folder": folder, "up": up, "down": down }))
        .collect();
    format!("extension.stepper.migrations={}", Value::from(steps))
}

/// A migration that makes a table.
pub(crate) fn table(folder: &str, name: &str) -> Step {
    let up = format!("CREATE TABLE stepper_{name} (id INTEGER PRIMARY KEY, name TEXT);");
    (folder.to_owned(), up, format!("DROP TABLE stepper_{name};"))
}
