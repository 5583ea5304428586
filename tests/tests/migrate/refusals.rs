//! What cannot be run is refused in a sentence of its own, which says the way out; the platform serves without it.

use anyhow::{Result, ensure};

use crate::place::{Place, Step, setting, table};

#[test]
fn each_fault_has_its_own_sentence() -> Result<()> {
    for place in Place::both()? {
        let first = [table("1_a", "a"), table("3_c", "c")];
        place.json(&first, &["migrate"])?;
        let file = if place.engine == "sqlite" { "sqlite/up.sql" } else { "postgres/up.sql" };
        let edited = [table("1_a", "other"), table("3_c", "c")];
        check(
            &place,
            &edited,
            &["migration `1_a` of `stepper` was edited after it ran", file, "restore the text"],
        )?;
        check(
            &place,
            &[table("3_c", "c")],
            &[
                "migration `1_a` of `stepper` ran, but the installed library of `stepper` does not bring it",
                "install the version that does",
            ],
        )?;
        check(
            &place,
            &[table("1_a", "a"), table("2_b", "b"), table("3_c", "c")],
            &[
                "migration `2_b` of `stepper` did not run, but `3`, which comes behind it, did",
                "give it a version later than `3`",
            ],
        )?;
        // Refused before anything is planned.
        let twice = [table("1_a", "a"), table("3_c", "c"), table("3_d", "d")];
        let said = place.cli(&twice, &["migrate"])?;
        let sentence = "`stepper` has two migrations of version `3`: give one of them another";
        ensure!(said.code == Some(1) && said.stdout.contains(sentence), "{said:?}");
        check(
            &place,
            &[table("1_a", "a")],
            &[
                "the database is newer than the installed library of `stepper`: migration `3_c` ran, and the last that it brings is `1`",
                "`powernode migrate revert stepper --steps 1`",
            ],
        )?;
        check(&place, &[], &["migration `1_a` ran, and the last that it brings is none"])?;
        // None of it changed anything.
        ensure!(place.ran(&first)? == (vec!["1".into(), "3".into()], vec![]), "{}", place.engine);
    }
    Ok(())
}

#[test]
fn a_library_newer_than_the_database_waits_for_the_command_where_that_is_set() -> Result<()> {
    for place in Place::both()? {
        let old = [table("1_a", "a")];
        let new = [table("1_a", "a"), table("2_b", "b")];
        place.json(&old, &["migrate"])?;
        let mut setup = place.setup;
        let (key, value) = setting(&new)
            .split_once('=')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap_or_default();
        setup.set(&key, &value);
        setup.set("database.migrate_at_start", "false");
        let instance = setup.start()?;
        let shown = instance.operator().get("/api/v1/admin/extensions/stepper")?.text();
        for part in [
            "the installed library of `stepper` is newer than the database: 1 of its migrations did not run",
            "run `powernode migrate`",
        ] {
            ensure!(shown.contains(part), "{}: {shown}", place.engine);
        }
        let alive = instance.anonymous().get("/api/v1/stepper/alive")?;
        ensure!(alive.status == 404, "{}", alive.text());
        let stopped = instance.stop()?;
        let said = stopped.setup().cli(&["migrate"])?;
        ensure!(said.code == Some(0), "{said:?}");
        let instance = stopped.start()?;
        let alive = instance.anonymous().get("/api/v1/stepper/alive")?;
        ensure!(alive.status == 200, "{}", alive.text());
    }
    Ok(())
}

/// The plan, the run and the start say it, the command fails, and the platform serves without the extension.
#[track_caller]
fn check(place: &Place, steps: &[Step], parts: &[&str]) -> Result<()> {
    let plan = place.json(steps, &["migrate", "--dry-run"])?.to_string();
    let said = place.cli(steps, &["migrate"])?;
    ensure!(said.code == Some(1), "{}: {said:?}", place.engine);
    for part in parts {
        ensure!(plan.contains(part), "{}: no {part:?} in {plan}", place.engine);
        ensure!(said.stdout.contains(part), "{}: no {part:?} in {}", place.engine, said.stdout);
    }
    Ok(())
}
