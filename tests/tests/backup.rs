//! Backups of a platform under writers, put back in an empty place: all that was acknowledged before is there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    instance::{Instance, within},
    postgres::Cluster,
    setup::{Said, Setup},
};
use serde_json::{Value, json};

const NOTES: &str = "/api/v1/fixture-000/notes";
const WRITERS: usize = 4;
/// Restores that are killed, each so much later than the one before.
const ROUNDS: u32 = 12;
const STEP: Duration = Duration::from_millis(60);
/// Notes that must be acknowledged before the backup begins, and again after it ended.
const MANY: usize = 40;

#[test]
fn what_was_acknowledged_is_restored_on_sqlite() -> Result<()> {
    drill("sqlite", &|| Setup::new())
}

#[test]
fn what_was_acknowledged_is_restored_on_postgres() -> Result<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    drill("postgres", &|| Ok(Setup::new()?.with_setting("database.url", &cluster.database()?)))
}

#[test]
fn a_restore_that_is_killed_leaves_one_whole_state_on_sqlite() -> Result<()> {
    killed("sqlite", Setup::new()?, None)
}

#[test]
fn a_restore_that_is_killed_leaves_one_whole_state_on_postgres() -> Result<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    let url = cluster.database()?;
    killed("postgres", Setup::new()?.with_setting("database.url", &url), Some((cluster, &url)))
}

/// Kills restores at ever later moments: the next start finds the former notes, or those of the backup.
fn killed(engine: &str, setup: Setup, cluster: Option<(&Cluster, &str)>) -> Result<()> {
    let mut instance = setup.with_fixture()?.start()?;
    let note = |instance: &Instance, text: &str| -> Result<()> {
        let answer = instance.anonymous().post(NOTES, &json!({ "text": text }))?;
        ensure!(answer.status == 201, "{}", answer.text());
        Ok(())
    };
    note(&instance, "old")?;
    let backup = instance.setup().directory().join("backup");
    made(&instance, &backup)?;
    let (mut former, mut restored) = (0, 0);
    for round in 0..ROUNDS {
        let new = format!("new {round}");
        note(&instance, &new)?;
        let stopped = instance.stop()?;
        let mut restore = stopped.setup().command();
        restore.args(["backup", "restore", text(&backup), "--force"]);
        let mut restore = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        thread::sleep(STEP * round);
        restore.kill()?;
        restore.wait()?;
        instance = stopped.start()?;
        let found = notes(&instance)?;
        match (found.contains(&"old".to_owned()), found.contains(&new)) {
            (true, true) => former += 1,
            (true, false) if found.len() == 1 => restored += 1,
            _ => anyhow::bail!("{engine}, {round}: neither state is whole: {found:?}"),
        }
    }
    ensure!(
        former > 0 && restored > 0,
        "{engine}: {former} times the former state, {restored} the restored"
    );
    let stopped = instance.stop()?;
    let said = stopped.setup().cli(&["backup", "restore", text(&backup), "--force"])?;
    ensure!(said.code == Some(0), "{engine}: {said:?}");
    ensure!(notes(&stopped.start()?)? == ["old"], "{engine}: the last one was not killed");
    if let Some((cluster, url)) = cluster {
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'powernode\\_former%'";
        ensure!(cluster.ask(url, left)? == "0", "what was moved aside is left");
    }
    Ok(())
}

fn drill(engine: &str, place: &dyn Fn() -> Result<Setup>) -> Result<()> {
    let instance = place()?.with_fixture()?.start()?;
    let key_id = fs::read_to_string(instance.setup().data().join("master.key"))?;
    let flag = instance.operator().post("/api/v1/admin/flags", &json!({ "name": "kept" }))?;
    ensure!(flag.status < 500, "{}", flag.text());
    instance.cli(&["state", "disable", "fixture-000"])?;
    let backup = instance.setup().directory().join("backup");
    let (before, all) = under_writers(&instance, || made(&instance, &backup))?;
    ensure!(all.len() >= before.len() + MANY, "{engine}: nothing was written meanwhile");
    let said = instance.cli(&["backup", "create", "--to", text(&backup)])?;
    ensure!(said.code == Some(5), "{engine}: {said:?}");
    let said = instance.cli(&["--json", "backup", "verify", text(&backup)])?;
    let told = said.json()?;
    ensure!(said.code == Some(0) && told["intact"] == true && told["sealed"] == true, "{said:?}");
    ensure!(!backup.join("master.key").exists(), "{engine}: the key is in the backup");
    let said = instance.cli(&["backup", "restore", text(&backup), "--force"])?;
    ensure!(said.code == Some(5), "{engine}: over a platform that runs: {said:?}");

    // An empty place, and the key brought by hand.
    let fresh = place()?.with_fixture()?;
    let said = fresh.cli(&["backup", "restore", text(&backup)])?;
    let told = &said.stdout;
    ensure!(said.code == Some(0) && told.contains("Put master key `"), "{engine}: {said:?}");
    ensure!(fs::read(fresh.state_file())? == fs::read(instance.setup().state_file())?);
    give_key(&fresh, &key_id)?;
    let said = fresh.cli(&["state", "enable", "fixture-000"])?;
    ensure!(said.code == Some(0), "{engine}: {said:?}");
    let restored = fresh.start()?;
    let found = notes(&restored)?;
    let lost: Vec<_> = before.iter().filter(|it| !found.contains(it)).collect();
    ensure!(lost.is_empty(), "{engine}: {} of {} are lost: {lost:?}", lost.len(), before.len());
    let said = restored.cli(&["audit", "verify"])?;
    ensure!(said.code == Some(0), "{engine}: {said:?}");
    let said = restored.cli(&["audit", "export"])?;
    ensure!(said.stdout.contains("backup.create") && said.stdout.contains("backup.restore"));
    // It writes on.
    let answer = restored.anonymous().post(NOTES, &json!({ "text": "after" }))?;
    ensure!(answer.status == 201, "{engine}: {}", answer.text());

    // Over data that are there: asked for alone.
    let stopped = restored.stop()?;
    let said = stopped.setup().cli(&["backup", "restore", text(&backup)])?;
    ensure!(said.code == Some(5) && said.stderr.contains("--force"), "{engine}: {said:?}");
    let said = stopped.setup().cli(&["backup", "restore", text(&backup), "--force"])?;
    ensure!(said.code == Some(0), "{engine}: {said:?}");
    stopped.setup().cli(&["state", "enable", "fixture-000"])?;
    let again = stopped.start()?;
    let found = notes(&again)?;
    ensure!(before.iter().all(|it| found.contains(it)) && !found.contains(&"after".to_owned()));

    tampered(engine, &backup, &place()?, &key_id)
}

/// Copies with one thing changed: neither is taken for whole, and nothing of it is put anywhere.
fn tampered(engine: &str, backup: &Path, empty: &Setup, key: &str) -> Result<()> {
    let database =
        ["database.sqlite", "database.dump"].into_iter().find(|it| backup.join(it).exists());
    let database = database.context("there is no database in the backup")?;
    let manifest = |change: &dyn Fn(&mut Value), dir: &Path| -> Result<()> {
        let path = dir.join("backup.json");
        let mut value: Value = serde_json::from_slice(&fs::read(&path)?)?;
        change(&mut value);
        Ok(fs::write(&path, value.to_string())?)
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&Path) -> Result<()>, &'a str);
    let changes: [Change<'_>; 6] = [
        (
            "a byte",
            &|dir| {
                let mut bytes = fs::read(dir.join(database))?;
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Ok(fs::write(dir.join(database), bytes)?)
            },
            "was changed after it was written",
        ),
        (
            "the end",
            &|dir| {
                let file = fs::File::options().write(true).open(dir.join(database))?;
                Ok(file.set_len(file.metadata()?.len() - 1)?)
            },
            "was changed after it was written",
        ),
        ("a file less", &|dir| Ok(fs::remove_file(dir.join(database))?), "is missing"),
        ("a file more", &|dir| Ok(fs::write(dir.join("more"), "x")?), "is not in the manifest"),
        (
            "the manifest",
            &|dir| manifest(&|it| it["backup"]["created_at"] = "2020-01-01T00:00:00Z".into(), dir),
            "was changed after it was written",
        ),
        (
            "the manifest's list",
            &|dir| manifest(&|it| it["backup"]["files"][database]["size"] = 1.into(), dir),
            "was changed after it was written",
        ),
    ];
    give_key(empty, key)?;
    for (case, change, sentence) in changes {
        let dir = copied(backup, &empty.directory().join(case.replace(' ', "-")))?;
        change(&dir)?;
        let said = empty.cli(&["backup", "verify", text(&dir)])?;
        ensure!(
            said.code == Some(3) && said.stdout.contains(sentence),
            "{engine}, {case}: {said:?}"
        );
        let said = empty.cli(&["backup", "restore", text(&dir)])?;
        ensure!(
            said.code == Some(1) && said.stderr.contains("nothing was restored"),
            "{engine}, {case}: {said:?}"
        );
        let said =
            empty.cli(&["backup", "create", "--to", text(&empty.directory().join("none"))])?;
        ensure!(said.code == Some(4), "{engine}, {case}: something was restored: {said:?}");
    }
    Ok(())
}

/// Lets others write while `work` runs; answers what was acknowledged before it, and in all.
fn under_writers(
    instance: &Instance,
    work: impl FnOnce() -> Result<()>,
) -> Result<(Vec<String>, Vec<String>)> {
    let acknowledged = Mutex::new(Vec::new());
    let ends = AtomicBool::new(false);
    let taken = || acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let before = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, acknowledged, ends) = (instance.anonymous(), &acknowledged, &ends);
            scope.spawn(move || {
                for number in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                    let note = format!("note {writer} {number}");
                    let answer = client.post(NOTES, &json!({ "text": note }));
                    if answer.is_ok_and(|it| it.status == 201) {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(note);
                    }
                }
            });
        }
        let wait = |count: usize| within(Duration::from_secs(60), || taken().len() >= count);
        let began = wait(MANY);
        let before: Vec<String> = taken();
        let worked = work();
        let went_on = wait(before.len() + MANY);
        ends.store(true, Ordering::Relaxed);
        worked?;
        ensure!(began && went_on, "the writers stood still");
        Ok(before)
    })?;
    Ok((before, taken()))
}

fn made(instance: &Instance, to: &Path) -> Result<()> {
    let said: Said = instance.cli(&["backup", "create", "--to", text(to)])?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(())
}

fn notes(instance: &Instance) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for page in 1.. {
        let answer = instance.anonymous().get(&format!("{NOTES}?page={page}&per_page=100"))?;
        ensure!(answer.status == 200, "{} {}", answer.text(), instance.log());
        let data = answer.data();
        let rows = data.as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            break;
        }
        texts.extend(rows.iter().filter_map(|it| Some(it["text"].as_str()?.to_owned())));
    }
    Ok(texts)
}

/// Puts the key in its place, as the one who runs the platform.
fn give_key(setup: &Setup, key: &str) -> Result<()> {
    let path = setup.data().join("master.key");
    fs::write(&path, key)?;
    let owner = fs::metadata(setup.data())?;
    use std::os::unix::fs::{MetadataExt as _, chown};
    chown(&path, Some(owner.uid()), Some(owner.gid())).or_else(|error| {
        match owner.uid() == fs::metadata(&path)?.uid() {
            true => Ok(()),
            false => Err(error),
        }
    })?;
    Ok(())
}

fn copied(from: &Path, to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy)?;
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
    }
    Ok(to.to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
