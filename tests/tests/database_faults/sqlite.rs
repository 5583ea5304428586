//! The embedded database: locked, full, not to be written, damaged, removed.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use diesel::{
    Connection as _, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _,
};
use powernode_tests::{
    instance::{Instance, within},
    setup::Setup,
    skipped::skipped,
};

use crate::rig::{Case, Fault, Heard, NOTES, Rig, SOON};

pub(crate) const FAULTS: &[Fault] = &[
    ("sqlite locked by another process", locked),
    ("sqlite on a full disk", full),
    ("sqlite not to be written", read_only),
    ("sqlite with a damaged page", damaged),
    ("sqlite whose file is removed", |_| removed("powernode.db")),
    ("sqlite whose log is removed", |_| removed("powernode.db-wal")),
    ("sqlite whose file is replaced", replaced),
    ("sqlite whose file is deleted for good", |_| deleted("powernode.db")),
    ("sqlite whose log is deleted for good", |_| deleted("powernode.db-wal")),
    ("sqlite whose file is another one for good", |_| overwritten()),
    ("sqlite with a page that was damaged while nothing ran", damaged_at_rest),
    ("sqlite not to be written at the start", not_writable),
];

const UNAVAILABLE: &str = "503 DATABASE_UNAVAILABLE";

pub(crate) fn start() -> Rig {
    Rig::new(Setup::new().unwrap().with_fixture().unwrap().start().unwrap())
}

/// Takes away what was acknowledged, behind the platform's back.
pub(crate) fn lose_a_row(rig: &Rig) {
    let path = file(&rig.instance, "powernode.db");
    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let oldest = "DELETE FROM fixture_000_notes WHERE id = (SELECT min(id) FROM fixture_000_notes)";
    other.batch_execute(oldest).unwrap();
}

fn file(instance: &Instance, name: &str) -> PathBuf {
    instance.setup().data().join(name)
}

fn locked(_: &str) -> Vec<Case> {
    let rig = start();
    let path = file(&rig.instance, "powernode.db");
    let other = RefCell::new(SqliteConnection::establish(path.to_str().unwrap()).unwrap());
    let does = |sql: &str| other.borrow_mut().batch_execute(sql).unwrap();
    let heard = Heard {
        write: "503 DATABASE_BUSY",
        read: "200",
        reason: "another process has locked the database",
        way_back: "end the program that holds it",
    };
    rig.passes(heard, |_| does("BEGIN IMMEDIATE"), || does("ROLLBACK"))
}

/// A small file system of its own, as long as this is there.
struct Disk(PathBuf);

impl Disk {
    fn of(place: &Path, megabytes: u32) -> Option<Disk> {
        fs::create_dir_all(place).unwrap();
        let size = format!("size={megabytes}m,mode=0777");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place).status();
        if mounted.is_ok_and(|it| it.success()) {
            return Some(Disk(place.to_owned()));
        }
        skipped("a small tmpfs cannot be mounted (needs root)");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|it| it.success()) || std::thread::panicking());
    }
}

fn on_a_disk() -> Option<(Rig, Disk)> {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let place = setup.directory().join("disk");
    let disk = Disk::of(&place, 8)?;
    let owner = fs::metadata(setup.directory()).unwrap();
    chown(&place, Some(owner.uid()), None).unwrap();
    let path = place.join("powernode.db");
    let rig =
        Rig::new(setup.with_setting("database.path", path.to_str().unwrap()).start().unwrap());
    Some((rig, disk))
}

fn full(_: &str) -> Vec<Case> {
    let Some((rig, disk)) = on_a_disk() else { return Vec::new() };
    let ballast = disk.0.join("ballast");
    let heard = Heard {
        write: UNAVAILABLE,
        read: "200",
        reason: "the disk that holds the database is full",
        way_back: "free some space",
    };
    let fill = |instance: &Instance| {
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        // What the log has room for already is written over.
        let client = instance.anonymous();
        let note = serde_json::json!({ "text": "x".repeat(100_000) });
        assert!(within(SOON, || client.post(NOTES, &note).unwrap().status == 503));
    };
    rig.passes(heard, fill, || fs::remove_file(&ballast).unwrap())
}

fn read_only(_: &str) -> Vec<Case> {
    let rig = start();
    let files = ["powernode.db", "powernode.db-wal"].map(|it| file(&rig.instance, it));
    let immutable = |how: &str| {
        let changed = Command::new("chattr").arg(how).args(&files).output();
        changed.is_ok_and(|it| it.status.success())
    };
    // A file system with files that are open for writing is not made read-only; these stay open, and refuse.
    if !immutable("+i") {
        skipped("files cannot be made immutable here (needs root, and ext4 or its like)");
        return Vec::new();
    }
    let heard = Heard {
        write: UNAVAILABLE,
        read: "200",
        reason: "the database may only be read",
        way_back: "let the platform's user write the file",
    };
    rig.passes(heard, |_| (), || assert!(immutable("-i")))
}

fn damaged(_: &str) -> Vec<Case> {
    let mut rig = start();
    let path = file(&rig.instance, "powernode.db");
    let backup = rig.instance.setup().directory().join("backup");
    let backup = backup.to_str().unwrap().to_owned();
    let said = rig.instance.cli(&["backup", "create", "--to", &backup]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    // Once everything is in the file, each page but the first is overwritten.
    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(other);
    let mut database = File::options().write(true).open(&path).unwrap();
    let length = database.metadata().unwrap().len();
    database.seek(SeekFrom::Start(4096)).unwrap();
    database.write_all(&vec![0xa5; usize::try_from(length - 4096).unwrap()]).unwrap();
    drop(database);
    // Pages that are in memory serve on: a platform that starts meets the damage at once.
    let client = rig.instance.anonymous();
    let met = within(SOON, || {
        rig.write();
        client.get(NOTES).unwrap().status != 200 || rig.ready().starts_with("503")
    });
    rig.case("the damage is met", "true", met.to_string());
    let write = rig.write();
    rig.case("a write", UNAVAILABLE, write);
    let ready = rig.ready();
    rig.case("/readyz", "503 the database is damaged", ready);
    let named = rig.instance.log().contains("powernode backup restore DIR --force");
    rig.case("the way back", "true", named.to_string());
    // The way back, literally.
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.kill().unwrap();
        let said = stopped.setup().cli(&["backup", "restore", &backup, "--force"]).unwrap();
        assert_eq!(said.code, Some(0), "{said:?}");
        stopped.start().unwrap()
    });
    rig.goes_on();
    rig.finish()
}

pub(crate) const GONE: Heard = Heard {
    write: UNAVAILABLE,
    read: "200",
    reason: "a file of the database was removed or replaced",
    way_back: "put the very file back",
};

fn removed(name: &str) -> Vec<Case> {
    let rig = start();
    let path = file(&rig.instance, name);
    let aside = rig.instance.setup().directory().join("aside");
    rig.passes(GONE, |_| fs::rename(&path, &aside).unwrap(), || fs::rename(&aside, &path).unwrap())
}

fn replaced(_: &str) -> Vec<Case> {
    let rig = start();
    let path = file(&rig.instance, "powernode.db");
    let aside = rig.instance.setup().directory().join("aside");
    let begin = |_: &Instance| {
        fs::rename(&path, &aside).unwrap();
        fs::copy(&aside, &path).unwrap();
    };
    rig.passes(GONE, begin, || fs::rename(&aside, &path).unwrap())
}

fn deleted(name: &'static str) -> Vec<Case> {
    lost_for_good(|path| fs::remove_file(path.with_file_name(name)).unwrap())
}

fn overwritten() -> Vec<Case> {
    lost_for_good(|path| {
        let other = path.with_file_name("other");
        fs::copy(path, &other).unwrap();
        fs::rename(&other, path).unwrap();
    })
}

/// A file that never comes back, under writers: what they were told is in the copy that the log names.
fn lost_for_good(lose: impl FnOnce(&Path)) -> Vec<Case> {
    let mut rig = start();
    let path = file(&rig.instance, "powernode.db");
    let writers = rig.writers(3);
    let before = rig.count();
    within(SOON, || rig.write() == "201" && rig.count() > before + 20);
    lose(&path);
    rig.hears(GONE);
    rig.joined(writers);
    let copied = || between(&rig.instance.log(), "Stop the platform, then: ", "\n");
    let made = within(SOON, || copied().is_some());
    let order = copied().unwrap_or_default();
    rig.case("a copy is made", "true", made.to_string());
    let mut found = Vec::new();
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.stop().unwrap();
        // Nothing goes on beside the copy, which would be lost.
        let again = stopped.setup().cli(&["migrate"]).unwrap();
        let told = stopped.setup().cli(&["doctor"]).unwrap().stdout;
        found.push(("a start", "Some(1)", format!("{:?}", again.code)));
        found.push(("it names the way back", "true", again.stderr.contains(&order).to_string()));
        found.push(("the doctor names it", "true", told.contains(&order).to_string()));
        assert!(Command::new("sh").args(["-c", &order]).status().unwrap().success(), "{order}");
        stopped.start().unwrap()
    });
    found.into_iter().for_each(|(case, expected, got)| rig.case(case, expected, got));
    rig.goes_on();
    rig.finish()
}

/// What stands between two texts, after the last one of the first.
fn between(text: &str, from: &str, to: &str) -> Option<String> {
    Some(text.rsplit_once(from)?.1.split_once(to)?.0.to_owned())
}

/// Nobody asks for what is on the page, and it is found.
fn damaged_at_rest(_: &str) -> Vec<Case> {
    let rig = start();
    let path = file(&rig.instance, "powernode.db");
    let backup = rig.instance.setup().directory().join("backup");
    let backup = backup.to_str().unwrap().to_owned();
    let said = rig.instance.cli(&["backup", "create", "--to", &backup]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.stop().unwrap();
        overwrite_notes(&path);
        stopped.start_without_waiting().unwrap()
    });
    let found = within(SOON, || rig.ready() == "503 the database is damaged");
    rig.case("the damage is found", "true", found.to_string());
    let write = rig.write();
    rig.case("a write", UNAVAILABLE, write);
    let answer = rig.instance.anonymous().get("/readyz").unwrap().json();
    rig.case("the fault", "damaged", answer["fault"].as_str().unwrap_or_default());
    let way_back = answer["way_back"].as_str().unwrap_or_default();
    let named = way_back.contains("powernode backup restore DIR --force");
    rig.case("/readyz names the way back", "true", named.to_string());
    let told = rig.instance.cli(&["doctor"]).unwrap().stdout;
    let named = told.contains("backup restore BACKUP --force");
    rig.case("the doctor names it", "true", named.to_string());
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.stop().unwrap();
        let said = stopped.setup().cli(&["backup", "restore", &backup, "--force"]).unwrap();
        assert_eq!(said.code, Some(0), "{said:?}");
        stopped.start().unwrap()
    });
    rig.goes_on();
    rig.finish()
}

#[derive(diesel::QueryableByName)]
struct Page {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    root: i32,
}

/// Writes nonsense over the first page of the notes.
fn overwrite_notes(path: &Path) {
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let sql = "SELECT rootpage AS root FROM sqlite_master WHERE name = 'fixture_000_notes'";
    let Page { root } = diesel::sql_query(sql).get_result(&mut connection).unwrap();
    drop(connection);
    let at = u64::try_from(root - 1).unwrap() * 4096;
    File::options().write(true).open(path).unwrap().write_all_at(&[0xa5; 4096], at).unwrap();
}

fn not_writable(_: &str) -> Vec<Case> {
    let rig = start();
    let path = file(&rig.instance, "powernode.db");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let mut said = None;
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.stop().unwrap();
        mode(0o400);
        said = Some(stopped.setup().cli(&["migrate"]).unwrap());
        mode(0o600);
        stopped.start().unwrap()
    });
    let said = said.unwrap();
    rig.case("a start", "Some(1)", format!("{:?}", said.code));
    let named = said.stderr.contains(&format!("`{}` may not be written", path.display()));
    rig.case("it names the file", "true", named.to_string());
    rig.goes_on();
    rig.finish()
}
