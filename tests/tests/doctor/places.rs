//! Faults of settings, the network, and the data directory.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;

use anyhow::Result;

use crate::house::{House, is_root, mode, own};
use crate::{Fault, by_hand, mended};

pub(crate) fn faults() -> Vec<Fault> {
    let mut faults = settings();
    faults.extend(network());
    faults.extend(directory());
    faults.extend(left_behind());
    faults
}

fn settings() -> Vec<Fault> {
    vec![
        by_hand("config.unknown_key", |mut it| {
            it.settings("[server]\nprot = 1\n")?;
            Ok(it)
        }),
        by_hand("config.wrong_value", |mut it| {
            it.setup = it.setup.with_variable("POWERNODE_LOG__FORMAT", "xml");
            Ok(it)
        }),
        by_hand("config.file_not_toml", |mut it| {
            it.settings("[server\n")?;
            Ok(it)
        }),
        by_hand("config.file_unreadable", |mut it| {
            it.words.extend(["--config".to_owned(), "/nowhere/powernode.toml".to_owned()]);
            Ok(it)
        }),
        mended("config.file_unreadable", |mut it| {
            let file = it.settings("")?;
            mode(&file, 0)?;
            Ok(it)
        }),
        by_hand("config.secret_in_file", |mut it| {
            it.settings(&format!("[secrets]\nkey = '{}'\n", "5e".repeat(32)))?;
            Ok(it)
        }),
        mended("config.file_readable_by_others", |mut it| {
            let file = it.settings("[extension.fixture-000]\napi_token = 'x'\n")?;
            mode(&file, 0o644)?;
            Ok(it)
        }),
        mended("config.file_writable_by_others", |mut it| {
            let file = it.settings("[log]\nformat = 'json'\n")?;
            mode(&file, 0o622)?;
            Ok(it)
        }),
        by_hand("config.trusts_everybody", |mut it| {
            it.set("server.trusted_proxies", "10.0.0.5,0.0.0.0/0");
            Ok(it)
        }),
        by_hand("config.log_filter", |mut it| {
            it.set("log.filter", "powernode=loud");
            Ok(it)
        }),
    ]
}

fn network() -> Vec<Fault> {
    let mut faults = vec![
        by_hand("network.port_taken", |mut it| {
            let taken = TcpListener::bind("127.0.0.1:0")?;
            let port = taken.local_addr()?.port().to_string();
            it.set("server.port", port);
            it.kept.push(Box::new(taken));
            Ok(it)
        }),
        by_hand("network.address_unavailable", |mut it| {
            it.set("server.bind", "203.0.113.1");
            Ok(it)
        }),
        by_hand("system.few_open_files", |mut it| {
            it.first = "ulimit -n 256; ".to_owned();
            Ok(it)
        }),
    ];
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|it| it.trim().parse().is_ok_and(|it: u16| it > 81)) {
        faults.push(by_hand("network.port_privileged", |mut it| {
            it.set("server.port", "81");
            Ok(it)
        }));
    }
    faults
}

fn directory() -> Vec<Fault> {
    let mut faults = vec![
        by_hand("data.not_a_directory", |mut it| {
            let file = it.setup.directory().join("file");
            it.write(&file, "")?;
            it.set("data", file);
            it.set("database.path", it.data("powernode.db"));
            Ok(it)
        }),
        mended("data.not_writable", |it| {
            mode(&it.setup.data(), 0o500)?;
            Ok(it)
        }),
        mended("data.writable_by_others", |it| {
            mode(&it.setup.data(), 0o777)?;
            Ok(it)
        }),
        mended("data.readable_by_others", |it| {
            mode(&it.setup.data(), 0o755)?;
            Ok(it)
        }),
        by_hand("data.cannot_be_made", |mut it| {
            it.set("data", "/proc/powernode");
            Ok(it)
        }),
        by_hand("data.disk_full", |mut it| {
            it.words.extend(["--min-free".to_owned(), "99999999999".to_owned()]);
            Ok(it)
        }),
    ];
    if is_root() {
        faults.push(by_hand("data.foreign_owner", |it| {
            chown(it.setup.data(), Some(0), Some(0))?;
            Ok(it)
        }));
    }
    faults
}

fn left_behind() -> Vec<Fault> {
    vec![
        mended("data.socket_stale", |it| {
            drop(UnixListener::bind(it.data("admin.sock"))?);
            own(&it.data("admin.sock"))?;
            Ok(it)
        }),
        mended("data.socket_is_a_file", |it| {
            it.write(&it.data("admin.sock"), "")?;
            Ok(it)
        }),
        mended("data.socket_open_to_others", |it| {
            let it = it.start()?;
            mode(&it.data("admin.sock"), 0o666)?;
            Ok(it)
        }),
        by_hand("data.socket_path_too_long", |mut it| {
            let long = it.data(&"x".repeat(100));
            fs::create_dir(&long)?;
            own(&long)?;
            mode(&long, 0o700)?;
            it.set("data", long);
            Ok(it)
        }),
        mended("data.store_left_over", |it| {
            for number in 0..9 {
                it.write(&it.data(&format!("store/{number:064}.so")), "old")?;
            }
            Ok(it)
        }),
        mended("data.last_start_malformed", |it| {
            it.write(&it.data("last_start.json"), "[{")?;
            Ok(it)
        }),
        mended("extension.crashed_the_platform", |it| {
            it.write(&it.data("activating/fixture-000"), "")?;
            Ok(it)
        }),
        by_hand("key.malformed", |it| {
            it.write(&it.data("master.key"), "sesame")?;
            Ok(it)
        }),
        mended("key.open_to_others", |it| {
            mode(&it.data("master.key"), 0o644)?;
            Ok(it)
        }),
        mended("key.unreadable", |it| {
            mode(&it.data("master.key"), 0)?;
            Ok(it)
        }),
        by_hand("key.file_missing", |mut it| {
            it.set("secrets.key_file", it.data("nowhere.key"));
            Ok(it)
        }),
        by_hand("platform.program_replaced", replaced),
        by_hand("platform.restart_required", |it| {
            let it = it.start()?;
            it.install("another-001", |_| ())?;
            Ok(it)
        }),
    ]
}

/// A package manager put another program in its place.
fn replaced(it: House) -> Result<House> {
    let it = it.start()?;
    let program = it.setup.directory().join("powernode");
    let new = it.setup.directory().join("powernode.new");
    fs::copy(&program, &new)?;
    fs::rename(new, program)?;
    Ok(it)
}
