//! Killed at every statement: the next start finds each migration whole or not at all, and ends where it would have.
//!
//! A statement that never ends stands before one statement after the other, and behind the last. The process is killed
//! when the database says that it works on that statement.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use powernode_tests::{instance::within, report::Report};

use crate::place::{Place, Step, setting};

/// What the migrations do, statement by statement.
const TEXTS: [(&str, &[&str], &str); 3] = [
    (
        "1_make",
        &[
            "CREATE TABLE stepper_a (id INTEGER PRIMARY KEY, name TEXT)",
            "INSERT INTO stepper_a (id) VALUES (1), (2), (3)",
            "CREATE INDEX stepper_by_name ON stepper_a (name)",
            "CREATE TABLE stepper_b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES stepper_a (id))",
        ],
        "DROP TABLE stepper_b; DROP TABLE stepper_a;",
    ),
    (
        "2_change",
        &[
            "ALTER TABLE stepper_a ADD COLUMN size INTEGER NOT NULL DEFAULT 1",
            "UPDATE stepper_a SET size = size + 1",
            "INSERT INTO stepper_b (id, a_id) SELECT id, id FROM stepper_a",
            "DELETE FROM stepper_b WHERE id = 3",
        ],
        "DELETE FROM stepper_b; ALTER TABLE stepper_a DROP COLUMN size;",
    ),
    (
        "3_more",
        &[
            "INSERT INTO stepper_a (id, size) SELECT id + 10, size FROM stepper_a",
            "DROP INDEX stepper_by_name",
            "ALTER TABLE stepper_a RENAME TO stepper_c",
            "INSERT INTO stepper_c (id) VALUES (100)",
        ],
        "ALTER TABLE stepper_c RENAME TO stepper_a; CREATE INDEX stepper_by_name ON stepper_a (name);",
    ),
];

/// Connections on which the statement that never ends runs.
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event = 'PgSleep'";
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_run_that_is_killed_at_any_statement_converges() -> Result<()> {
    let mut report = Report::begin("migration_crash");
    for place in Place::both()? {
        let steps = steps(None, &place);
        for (at, (folder, statements, _)) in TEXTS.iter().enumerate() {
            for statement in 0..=statements.len() {
                let killed = killed(&place, at, statement)?;
                let case =
                    format!("{}: {folder}, before statement {}", place.engine, statement + 1);
                // On SQLite the whole run is one transaction, on PostgreSQL each migration is.
                let whole = if place.engine == "sqlite" { 0 } else { at };
                report.case(case.clone(), format!("{whole} whole"), killed);
                // A start, which brings it to the end.
                let said = place.cli(&steps, &["migrate"])?;
                report.case(format!("{case}, then again"), "Some(0)", format!("{:?}", said.code));
                let (ran, pending) = place.ran(&steps)?;
                let shape = format!("{ran:?} {pending:?} {}", place.tables()?);
                let expected = r#"["1", "2", "3"] [] {"stepper_b":2,"stepper_c":7}"#;
                report.case(format!("{case}, then what is there"), expected, shape);
                // Back to the beginning, which also shows that each way back works on what was left.
                place.json(&steps, &["migrate", "revert", "stepper", "--all"])?;
                ensure!(place.tables()? == serde_json::json!({}), "{case}: {}", place.tables()?);
            }
        }
    }
    report.finish();
    Ok(())
}

/// The migrations, with a statement that never ends before the `statement`th of the `at`th.
fn steps(endless: Option<(usize, usize)>, place: &Place) -> Vec<Step> {
    let never = match place.engine {
        "sqlite" => {
            "INSERT INTO stepper_a (id) WITH RECURSIVE stepper_n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM stepper_n) \
             SELECT count(*) FROM stepper_n"
        }
        _ => "SELECT pg_sleep(3600)",
    };
    let text = |number: usize, statements: &[&str]| {
        let mut all: Vec<String> = statements.iter().map(|&it| it.to_owned()).collect();
        if let Some((_, statement)) = endless.filter(|it| it.0 == number) {
            // The table does not always stand there: a SELECT would end at its first row, and a table of its own does not.
            let never = match place.engine {
                "sqlite" => {
                    never.replace("INSERT INTO stepper_a (id)", "CREATE TABLE stepper_z AS")
                }
                _ => never.to_owned(),
            };
            all.insert(statement, never);
        }
        all.join(";\n") + ";"
    };
    let each = TEXTS.iter().enumerate();
    each.map(|(number, (folder, statements, down))| {
        ((*folder).to_owned(), text(number, statements), (*down).to_owned())
    })
    .collect()
}

/// Kills a run there, and answers how many migrations are whole.
fn killed(place: &Place, at: usize, statement: usize) -> Result<String> {
    let setting = setting(&steps(Some((at, statement)), place));
    let mut command = place.setup.command();
    let command = command.args(["--set", &setting, "migrate"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let arrived = within(DEADLINE, || has_arrived(place, &child));
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    if !arrived || ended.is_some() {
        bail!("{}: the run did not come to statement {statement} of {at}: {ended:?}", place.engine);
    }
    // The server looks for a client that is gone once a second, and ends what it began.
    if let Some((cluster, url)) = &place.database {
        let ended = within(DEADLINE, || cluster.ask(url, SLEEPING).is_ok_and(|it| it == "0"));
        ensure!(ended, "the server works on for a client that is gone");
    }
    let (ran, pending) = place.ran(&steps(None, place))?;
    ensure!(ran.len() + pending.len() == TEXTS.len(), "{ran:?} {pending:?}");
    let expected: &[&str] = match ran.len() {
        0 => &[],
        1 | 2 => &["stepper_a", "stepper_b"],
        _ => &["stepper_b", "stepper_c"],
    };
    let tables = place.tables()?;
    let names = tables.as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
    let as_expected = names.is_some_and(|names| names == expected);
    Ok(if as_expected { format!("{} whole", ran.len()) } else { format!("{ran:?} and {tables}") })
}

/// Whether the run is at the statement that never ends.
fn has_arrived(place: &Place, child: &Child) -> bool {
    match &place.database {
        Some((cluster, url)) => cluster.ask(url, SLEEPING).is_ok_and(|it| it == "1"),
        // It holds the lock of writers, and computes: the statements before take no time.
        None => holds_writers_lock(child) && has_computed(child, 25),
    }
}

/// Whether a process holds byte 120 of the file `powernode.db-shm`, which is SQLite's lock for writers.
fn holds_writers_lock(child: &Child) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let id = child.id().to_string();
    locks.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        matches!(fields.as_slice(), [_, _, _, "WRITE", process, _, "120", "120"] if *process == id)
    })
}

/// Whether a process used the processor for as many hundredths of a second, and did so with the lock held.
fn has_computed(child: &Child, hundredths: u64) -> bool {
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        fields.split_whitespace().nth(11).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = used();
    within(DEADLINE, || used() >= before + hundredths || !holds_writers_lock(child))
        && holds_writers_lock(child)
}
