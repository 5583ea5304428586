//! Plan, run, go back, purge.

use std::{process::Stdio, thread};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::place::{Place, setting, table};

/// How many processes begin together.
const PROCESSES: usize = 4;

#[test]
fn of_four_processes_started_together_one_runs_each_migration() -> Result<()> {
    for place in Place::both()? {
        let name = place.engine;
        // A second run of one of these fails, or doubles the row.
        let steps = [
            table("1_a", "a"),
            (
                "2_b".to_owned(),
                "INSERT INTO stepper_a (id) SELECT count(*) FROM stepper_a".to_owned(),
                "DELETE FROM stepper_a".to_owned(),
            ),
            table("3_c", "c"),
        ];
        let setting = setting(&steps);
        let children: Vec<_> = (0..PROCESSES)
            .map(|_| {
                let mut command = place.setup.command();
                command.args(["--set", &setting, "migrate"]).stdin(Stdio::null());
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
            })
            .collect::<Result<_, _>>()?;
        let ends: Vec<_> = children
            .into_iter()
            .map(|child| thread::spawn(move || child.wait_with_output()))
            .filter_map(|thread| thread.join().ok())
            .collect();
        ensure!(ends.len() == PROCESSES);
        for end in ends {
            let end = end?;
            let said = String::from_utf8_lossy(&end.stderr).into_owned()
                + &String::from_utf8_lossy(&end.stdout);
            ensure!(end.status.success(), "{name}: {said}");
        }
        let (ran, pending) = place.ran(&steps)?;
        ensure!(ran == ["1", "2", "3"] && pending.is_empty(), "{name}: {ran:?} {pending:?}");
        ensure!(
            place.tables()? == json!({ "stepper_a": 1, "stepper_c": 0 }),
            "{name}: {}",
            place.tables()?
        );
    }
    Ok(())
}

#[test]
fn an_extension_goes_back_and_forth_and_is_purged_alone() -> Result<()> {
    for place in Place::both()? {
        let name = place.engine;
        let steps = [table("1_a", "a"), table("2_b", "b"), table("3_c", "c")];
        let plan = place.json(&steps, &["migrate", "--dry-run"])?;
        ensure!(plan["steps"][1]["pending"] == json!(["1_a", "2_b", "3_c"]), "{name}: {plan}");
        ensure!(
            place.cli(&steps, &["migrate", "status"])?.stdout.contains("run `powernode migrate`")
        );
        place.json(&steps, &["migrate"])?;

        let undone = place.json(&steps, &["migrate", "revert", "stepper", "--steps", "1"])?;
        ensure!(undone["reverted"] == json!(["3"]), "{name}: {undone}");
        ensure!(place.ran(&steps)? == (vec!["1".into(), "2".into()], vec!["3".into()]), "{name}");
        ensure!(place.tables()? == json!({ "stepper_a": 0, "stepper_b": 0 }), "{name}");
        let undone = place.json(&steps, &["migrate", "revert", "stepper", "--all"])?;
        ensure!(undone["reverted"] == json!(["2", "1"]), "{name}: {undone}");
        ensure!(place.tables()? == json!({}), "{name}");
        ensure!(place.cli(&steps, &["migrate", "revert", "stepper"])?.code == Some(2), "{name}");

        // Its directory goes: its data stays, and what it brings back finds it.
        place.json(&steps, &["migrate"])?;
        let (from, to) =
            (place.setup.extensions().join("stepper"), place.setup.directory().join("away"));
        std::fs::rename(&from, &to)?;
        place.json(&steps, &["migrate"])?;
        let said = place.cli(&steps, &["migrate", "status"])?.stdout;
        ensure!(said.contains("its data is kept"), "{name}: {said}");
        ensure!(place.tables()?.as_object().is_some_and(|it| it.len() == 3), "{name}");
        ensure!(
            place.cli(&steps, &["migrate", "revert", "stepper", "--all"])?.code == Some(4),
            "{name}"
        );

        // Purged without its library; what is the core's stays, and the log says what went.
        let gone = place.json(&steps, &["migrate", "purge", "stepper", "--yes"])?;
        ensure!(gone["purged"] == true, "{name}: {gone}");
        ensure!(place.tables()? == json!({}), "{name}");
        ensure!(
            place.cli(&steps, &["migrate", "purge", "stepper", "--yes"])?.code == Some(4),
            "{name}"
        );
        let said = place.cli(&steps, &["audit", "export"])?.stdout;
        for action in ["extension.revert", "extension.purge", "extension.purged"] {
            ensure!(said.contains(action), "{name}: no {action} in {said}");
        }
        ensure!(place.cli(&steps, &["audit", "verify"])?.code == Some(0), "{name}");
        std::fs::rename(&to, &from)?;
        place.json(&steps, &["migrate"])?;
        ensure!(place.ran(&steps)?.0 == ["1", "2", "3"], "{name}");
    }
    Ok(())
}

#[test]
fn nothing_is_taken_back_from_a_platform_that_runs() -> Result<()> {
    for place in Place::both()? {
        let steps = [table("1_a", "a")];
        place.json(&steps, &["migrate"])?;
        let setting = setting(&steps);
        let instance = place.setup.start()?;
        for words in [["revert", "stepper", "--all"], ["purge", "stepper", "--yes"]] {
            let said = instance.cli(&[&["--set", &setting, "migrate"][..], &words].concat())?;
            ensure!(
                said.code == Some(5) && said.stderr.contains("stop it"),
                "{}: {said:?}",
                place.engine
            );
        }
    }
    Ok(())
}

#[test]
fn what_is_taken_away_in_one_step_is_named() -> Result<()> {
    for place in Place::both()? {
        let name = place.engine;
        let drop = |line: &str| {
            let up = format!(
                "{line}ALTER TABLE stepper_a DROP COLUMN name; ALTER TABLE stepper_a ADD COLUMN b TEXT"
            );
            (
                "2_b".to_owned(),
                up,
                "ALTER TABLE stepper_a ADD COLUMN name TEXT; ALTER TABLE stepper_a DROP COLUMN b"
                    .to_owned(),
            )
        };
        place.json(&[table("1_a", "a")], &["migrate"])?;
        let steps = [table("1_a", "a"), drop("")];
        let plan = place.cli(&steps, &["migrate", "--dry-run"])?.stdout;
        let sentence = "migration `2_b` drops or renames column `stepper_a.name` in one step";
        ensure!(plan.contains(sentence), "{name}: {plan}");
        let steps = [table("1_a", "a"), drop("-- powernode: contract\n")];
        let plan = place.cli(&steps, &["migrate", "--dry-run"])?.stdout;
        ensure!(plan.contains("2_b") && !plan.contains("warning"), "{name}: {plan}");
    }
    Ok(())
}

#[test]
fn a_rehearsal_runs_the_plan_on_a_copy() -> Result<()> {
    for place in Place::both()? {
        let name = place.engine;
        let rows = "INSERT INTO stepper_a (id) VALUES (1), (2), (3)".to_owned();
        let first =
            [table("1_a", "a"), ("2_rows".to_owned(), rows, "DELETE FROM stepper_a".to_owned())];
        place.json(&first, &["migrate"])?;
        let more =
            "ALTER TABLE stepper_a ADD COLUMN size INTEGER; DELETE FROM stepper_a WHERE id = 1";
        let next = (
            "3_more".to_owned(),
            more.to_owned(),
            "ALTER TABLE stepper_a DROP COLUMN size".to_owned(),
        );
        let steps = [first[0].clone(), first[1].clone(), next, table("4_b", "b")];
        // While the platform runs: the copy is what is locked.
        let instance = place.setup.start()?;
        let setting = setting(&steps);
        let rehearse =
            |setting: &str| instance.cli(&["--set", setting, "--json", "migrate", "--rehearse"]);
        let said = rehearse(&setting)?;
        ensure!(said.code == Some(0), "{name}: {said:?}");
        let act = said.json()?["steps"][1].clone();
        let ran: Vec<_> =
            act["ran"].as_array().into_iter().flatten().map(|it| it["version"].clone()).collect();
        ensure!(ran == ["3", "4"], "{name}: {act}");
        ensure!(act["ran"][0]["milliseconds"].as_f64() > Some(0.0), "{name}: {act}");
        let locks = if name == "sqlite" {
            json!(["all writers of the database"])
        } else {
            json!(["`stepper_a`: AccessExclusiveLock"])
        };
        ensure!(act["ran"][0]["locks"] == locks, "{name}: {act}");
        let tables = json!({ "stepper_a": { "before": 3, "after": 2 }, "stepper_b": { "before": null, "after": 0 } });
        ensure!(act["tables"] == tables, "{name}: {act}");

        // One that fails says so, and neither leaves anything.
        let broken = (
            "3_more".to_owned(),
            "INSERT INTO stepper_a (id) VALUES (3)".to_owned(),
            "SELECT 1".to_owned(),
        );
        let setting = crate::place::setting(&[first[0].clone(), first[1].clone(), broken]);
        let said = rehearse(&setting)?;
        ensure!(
            said.code == Some(1) && said.stdout.contains("up.sql of migration `3_more`"),
            "{name}: {said:?}"
        );
        let left = std::fs::read_dir(instance.setup().data())?
            .filter_map(|it| it.ok()?.file_name().into_string().ok());
        let left: Vec<_> = left.filter(|it| it.starts_with("rehearsal")).collect();
        ensure!(left.is_empty(), "{name}: {left:?}");
        if let Some((cluster, url)) = &place.database {
            let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'rehearsal%'";
            ensure!(cluster.ask(url, databases)? == "0");
        }
        let stopped = instance.stop()?;
        let status = stopped.setup().cli(&[
            "--set",
            &crate::place::setting(&first),
            "--json",
            "migrate",
            "status",
        ])?;
        ensure!(status.json()?["extensions"][1]["pending"] == json!([]), "{name}: {status:?}");
    }
    Ok(())
}
