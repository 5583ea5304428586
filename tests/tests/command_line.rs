//! The command line, as a person and a program use it.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use powernode_tests::artefacts::fixture;
use powernode_tests::instance::within;
use powernode_tests::setup::{Said, Setup, manifest};
use powernode_tests::skipped::skipped;

/// Every command there is.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["worker"],
    &["migrate"],
    &["seed"],
    &["tokens"],
    &["tokens", "create"],
    &["tokens", "list"],
    &["tokens", "revoke"],
    &["accounts"],
    &["accounts", "create"],
    &["accounts", "list"],
    &["ext"],
    &["ext", "stage"],
    &["ext", "list"],
    &["ext", "show"],
    &["ext", "why"],
    &["flags"],
    &["flags", "list"],
    &["flags", "get"],
    &["flags", "set"],
    &["flags", "enable"],
    &["flags", "disable"],
    &["jobs"],
    &["jobs", "list"],
    &["jobs", "show"],
    &["jobs", "retry"],
    &["jobs", "discard"],
    &["jobs", "cancel"],
    &["queues"],
    &["queues", "list"],
    &["queues", "pause"],
    &["queues", "resume"],
    &["queues", "set"],
    &["schedules"],
    &["schedules", "list"],
    &["schedules", "run"],
    &["nodes"],
    &["audit"],
    &["state"],
    &["state", "list"],
    &["state", "enable"],
    &["state", "disable"],
    &["audit", "verify"],
    &["audit", "export"],
    &["key"],
    &["key", "show"],
    &["key", "adopt"],
    &["config"],
    &["config", "check"],
    &["config", "show"],
    &["config", "reference"],
    &["doctor"],
    &["completions"],
    &["man"],
];

fn said(setup: &Setup, words: &[&str]) -> Said {
    setup.cli(words).unwrap()
}

/// The exit code, and the one line that tells a person why.
#[track_caller]
fn refused(setup: &Setup, words: &[&str]) -> String {
    let said = said(setup, words);
    assert_eq!(said.stdout, "", "{said:?}");
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one line is enough: {said:?}");
    format!("{}: {}", said.code.unwrap(), lines[0])
}

#[test]
fn every_command_has_help_and_json() {
    let setup = Setup::new().unwrap();
    for command in COMMANDS {
        let said = said(&setup, &[*command, &["--help"]].concat());
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{command:?}");
        for word in ["Usage: powernode", "--json", "--data"] {
            assert!(said.stdout.contains(word), "{command:?} has no `{word}`: {}", said.stdout);
        }
    }
}

#[test]
fn a_command_that_is_not_there_exits_with_2() {
    let setup = Setup::new().unwrap();
    assert_eq!(said(&setup, &["serf"]).code, Some(2));
    assert_eq!(said(&setup, &["serve", "--prot", "1"]).code, Some(2));
    let machine = said(&setup, &["serf", "--json"]);
    assert_eq!((machine.code, machine.json().unwrap()["exit_code"].as_u64()), (Some(2), Some(2)));
    assert!(machine.stdout.contains("unrecognized subcommand 'serf'"), "{machine:?}");
}

#[test]
fn a_taken_port_is_said_in_one_line_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(&Setup::new().unwrap(), &["serve", "--port", &port]);
    assert!(said.starts_with(&format!("5: error: 127.0.0.1:{port} is taken")), "{said}");
    assert!(said.contains("--port"), "{said}");
}

#[test]
fn a_wrong_setting_is_named_with_its_origin() {
    let wrong = |setup: Setup| refused(&setup, &["flags", "list"]);
    let new = || Setup::new().unwrap();
    assert_eq!(
        wrong(new().with_setting("server.prot", "1")),
        "2: error: unknown setting `server.prot` (flag); the nearest is `server.port`"
    );
    assert_eq!(
        wrong(new().with_variable("POWERNODE_SERVER__PORT", "many")),
        "2: error: setting `server.port` (env POWERNODE_SERVER__PORT): \
         expected a number from 0 to 65535, found `many`"
    );
    let said = wrong(new().with_variable("POWERNODE_CONFIG", "nowhere.toml"));
    assert!(said.contains("cannot read the settings file `nowhere.toml`"), "{said}");
    let said = wrong(new().with_setting("log.format", "xml"));
    assert!(said.contains("expected `text` or `json`, found `xml`"), "{said}");
}

#[test]
fn answers_are_json_where_a_program_asks() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let instance = setup.start().unwrap();
    let json =
        |words: &[&str]| instance.cli(&[words, &["--json"]].concat()).unwrap().json().unwrap();
    assert_eq!(json(&["ext", "list"])["extensions"][0]["slug"], "fixture-000");
    assert_eq!(json(&["ext", "show", "fixture-000"])["extension"]["slug"], "fixture-000");
    assert_eq!(json(&["flags", "list"])["flags"][0]["name"], "fixture_000_mode");
    assert_eq!(json(&["flags", "show", "fixture_000_mode"])["state"], "on");
    assert_eq!(json(&["flags", "get", "fixture_000_mode"])["name"], "fixture_000_mode");
    assert_eq!(json(&["state", "list"])["disabled"], serde_json::json!([]));
    assert_eq!(json(&["accounts", "list"])["accounts"][0]["name"], "Operator");
    assert_eq!(json(&["audit", "verify"])["intact"], true);
    assert!(json(&["tokens", "list"])["tokens"][0]["prefix"].as_str().unwrap().starts_with("pn_"));
    assert!(json(&["migrate", "--dry-run"])["steps"].is_array());
    let error = instance.cli(&["flags", "show", "nobody_mode", "--json"]).unwrap();
    assert_eq!(error.code, Some(4), "{error:?}");
    assert_eq!(error.json().unwrap()["exit_code"], 4);
    assert!(error.json().unwrap()["error"].as_str().unwrap().contains("nobody_mode"), "{error:?}");
}

#[test]
fn a_token_works_until_it_is_revoked() {
    let instance = Setup::new().unwrap().start().unwrap();
    let made =
        instance.cli(&["tokens", "create", "--name", "ci", "--json"]).unwrap().json().unwrap();
    let client = instance.client(made["token"].as_str().unwrap());
    assert_eq!(client.get("/api/v1/me").unwrap().status, 200);
    let prefix = made["details"]["prefix"].as_str().unwrap();
    let revoked = instance.cli(&["tokens", "revoke", prefix]).unwrap();
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let refused = || client.get("/api/v1/me").unwrap().failure() == "401 UNAUTHORIZED";
    assert!(within(Duration::from_secs(10), refused), "{:?}", client.get("/api/v1/me"));
}

#[test]
fn a_token_has_no_more_than_its_scopes() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let words = ["tokens", "create", "--scope", "fixture_000.read", "--json"];
    let made = instance.cli(&words).unwrap().json().unwrap();
    let client = instance.client(made["token"].as_str().unwrap());
    assert_eq!(client.get("/api/v1/fixture-000/guarded").unwrap().status, 200);
    let report = client.get("/api/v1/reports/advanced").unwrap();
    assert_eq!(report.failure(), "404 FEATURE_UNAVAILABLE", "the guard stands before the right");
}

#[test]
fn what_is_wrong_with_a_new_token_is_said() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let check = |setup: &Setup| {
        let none = said(setup, &["tokens", "create", "--expires-in", "0"]);
        assert_eq!(none.code, Some(2), "{none:?}");
        assert!(
            none.stderr.contains("--expires-in") && none.stderr.contains("1..=36500"),
            "{none:?}"
        );
        let undefined = said(setup, &["tokens", "create", "--scope", "fixture_000.raed"]);
        assert_eq!(undefined.code, Some(0), "{undefined:?}");
        for part in ["warning: ", "`fixture_000.raed`", "`fixture_000.read`"] {
            assert!(undefined.stdout.contains(part), "{part}: {undefined:?}");
        }
        for known in ["fixture_000.*", "admin.audit.read", "*"] {
            let json = said_json(setup, &["tokens", "create", "--scope", known]);
            assert_eq!(json["warnings"], serde_json::json!([]), "{known}");
        }
    };
    check(instance.setup());
    check(instance.stop().unwrap().setup());
}

#[test]
fn a_switch_at_the_command_line_reaches_the_platform_that_runs() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let client = instance.anonymous();
    let status = || client.get("/api/v1/fixture-000/ok").unwrap().status;
    assert_eq!(status(), 200);

    assert_eq!(instance.cli(&["flags", "disable", "fixture_000_mode"]).unwrap().code, Some(0));
    assert!(within(Duration::from_secs(3), || status() == 404));
    let why = instance.cli(&["ext", "why", "fixture-000"]).unwrap();
    assert_eq!(why.code, Some(3), "{why:?}");
    assert!(why.stdout.contains("fixture_000_mode"), "{why:?}");

    assert_eq!(instance.cli(&["flags", "enable", "fixture_000_mode"]).unwrap().code, Some(0));
    assert!(within(Duration::from_secs(3), || status() == 200));
    assert_eq!(instance.cli(&["ext", "why", "fixture-000"]).unwrap().code, Some(0));
}

#[test]
fn a_library_that_is_none_is_not_staged() {
    let setup = Setup::new().unwrap();
    let manifest = setup.directory().join("manifest.json");
    std::fs::write(&manifest, r#"{"name": "X", "slug": "x", "version": "1.0.0"}"#).unwrap();
    let library = setup.directory().join("lib.so");
    std::fs::write(&library, "no library").unwrap();
    let [library, manifest] = [library, manifest].map(|path| path.display().to_string());
    let into = setup.extensions().display().to_string();
    let said =
        refused(&setup, &["ext", "stage", &library, "--manifest", &manifest, "--into", &into]);
    assert!(said.starts_with("1: error: ") && said.contains("lib.so"), "{said}");
    assert!(!setup.extensions().join("x/extension.json").exists());
}

#[test]
fn a_library_is_staged_where_the_settings_file_says() {
    let setup = Setup::new().unwrap();
    let place = setup.directory().join("elsewhere");
    let file = format!("[extensions]\ndir = '{}'\n", place.display());
    std::fs::write(setup.directory().join("config/powernode.toml"), file).unwrap();
    let written = setup.directory().join("manifest.json");
    std::fs::write(&written, manifest("fixture-000", "1.0.0").to_string()).unwrap();
    let mut stage = std::process::Command::new(setup.directory().join("powernode"));
    stage.current_dir(setup.directory()).env_remove("POWERNODE_EXTENSIONS__DIR");
    stage.args(["ext", "stage"]).arg(fixture("faulty").unwrap()).arg("--manifest").arg(written);
    let said = stage.output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(place.join("fixture-000/extension.json").exists());
}

#[test]
fn migrations_that_are_planned_are_not_run() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let plan = || said(&setup, &["migrate", "--dry-run"]);
    let before = plan();
    assert_eq!(before.code, Some(0), "{before:?}");
    assert!(before.stdout.contains("fixture-000"), "{before:?}");
    assert_eq!(plan().stdout, before.stdout, "a plan changes nothing");
    assert_eq!(said(&setup, &["migrate"]).code, Some(0));
    assert_ne!(plan().stdout, before.stdout, "nothing is pending any more");
}

#[test]
fn a_plan_writes_nothing_where_nothing_is() {
    let mut setup = Setup::new().unwrap().with_fixture().unwrap();
    let data = setup.directory().join("data/deeper");
    setup.set("data", data.to_str().unwrap());
    for words in [&["migrate", "--dry-run"][..], &["migrate", "status"], &["migrate", "--rehearse"]]
    {
        let said = said(&setup, words);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.stdout.contains("fixture-000") && said.stdout.contains("core"), "{said:?}");
        assert!(!data.exists(), "{words:?}");
    }
    // An empty directory stays empty; of a platform that ran, each file stays as it is.
    std::fs::create_dir(&data).unwrap();
    owned(&setup, &data);
    said(&setup, &["migrate", "--dry-run"]);
    assert_eq!(files(&data), []);
    assert_eq!(said(&setup, &["migrate"]).code, Some(0));
    std::fs::create_dir_all(data.join("activating")).unwrap();
    std::fs::write(data.join("activating/fixture-000"), "x").unwrap();
    // The first who reads SQLite's file folds the log back, which changes no row.
    let others = || {
        let mut files = files(&data);
        files.retain(|it| !it.0.to_string_lossy().contains("powernode.db"));
        files
    };
    let before = others();
    assert!(before.len() >= 5, "{before:?}");
    let planned = said(&setup, &["migrate", "--dry-run"]);
    assert_eq!(others(), before, "{planned:?}");
    assert!(planned.stdout.contains("fixture-000: stays out: "), "{planned:?}");
}

/// Each file below a directory, with what stands for its content.
fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let mut content = DefaultHasher::new();
                std::fs::read(&path).unwrap().hash(&mut content);
                found.push((path, content.finish()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn rows_keys_and_backups_are_their_users_alone() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let data = instance.setup().data();
    let backup = data.join("backup");
    let said = instance.cli(&["backup", "create", "--to", backup.to_str().unwrap(), "--with-key"]);
    assert_eq!(said.unwrap().code, Some(0));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o755, "the directory alone would not keep others out");
    let named = |names: &[&str]| names.iter().map(|it| data.join(it)).collect::<Vec<_>>();
    let mut kept = named(&["powernode.db", "powernode.db-wal", "powernode.db-shm", "master.key"]);
    let copied = files(&backup);
    assert!(copied.len() >= 3, "{copied:?}");
    kept.extend(copied.into_iter().map(|it| it.0));
    for path in &kept {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let stopped = instance.stop().unwrap();
    let words = ["backup", "restore", backup.to_str().unwrap(), "--force"];
    let said = stopped.setup().cli(&words).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(mode(&data.join("powernode.db")), 0o600);
}

/// Makes something as the one who runs the platform, so that it is trusted.
fn owned(setup: &Setup, path: &Path) {
    let owner = std::fs::metadata(setup.data()).unwrap();
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[test]
fn an_extensions_directory_that_was_named_must_be_there() {
    let none = |setup: &Setup| setup.directory().join("none").display().to_string();
    let mut setup = Setup::new().unwrap();
    setup.set("extensions.dir", &none(&setup));
    for words in [&["serve", "--port", "0"][..], &["migrate"]] {
        let said = said(&setup, words);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains(&none(&setup)) && said.stderr.contains("flag"), "{said:?}");
    }
    let listed = said(&setup, &["ext", "list"]);
    assert!(listed.stdout.contains(&none(&setup)), "{listed:?}");
}

#[test]
fn a_directory_without_a_manifest_is_told_and_files_are_not() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    for name in ["remains", ".hidden", "private"] {
        std::fs::create_dir(setup.extensions().join(name)).unwrap();
        owned(&setup, &setup.extensions().join(name));
    }
    std::fs::write(setup.extensions().join("README.md"), "x").unwrap();
    let slugs = |listed: &serde_json::Value| -> Vec<String> {
        let rows = listed["extensions"].as_array().unwrap().iter();
        rows.map(|it| format!("{} {}", it["slug"], it["reason"]["code"])).collect()
    };
    let expected = ["\"fixture-000\" null", "\"remains\" \"no_manifest\""];
    let instance = setup.start().unwrap();
    assert_eq!(slugs(&said_json(instance.setup(), &["ext", "list"])), expected);
    assert!(instance.log().contains("`remains` stays out"), "{}", instance.log());
    let answer = instance.operator().get("/api/v1/admin/extensions/remains").unwrap();
    assert_eq!(answer.data()["reason"]["code"], "no_manifest", "{answer:?}");
    let status = instance.anonymous().get("/api/v1/fixture-000/ok").unwrap().status;
    assert_eq!(status, 200, "it stands in nobody's way");
}

#[test]
fn what_is_known_of_an_unreadable_extension_is_said() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let stopped = instance.stop().unwrap();
    let path = stopped.setup().extensions().join("fixture-000/extension.json");
    std::fs::write(path, "{ name:").unwrap();
    let check = |setup: &Setup| {
        let why = said(setup, &["ext", "why", "fixture-000"]);
        assert_eq!(why.code, Some(3), "{why:?}");
        for part in ["extension.json", "not JSON", "`fixture_000_mode` is on"] {
            assert!(why.stdout.contains(part), "{part}: {why:?}");
        }
        assert!(!why.stdout.contains("``"), "{why:?}");
    };
    let instance = stopped.start().unwrap();
    check(instance.setup());
    let stopped = instance.stop().unwrap();
    check(stopped.setup());
}

#[test]
fn an_extension_is_shown_for_people() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let running = said(instance.setup(), &["ext", "show", "fixture-000"]);
    let stopped = instance.stop().unwrap();
    for said in [running, said(stopped.setup(), &["ext", "show", "fixture-000"])] {
        for part in [
            "fixture-000 1.0.0",
            "started",
            "fixture_000.read",
            "GET /api/v1/fixture-000/ok",
            "is on",
        ] {
            assert!(said.stdout.contains(part), "{part}: {said:?}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&said.stdout).is_err());
    }
}

#[test]
fn a_command_says_whether_it_asked_the_platform() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let asked = |setup: &Setup| {
        let said = said(setup, &["flags", "list"]);
        let json = setup.cli(&["flags", "list", "--json"]).unwrap().json().unwrap();
        (said.stderr, said.stdout, json["source"]["kind"].clone(), json["flags"].clone())
    };
    let (line, running, kind, flags) = asked(instance.setup());
    assert!(
        line.starts_with("asked the running platform on ") && line.contains("admin.sock"),
        "{line}"
    );
    assert_eq!(kind, "platform");

    let stopped = instance.stop().unwrap();
    let (line, offline, kind, same) = asked(stopped.setup());
    assert!(line.starts_with("no platform runs here: worked on the data directory "), "{line}");
    assert_eq!((kind, offline, same), ("data".into(), running, flags), "both say the same");
}

#[test]
fn what_works_on_the_files_says_so_also_beside_a_platform() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let words: [&[&str]; 11] = [
        &["state", "list"],
        &["key", "show"],
        &["key", "adopt"],
        &["migrate", "status"],
        &["migrate", "--dry-run"],
        &["migrate", "--rehearse"],
        &["seed"],
        &["config", "show"],
        &["config", "check"],
        &["backup", "create", "--to", "first"],
        &["backup", "verify", "first"],
    ];
    let first = |said: &Said| said.stderr.lines().next().unwrap_or_default().to_owned();
    let instance = setup.start().unwrap();
    for words in words {
        let said = instance.cli(words).unwrap();
        assert!(
            first(&said).starts_with("beside the running platform: worked on "),
            "{words:?}: {said:?}"
        );
    }
    let shown = instance.cli(&["config", "show"]).unwrap();
    assert!(first(&shown).contains("the platform keeps those of its start"), "{shown:?}");
    let export = instance.cli(&["audit", "export"]).unwrap();
    assert!(first(&export).starts_with("asked the running platform on "), "{export:?}");
    let stopped = instance.stop().unwrap();
    for words in [&["state", "list"][..], &["migrate", "status"], &["config", "check"]] {
        let said = said(stopped.setup(), words);
        assert!(
            first(&said).starts_with("no platform runs here: worked on "),
            "{words:?}: {said:?}"
        );
    }
}

#[test]
fn nobody_says_that_no_platform_runs_who_cannot_ask() {
    let setup = Setup::new().unwrap();
    let deep = setup.directory().join("d".repeat(120));
    for words in [&["state", "list"][..], &["migrate", "status"]] {
        let data = format!("data={}", deep.display());
        let words = [&["--set", data.as_str()][..], words].concat();
        let said = said(&setup, &words);
        let unasked = "whether a platform runs here cannot be asked: worked on the data directory ";
        assert!(said.stderr.contains(unasked), "{words:?}: {said:?}");
    }
}

#[test]
fn what_is_not_there_is_no_success() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    said(&setup, &["migrate"]);
    for (words, code) in [
        (&["ext", "release", "nope"][..], 4),
        (&["seed", "nope"], 4),
        (&["migrate", "revert", "fixture-000", "--steps", "99"], 2),
        (&["migrate", "revert", "nope", "--all"], 4),
    ] {
        let said = said(&setup, words);
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
    }
}

#[test]
fn an_output_that_is_full_or_gone_is_no_panic() {
    let setup = Setup::new().unwrap();
    let into = |words: &[&str], stdout: std::process::Stdio| {
        let mut command = setup.command();
        command.args(words).stdout(stdout).stderr(std::process::Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = into(&["config", "show"], full.into());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No space left on device") && !said.contains("panicked"), "{said}");
    for words in [&["state", "list"][..], &["ext", "why", "nope"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let whole = setup.command().args(words).output().unwrap();
        let ended = setup.command().args(words).stderr(full).output().unwrap();
        assert_eq!((ended.status, ended.stdout), (whole.status, whole.stdout), "{words:?}");
    }
    for words in [&["completions", "zsh"][..], &["config", "reference"], &["man"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, said) = into(words, writer.into());
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert!(!said.contains("error"), "{words:?}: {said}");
    }
}

#[test]
fn a_setting_that_an_extension_does_not_take_is_named() {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["settings"] =
        serde_json::json!({ "type": "object", "properties": { "most": { "type": "integer" } } });
    let setup = Setup::new().unwrap();
    let setup = setup.with_extension(&fixture("faulty").unwrap(), &manifest).unwrap();
    let wrong = ["--set", "extension.fixture-000.most=many", "--set", "extension.fixtur.x=1"];
    let told = said(&setup, &[&["config", "check"][..], &wrong].concat());
    assert_eq!(told.code, Some(3), "{told:?}");
    for line in [
        "setting `extension.fixture-000.most` (flag): value is not of type \"integer\"",
        "no extension `fixtur` is installed; the nearest is `fixture-000`",
    ] {
        assert!(told.stdout.contains(line), "{told:?}");
    }
    let found = said(&setup, &[&["doctor"][..], &wrong].concat());
    assert!(found.stdout.contains("extension.fixture-000.most"), "{found:?}");
    assert!(found.stdout.contains("No signature is looked at"), "{found:?}");
    let migrated = said(&setup, &[&["migrate"][..], &wrong].concat());
    assert!(migrated.stdout.contains("`extension.fixture-000.most` (flag)"), "{migrated:?}");
    // Each layer is named, with the way out of it.
    let file = setup.directory().join("wrong.toml");
    std::fs::write(&file, "[extension.fixture-000]\nmost = \"many\"\n").unwrap();
    let told = said(&setup, &["--config", file.to_str().unwrap(), "config", "check"]);
    assert!(told.stdout.contains("wrong.toml): value is not"), "{told:?}");
    assert!(told.stdout.contains("put it right there, or take it out"), "{told:?}");
    let variable = "POWERNODE_EXTENSION__FIXTURE-000__MOST";
    let mut command = setup.command();
    let output = command.env(variable, "many").args(["doctor"]).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(found.contains(&format!("(env {variable})")), "{found}");
    assert!(found.contains(&format!("do: unset {variable}")), "{found}");
}

#[test]
fn a_share_of_a_flag_that_is_on_is_warned_of() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    said(&setup, &["migrate"]);
    said(&setup, &["flags", "set", "fixture_000_mode", "on"]);
    let check = |setup: &Setup| {
        let told = said(setup, &["flags", "set", "fixture_000_mode", "50%"]);
        assert!(told.stdout.contains("powernode flags disable fixture_000_mode"), "{told:?}");
    };
    check(&setup);
    check(setup.start().unwrap().setup());
}

#[test]
fn the_socket_is_the_owners_and_the_log_names_their_user() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let socket = instance.setup().data().join("admin.sock");
    let data = std::fs::metadata(&socket).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o600);

    assert_eq!(instance.cli(&["flags", "set", "fixture_000_mode", "off"]).unwrap().code, Some(0));
    let answer = instance.operator().get("/api/v1/admin/audit?action=flag.disable").unwrap();
    let row = answer.data()[0].clone();
    assert_eq!(row["actor"], format!("uid:{}", data.uid()), "{row}");
    assert!(row["request_id"].is_string(), "{row}");
    let status = instance.anonymous().get("/api/v1/fixture-000/ok").unwrap().status;
    assert_eq!(status, 404, "the platform itself switched it: at once");
}

#[test]
fn a_socket_of_a_dead_process_is_noticed_and_replaced() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let stopped = instance.kill().unwrap();
    let socket = stopped.setup().data().join("admin.sock");
    assert!(socket.exists(), "nobody took it away");
    let said = said(stopped.setup(), &["flags", "list"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("a process that is gone"), "{said:?}");

    let instance = stopped.start().unwrap();
    let json = instance.cli(&["ext", "list", "--json"]).unwrap().json().unwrap();
    assert_eq!(json["source"]["kind"], "platform");
    instance.stop().unwrap();
    assert!(!socket.exists(), "a platform that stops takes it along");
}

#[test]
fn a_second_platform_on_the_data_directory_is_refused() {
    let instance = Setup::new().unwrap().start().unwrap();
    let said = refused(instance.setup(), &["serve", "--port", "0"]);
    let expected = format!("5: error: process {} serves the data directory", instance.id());
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.contains("--data"), "{said}");
    assert_eq!(instance.anonymous().get("/healthz").unwrap().status, 200);
}

#[test]
fn server_and_worker_are_one_process_on_sqlite() {
    let setup = Setup::new().unwrap();
    for words in [&["worker"][..], &["serve", "--no-worker", "--port", "0"]] {
        let said = refused(&setup, words);
        assert!(
            said.starts_with("2: error: on SQLite jobs run in the process that serves"),
            "{said}"
        );
        assert!(said.contains("set `database.url`"), "{said}");
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_named_and_the_platform_serves() {
    let mut setup = Setup::new().unwrap();
    let long = setup.data().join("x".repeat(100));
    setup.set("data", long.to_str().unwrap());
    let instance = setup.start().unwrap();
    assert!(instance.log().contains("bytes, and the system takes"), "{}", instance.log());
    let said = instance.cli(&["flags", "list"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("--data DIR"), "{said:?}");
}

#[test]
fn the_state_file_counts_from_the_next_start_on() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let said = instance.cli(&["state", "disable", "fixture-000"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(instance.anonymous().get("/api/v1/fixture-000/ok").unwrap().status, 200);
    let stopped = instance.stop().unwrap();
    let why = |setup: &Setup| setup.cli(&["ext", "why", "fixture-000"]).unwrap();
    let instance = stopped.start().unwrap();
    let closed = why(instance.setup());
    assert_eq!(closed.code, Some(3), "{closed:?}");
    assert!(closed.stdout.contains("powernode state enable fixture-000"), "{closed:?}");

    let stopped = instance.stop().unwrap();
    let disabled = said_json(stopped.setup(), &["state", "list"]);
    assert_eq!(disabled["disabled"], serde_json::json!(["fixture-000"]));
    let said = stopped.setup().cli(&["state", "enable", "fixture-000"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let instance = stopped.start().unwrap();
    assert_eq!(why(instance.setup()).code, Some(0));
    // What vanished can be taken out of the file, also while a platform runs.
    std::fs::write(instance.setup().state_file(), r#"{"disabled":["vanished"]}"#).unwrap();
    let said = instance.cli(&["state", "enable", "vanished"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said_json(instance.setup(), &["state", "list"])["disabled"], serde_json::json!([]));
    let unknown = instance.cli(&["state", "disable", "nobody"]).unwrap();
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
}

#[test]
fn a_path_is_explained_by_the_platform_that_runs() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    let why = |words: &[&str]| instance.cli(&[&["ext", "why"], words].concat()).unwrap();
    assert_eq!(why(&["/api/v1/fixture-000/ok"]).code, Some(0));
    let nowhere = why(&["/api/v1/nowhere"]);
    assert_eq!(nowhere.code, Some(3), "{nowhere:?}");
    let stopped = instance.stop().unwrap();
    let said = stopped.setup().cli(&["ext", "why", "/api/v1/fixture-000/ok"]).unwrap();
    assert_eq!(said.code, Some(5), "{said:?}");
}

#[test]
fn the_log_is_exported_whole_and_in_order() {
    let instance = Setup::new().unwrap().with_fixture().unwrap().start().unwrap();
    for _ in 0..60 {
        for value in ["off", "on"] {
            instance.cli(&["flags", "set", "fixture_000_mode", value]).unwrap();
        }
    }
    let rows = |setup: &Setup| -> Vec<serde_json::Value> {
        let said = said(setup, &["audit", "export"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stdout.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    };
    let running = rows(instance.setup());
    assert!(running.len() > 120, "{}", running.len());
    for (before, row) in running.iter().zip(&running[1..]) {
        assert_eq!(row["previous_hash"], before["hash"]);
    }
    assert_eq!(running[0]["seq"], 1);
    let page = |query: &str| {
        let answer = instance.operator().get(&format!("/api/v1/admin/audit?{query}")).unwrap();
        let seqs = answer
            .data()
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["seq"].as_u64().unwrap())
            .collect::<Vec<_>>();
        let meta: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        (seqs, meta["meta"]["pagination"]["total_count"].clone())
    };
    let (seqs, total) = page("after=100&per_page=5");
    assert_eq!(seqs, [101, 102, 103, 104, 105], "by key, the oldest first");
    assert_eq!(total, running.len() - 100);
    assert_eq!(instance.operator().get("/api/v1/admin/audit?after=x").unwrap().status, 422);
    let stopped = instance.stop().unwrap();
    assert_eq!(rows(stopped.setup()), running);
}

fn said_json(setup: &Setup, words: &[&str]) -> serde_json::Value {
    setup.cli(&[words, &["--json"]].concat()).unwrap().json().unwrap()
}

/// Every exit code that the help lists, asked for.
#[test]
fn exit_codes_are_as_the_help_says() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    let help = said(&setup, &["--help"]).stdout;
    let table = help.split("Exit codes:").nth(1).unwrap();
    for code in 0..=5 {
        assert!(table.contains(&format!("\n  {code}  ")), "{help}");
    }
    let instance = setup.start().unwrap();
    for (words, code) in [
        ("flags list", 0),
        ("audit export --to /nowhere/at/all", 1),
        ("flags set fixture_000_mode 101%", 2),
        ("flags enable fixture_000_mode --actor nobody", 2),
        ("tokens create --scope NO", 2),
        ("flags list --set server.port=many", 2),
        ("config check --set server.port=many", 3),
        ("ext why nobody", 3),
        ("ext show nobody", 4),
        ("flags get nobody_mode", 4),
        ("flags enable nobody_mode", 4),
        ("tokens revoke pn_nobody00", 4),
        ("config show server.prot", 4),
        ("serve --port 0", 5),
    ] {
        let said = instance.cli(&words.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!(said.code, Some(code), "{words}: {said:?}");
    }
    let stopped = instance.stop().unwrap();
    for (words, code) in [
        ("flags enable nobody_mode", 4),
        ("tokens revoke pn_nobody00", 4),
        ("ext why nobody", 3),
        ("ext why fixture-000", 0),
    ] {
        let said = said(stopped.setup(), &words.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, Some(code), "offline {words}: {said:?}");
    }
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let setup = Setup::new().unwrap();
    let file = setup.directory().join("powernode.toml");
    std::fs::write(&file, "[server]\nprot = 1\nbody_limit = 'much'\n").unwrap();
    let setup = setup.with_variable("POWERNODE_LOG__FORMT", "json");
    let said = said(
        &setup,
        &[
            "config",
            "check",
            "--json",
            "--config",
            file.to_str().unwrap(),
            "--set",
            "server.port=x",
        ],
    );
    assert_eq!(said.code, Some(3), "{said:?}");
    let problems = said.json().unwrap()["problems"].clone();
    let keys: Vec<_> = problems.as_array().unwrap().iter().map(|it| it["key"].clone()).collect();
    assert_eq!(keys, ["server.prot", "log.formt", "server.port", "server.body_limit"]);
    let text = problems.to_string();
    for part in ["the nearest is `server.port`", "env POWERNODE_LOG__FORMT", "powernode.toml"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn settings_are_shown_with_their_origins_and_without_secrets() {
    let setup = Setup::new()
        .unwrap()
        .with_variable("POWERNODE_SECRETS__KEY", &"5e".repeat(32))
        .with_setting("database.url", "postgres://me:hidden@db/powernode");
    let said = said(&setup, &["config", "show", "--origin"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.stdout.contains("5e5e") && !said.stdout.contains("hidden"), "{said:?}");
    let row = |key: &str| said.stdout.lines().find(|it| it.starts_with(key)).unwrap().to_owned();
    assert!(row("secrets.key ").contains("env POWERNODE_SECRETS__KEY"), "{said:?}");
    assert!(row("database.url").ends_with("flag"), "{said:?}");
    assert!(row("server.port").ends_with("default"), "{said:?}");
}

#[test]
fn shells_complete_it_and_each_command_has_a_manual_page() {
    let setup = Setup::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = said(&setup, &["completions", shell]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.stdout.contains("flags"), "{shell}: {said:?}");
    }
    let to = setup.directory().join("man");
    let written = said(&setup, &["man", "--to", to.to_str().unwrap()]);
    assert_eq!(written.code, Some(0), "{written:?}");
    for command in COMMANDS {
        let name = [&["powernode"], *command].concat().join("-");
        let page = std::fs::read_to_string(to.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert_eq!(
        said(&setup, &["man"]).stdout,
        std::fs::read_to_string(to.join("powernode.1")).unwrap()
    );
}

/// The output of a command on a terminal, which `script` brings.
fn on_a_terminal(setup: &Setup, first: &str, words: &str) -> String {
    let mut line = String::from(first);
    line += &setup.directory().join("powernode").display().to_string();
    line += &format!(" --data {} {words}", setup.data().display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR");
    String::from_utf8(script.output().unwrap().stdout).unwrap()
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skipped("`script` is not installed (package `bsdutils`)");
    }
    let setup = Setup::new().unwrap();
    let coloured = on_a_terminal(&setup, "", "config check --set server.port=x");
    assert!(coloured.contains("expected a number"), "{coloured}");
    let coloured = on_a_terminal(&setup, "", "config show --set server.port=x");
    assert!(coloured.contains("\u{1b}[1;31merror:"), "{coloured:?}");
    let plain = on_a_terminal(&setup, "NO_COLOR=1 ", "config show --set server.port=x");
    assert!(plain.contains("error:") && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn what_is_no_terminal_gets_no_colours() {
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    for words in [&["ext", "why", "fixture-000"][..], &["flags", "list"], &["flags", "get", "x"]] {
        let said = said(&setup, words);
        assert!(!said.stdout.contains('\u{1b}') && !said.stderr.contains('\u{1b}'), "{said:?}");
    }
}
