//! A hostile extension tries to reach what is not its own, as a built library in a running platform, on both
//! databases: each attempt is refused, and the log names the owner of what it reached for.

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::fixture,
    instance::Instance,
    postgres::Cluster,
    report::Report,
    setup::{Said, Setup, manifest},
};
use serde_json::json;

mod postgres;
mod sqlite;

/// The other extension, whose table is `fixture_000_notes`.
const OTHER: &str = "extension `fixture-000`";
const CORE: &str = "the core";
const DATABASE: &str = "the database itself";
const PLATFORM: &str = "the platform";

/// What is tried: its name, whose the log must say it is, and the statements, of which the last must be refused.
type Attempt = (&'static str, &'static str, &'static [&'static str]);

/// How many ways must be tried at least, by jobs and migrations together.
const LEAST: u64 = 25;

#[test]
fn nothing_of_others_is_reached_on_sqlite() -> Result<()> {
    let scene = Scene::new(Setup::new()?)?;
    let mut report = Report::begin("confinement_sqlite");
    let scene = scene.try_migrations(&mut report, sqlite::MIGRATIONS)?;
    scene.try_jobs(&mut report, sqlite::JOBS)?;
    scene.look(&mut report)?;
    ensure!(report.cases > LEAST);
    report.finish();
    Ok(())
}

#[test]
fn nothing_of_others_is_reached_on_postgres() -> Result<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    let database = cluster.database()?;
    let scene = Scene::new(Setup::new()?.with_setting("database.url", &database))?;
    let ask = |sql: &str| cluster.ask(&database, sql);
    ask("SELECT lo_from_bytea(4711, 'secret')")?;
    ask("CREATE SEQUENCE core.core_numbers")?;
    let shape = ask(postgres::SHAPE)?;
    let mut report = Report::begin("confinement_postgres");
    let scene = scene.try_migrations(&mut report, postgres::MIGRATIONS)?;
    scene.try_jobs(&mut report, postgres::JOBS)?;
    for (case, statements) in postgres::HARMLESS {
        // It may be said, and changes nothing: what is looked at below is as it was.
        report.case(*case, "answered", scene.attempt(statements)?);
    }
    scene.look(&mut report)?;
    report.case("what stands in the database", shape, ask(postgres::SHAPE)?);
    report.case("what the role is a member of", "0", ask(postgres::MEMBERSHIPS)?);
    ensure!(report.cases > LEAST);
    report.finish();
    Ok(())
}

/// The weaker mode, which the attempts above would find: they can fail.
#[test]
fn the_search_path_stops_accidents_alone() -> Result<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
    let scene = Scene::new(setup.with_setting("database.confinement", "search_path"))?;
    let attempt = |sql| scene.attempt(&[sql]);
    ensure!(attempt("SELECT text FROM fixture_000_notes")? == refused(OTHER));
    ensure!(attempt("SELECT text FROM fixture_000.fixture_000_notes")? == "answered");
    Ok(())
}

/// A platform with the hostile extension, and with another one whose table holds a secret.
struct Scene {
    instance: Instance,
}

impl Scene {
    fn new(setup: Setup) -> Result<Scene> {
        let mut hostile = manifest("hostile", "1.0.0");
        hostile["default_enabled"] = true.into();
        let setup = setup.with_fixture()?.with_extension(&fixture("hostile")?, &hostile)?;
        let instance = setup.start()?;
        let note = json!({ "text": "secret" });
        let answer = instance.anonymous().post("/api/v1/fixture-000/notes", &note)?;
        ensure!(answer.status == 201, "{}: {}", answer.text(), instance.log());
        Ok(Scene { instance })
    }

    /// Lets the extension bring a migration of one text after the other, while the platform does not run.
    fn try_migrations(self, report: &mut Report, attempts: &[Attempt]) -> Result<Scene> {
        let stopped = self.instance.stop()?;
        for (case, owner, texts) in attempts {
            let text = format!("extension.hostile.migration={}", texts.concat());
            let said = stopped.setup().cli(&["--set", &text, "migrate"])?;
            report.case(format!("migration: {case}"), refused(owner), migrated(&said));
        }
        let said = stopped.setup().cli(&["migrate"])?;
        report.case("migration: none", "migrated", migrated(&said));
        Ok(Scene { instance: stopped.start()? })
    }

    /// Lets the extension run statements.
    fn try_jobs(&self, report: &mut Report, attempts: &[Attempt]) -> Result<()> {
        for (case, owner, statements) in attempts {
            report.case(*case, refused(owner), self.attempt(statements)?);
        }
        // What is its own is not refused, by the same means.
        let own = [
            "INSERT INTO hostile_items (id, name) VALUES (2, 'two')",
            "SELECT name FROM hostile_items",
        ];
        report.case("own rows", "answered", self.attempt(&own)?);
        Ok(())
    }

    /// Runs statements, and answers what became of the last.
    fn attempt(&self, statements: &[&str]) -> Result<String> {
        let before = self.instance.log().len();
        let answer = self.instance.anonymous().post("/api/v1/hostile/try", &json!(statements))?;
        ensure!(answer.status == 200, "{statements:?}: {}", answer.text());
        let data = answer.data();
        let Some(error) = data["error"].as_str() else { return Ok("answered".to_owned()) };
        let log = self.instance.log();
        let owner = owner(log.get(before..).context("the log became shorter")?);
        Ok(owner.map_or_else(|| format!("failed: {error}"), |it| refused(&it)))
    }

    /// Looks at what is not the extension's: all of it is as it was.
    fn look(&self, report: &mut Report) -> Result<()> {
        let client = self.instance.operator();
        let notes = client.get("/api/v1/fixture-000/notes")?.data();
        let texts: Vec<_> = notes.as_array().into_iter().flatten().map(|it| &it["text"]).collect();
        report.case("the other's rows", "[String(\"secret\")]", format!("{texts:?}"));
        let flag = client.get("/api/v1/admin/flags/fixture_000_mode")?;
        report.case("the other's flag", "true", flag.data()["gates"]["boolean"].to_string());
        let said = self.instance.cli(&["audit", "verify"])?;
        report.case("the audit's chain", "Some(0)", format!("{:?}", said.code));
        Ok(())
    }
}

fn refused(owner: &str) -> String {
    format!("refused: it belongs to {owner}")
}

/// What `powernode migrate` made of the extension's migration.
fn migrated(said: &Said) -> String {
    match (said.code, owner(&said.stderr)) {
        (Some(0), _) => "migrated".to_owned(),
        (Some(1), Some(owner)) => refused(&owner),
        _ => format!("failed: {}{}", said.stdout, said.stderr),
    }
}

/// Whose the last thing is that the log says was refused.
fn owner(log: &str) -> Option<String> {
    let (_, line) = log.rsplit_once("Refused extension `hostile`: ")?;
    let (_, owner) = line.split_once("belongs to ")?;
    let owners = [OTHER, CORE, DATABASE, PLATFORM];
    owners.into_iter().find(|it| owner.starts_with(it)).map(str::to_owned)
}
