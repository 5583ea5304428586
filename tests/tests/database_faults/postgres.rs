//! The server: away at the start, lost and back, replaced by its standby, out of connections, slow.

use std::{thread, time::Duration};

use powernode_tests::{
    instance::{Instance, within},
    postgres::Cluster,
    setup::Setup,
};

use crate::rig::{Case, Fault, Heard, NOTES, Rig, SOON};

pub(crate) const FAULTS: &[Fault] = &[
    ("postgresql away at the start", away),
    ("postgresql lost and back", lost),
    ("postgresql replaced by its standby", promoted),
    ("postgresql out of connections", crowded),
    ("postgresql that stands still", still),
    ("postgresql that lets one login role not in", shut_out),
    ("postgresql with a table that others hold", held),
];

const UNREACHABLE: Heard = Heard {
    write: "503 DATABASE_UNAVAILABLE",
    read: "503 DATABASE_UNAVAILABLE",
    reason: "the database cannot be reached",
    way_back: "start it, or mend the way to it",
};

/// A platform on a database, which notices soon what is slow.
fn on(database: &str) -> Setup {
    let setup = Setup::new().unwrap().with_setting("database.url", database);
    // The client library looks for certificates at home, where another user than ours may not.
    let setup = setup.with_variable("HOME", "/nonexistent");
    let setup = setup.with_setting("database.acquire_timeout", "2s");
    setup.with_setting("extensions.deadline", "5s").with_fixture().unwrap()
}

/// A server of the fault's own.
fn own(settings: &[&str]) -> Option<Cluster> {
    Cluster::own(settings).unwrap()
}

fn away(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&[]) else { return Vec::new() };
    let setup = on(&cluster.database().unwrap());
    // The platform was there before: so what it wrote then must be there after.
    let rig = Rig::new(setup.start().unwrap());
    let mut rig = rig.restarted(|instance| {
        let stopped = instance.stop().unwrap();
        cluster.crash().unwrap();
        stopped.start_without_waiting().unwrap()
    });
    let mut ready = String::new();
    within(SOON, || {
        ready = rig.ready();
        ready.starts_with("503")
    });
    rig.case("/readyz", "503 the database cannot be reached", ready);
    let answer = rig.instance.anonymous().get(NOTES).unwrap();
    rig.case("a request", "503 STARTING", answer.failure().split(':').next().unwrap_or_default());
    let log = rig.instance.log();
    rig.case("the log", "true", log.contains("Waiting for the database").to_string());
    let process = rig.instance.id();
    cluster.restart(&[]).unwrap();
    rig.goes_on();
    rig.case("the process", process.to_string(), rig.instance.id().to_string());
    rig.finish()
}

fn lost(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&[]) else { return Vec::new() };
    let rig = Rig::new(on(&cluster.database().unwrap()).start().unwrap());
    rig.passes(UNREACHABLE, |_| cluster.crash().unwrap(), || cluster.restart(&[]).unwrap())
}

fn promoted(_: &str) -> Vec<Case> {
    let Some(first) = own(&["wal_level=replica", "max_wal_senders=4"]) else { return Vec::new() };
    let database = first.database().unwrap();
    let standby = first.with_standby().unwrap();
    let both = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), standby.port());
    let database = database.replace(&format!("127.0.0.1:{}", first.port()), &both);
    let database = format!("{database}?target_session_attrs=read-write");
    let mut rig = Rig::new(on(&database).start().unwrap());
    // What the standby does not have is not acknowledged.
    standby.crash().unwrap();
    let unconfirmed = rig.write();
    rig.case("a write without the standby", "504 DEADLINE_EXCEEDED", unconfirmed);
    standby.restart(&[]).unwrap();
    rig.goes_on();

    let process = rig.instance.id();
    let writers = rig.writers(4);
    let before = rig.count();
    within(SOON, || rig.write() == "201" && rig.count() > before + 20);
    first.crash().unwrap();
    rig.hears(UNREACHABLE);
    standby.promote().unwrap();
    rig.goes_on();
    rig.joined(writers);
    rig.case("the process", process.to_string(), rig.instance.id().to_string());
    rig.finish()
}

fn crowded(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&["max_connections=20", "superuser_reserved_connections=0"]) else {
        return Vec::new();
    };
    let database = cluster.database().unwrap();
    let rig = Rig::new(on(&database).start().unwrap());
    let heard = Heard {
        write: "503 DATABASE_BUSY",
        read: "503 DATABASE_BUSY",
        reason: "the database server has no connection left",
        way_back: "raise the server's `max_connections`",
    };
    let taken = std::cell::RefCell::new(Vec::new());
    let take = |_: &Instance| {
        cluster.cut(&database).unwrap();
        // Others come first until nobody else comes in.
        within(SOON, || {
            while let Ok(other) = cluster.guest(&database) {
                taken.borrow_mut().push(other);
                thread::sleep(Duration::from_millis(20));
                if taken.borrow().len() > 40 {
                    break;
                }
            }
            true
        });
    };
    rig.passes(heard, take, || taken.borrow_mut().clear())
}

fn still(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&[]) else { return Vec::new() };
    let rig = Rig::new(on(&cluster.database().unwrap()).start().unwrap());
    // Connections stay, and nobody answers: the first request finds that out, the next one opens a connection.
    let heard = Heard { write: "504 DEADLINE_EXCEEDED", ..UNREACHABLE };
    let signal = |name: &str| cluster.signal(name).unwrap();
    rig.passes(heard, |_| signal("STOP"), || signal("CONT"))
}

fn shut_out(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&[]) else { return Vec::new() };
    let database = cluster.database().unwrap();
    let mut rig = Rig::new(on(&database).start().unwrap());
    let mut other = cluster.guest(&database).unwrap();
    let mut alter = |how: &str| {
        let roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE '%fixture_000'";
        let each = format!(
            "DO $$ DECLARE r text; BEGIN FOR r IN {roles} LOOP EXECUTE format('ALTER ROLE %I {how}', r); \
             PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = r; END LOOP; END $$; SELECT count(*) FROM ({roles}) r;"
        );
        other.say(&each).unwrap();
    };
    alter("NOLOGIN");
    // The first may still meet the connection that was ended.
    rig.write();
    let write = rig.write();
    rig.case("a write", "503 DATABASE_UNAVAILABLE", write);
    // One extension's role is not the database: all others work.
    let ready = rig.ready();
    rig.case("/readyz", "200", ready);
    let tokens = rig.instance.operator().get("/api/v1/admin/tokens").unwrap().status;
    rig.case("the core", "200", tokens.to_string());
    let log = rig.instance.log();
    let named = log.contains("does not let the login role of extension `fixture-000` in");
    rig.case("the log names the role", "true", named.to_string());
    alter("LOGIN");
    rig.goes_on();
    rig.finish()
}

fn held(_: &str) -> Vec<Case> {
    let Some(cluster) = own(&[]) else { return Vec::new() };
    let database = cluster.database().unwrap();
    let mut rig = Rig::new(on(&database).start().unwrap());
    let mut other = cluster.guest(&database).unwrap();
    other.say("BEGIN; LOCK TABLE fixture_000.fixture_000_notes; SELECT 'held';").unwrap();
    let write = rig.write();
    rig.case("a write", "504 DEADLINE_EXCEEDED", write);
    // What others have locked is not the database's fault: everything else works.
    let ready = rig.ready();
    rig.case("/readyz", "200", ready);
    drop(other);
    rig.goes_on();
    rig.finish()
}
