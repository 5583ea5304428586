//! The embedded database: locked, full, not to be written, damaged, removed.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
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
    let named = rig.instance.log().contains("powernode backup restore DIR");
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
