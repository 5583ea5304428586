//! Schemathesis against the merged description of the API, as each role: it reads what is promised, makes requests of
//! every shape, chains them, and holds each answer against the promise.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]
#![expect(clippy::print_stdout, reason = "a run tells what it does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use powernode_tests::artefacts::{plugin, root, target};
use powernode_tests::instance::Instance;
use powernode_tests::report::{Failure, Report, cases};
use powernode_tests::setup::Setup;
use powernode_tests::skipped::skipped;
use serde_json::{Value, json};

const VERSION: &str = "4.32.0";

/// What each answer is held against. Which inputs are accepted is not among it: no schema says that a time must lie
/// in the future, or what a flag of an extension does not take.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,\
    allow_header_conformance,use_after_free,ignored_auth,authorisation";

/// A check of this repository's own: who lacks what an operation asks for is not let in, whatever they send.
const HOOKS: &str = r#"
import os
import schemathesis

HELD = set(os.environ["POWERNODE_HELD"].split())

@schemathesis.check
def authorisation(ctx, response, case):
    declared = case.operation.definition.raw
    asked = declared.get("x-powernode-permission")
    identity = declared.get("x-powernode-identity")
    if identity not in ("token", "permission") or response.status_code >= 400:
        return
    assert HELD, f"{response.status_code} without a token"
    assert asked is None or "*" in HELD or asked in HELD, f"{response.status_code} without {asked}"
"#;

/// Operations that end what all others are about: the extension itself, its flag, or the token that asks.
const SWITCHES: &str = r"^/api/v1/admin/(extensions/\{slug\}/(flag|state|release)|flags/\{name\}.*|extensions/rescan)$";
const REVOKES: &str = r"^/api/v1/admin/tokens/\{token\}$";
const EITHER: &str = r"^/api/v1/admin/(extensions/\{slug\}/(flag|state|release)|flags/\{name\}.*|extensions/rescan|tokens/\{token\})$";

/// A run of Schemathesis: as whom, with what they hold, and which operations.
struct Run<'a> {
    name: &'a str,
    token: Option<&'a str>,
    holds: &'a str,
    only: &'a [(&'a str, &'a str)],
    seconds: u64,
    seed: u32,
}

/// What a run found.
#[derive(Debug)]
struct Found {
    cases: u64,
    failed: u64,
    /// In words: the kind and the operation.
    failures: Vec<String>,
    /// Operations that were tried.
    tested: u64,
    selected: u64,
    log: String,
}

impl Run<'_> {
    fn run(&self, program: &Path, place: &Path, description: &str, server: &str) -> Found {
        let report = place.join(format!("{}-{}.json", self.name.replace(' ', "-"), self.seed));
        let hooks = place.join("powernode_hooks.py");
        fs::write(&hooks, HOOKS).unwrap();
        let mut command = Command::new(program);
        command.current_dir(place).env("SCHEMATHESIS_HOOKS", "powernode_hooks");
        command.env("PYTHONPATH", place).env("POWERNODE_HELD", self.holds);
        command.args(["run", description, "--url", server, "--checks", CHECKS, "--no-shrink"]);
        command.args(["--phases", "coverage,fuzzing,stateful", "--workers", "1"]);
        command.args(["--seed", &self.seed.to_string(), "--max-time", &self.seconds.to_string()]);
        command.args(["--report", "json", "--report-json-path"]).arg(&report);
        command.args(["--suppress-health-check", "all", "--request-timeout", "30"]);
        command.args(["--continue-on-failure", "--warnings", "off"]);
        // It stays for what comes; its own test follows it.
        command.args(["--exclude-path", "/api/v1/changes"]);
        if let Some(token) = self.token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        for (filter, value) in self.only {
            command.args([filter, value]);
        }
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let text = fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {log}"));
        let said: Value = serde_json::from_str(&text).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {log}", output.status);
        let of = |it: &Value| it["operations"].as_array().cloned().unwrap_or_default();
        let titled =
            said["failures"].as_array().into_iter().flatten().flat_map(|it| {
                of(it).into_iter().map(move |of| format!("{}: {}", it["title"], of))
            });
        let broken = said["errors"].as_array().into_iter().flatten().map(Value::to_string);
        Found {
            cases: said["test_cases"]["generated"].as_u64().unwrap(),
            failed: said["test_cases"]["with_failures"].as_u64().unwrap(),
            failures: titled.chain(broken).collect(),
            tested: said["operations"]["tested"].as_u64().unwrap(),
            selected: said["operations"]["selected"].as_u64().unwrap(),
            log,
        }
    }
}

/// Schemathesis, installed into an environment of its own; none where there is no Python or no registry.
fn schemathesis() -> Option<PathBuf> {
    /// The tests of this file need one environment, and the first of them makes it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let environment = target().join(format!("schemathesis-{VERSION}"));
    let program = environment.join("bin/st");
    let works = |program: &Path| {
        Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success())
    };
    if works(&program) {
        return Some(program);
    }
    let run = |program: &Path, arguments: &[&str]| -> Result<(), String> {
        let output = Command::new(program).args(arguments).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(said.lines().last().unwrap_or_default().to_owned())
    };
    let place = environment.to_string_lossy().into_owned();
    let made = run(Path::new("python3"), &["-m", "venv", "--clear", &place]).and_then(|()| {
        let package = format!("schemathesis=={VERSION}");
        let words = ["install", "--quiet", "--retries", "1", "--timeout", "20", &package];
        run(&environment.join("bin/pip"), &words)
    });
    match made {
        Ok(()) if works(&program) => Some(program),
        Ok(()) => {
            skipped("Schemathesis was installed and does not run");
            None
        }
        Err(why) => {
            skipped(&format!("Schemathesis cannot be installed: {why}"));
            None
        }
    }
}

/// Starts a platform with marketing on.
fn platform(setup: Setup) -> Instance {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    manifest["default_enabled"] = json!(true);
    let setup = setup.with_extension(&plugin("powernode-marketing").unwrap(), &manifest).unwrap();
    let setup = setup.with_setting("limits.per_address", "1000000000");
    setup.with_setting("limits.per_token", "1000000000").start().unwrap()
}

fn token(instance: &Instance, scopes: &[&str]) -> String {
    let mut words = vec!["--json", "tokens", "create"];
    words.extend(scopes.iter().flat_map(|it| ["--scope", it]));
    let said = instance.cli(&words).unwrap().json().unwrap();
    said["token"].as_str().unwrap().to_owned()
}

#[test]
fn no_request_of_any_role_is_answered_other_than_promised() {
    let Some(program) = schemathesis() else { return };
    let mut report = Report::begin("schemathesis");
    let wanted = u64::from(cases(1_000));
    let seconds = if wanted > 1_000 { 60 } else { 12 };
    let instance = platform(Setup::new().unwrap());
    let server = format!("http://127.0.0.1:{}", instance.port());
    let description = format!("{server}/api/openapi.json");
    let place = tempfile::tempdir().unwrap();
    let limited = ["marketing.campaigns.read", "marketing.email_lists.manage", "admin.flags.read"];
    let limited_token = token(&instance, &limited);
    let held = limited.join(" ");
    let whole = [("--exclude-path-regex", REVOKES)];
    let lasting = [("--exclude-path-regex", EITHER)];
    let switches = [("--include-path-regex", SWITCHES)];
    for seed in 1.. {
        let run = |name, token, holds, only| Run { name, token, holds, only, seconds, seed };
        let runs = [
            run("operator", instance.token(), "*", &lasting[..]),
            run("limited token", Some(&*limited_token), &held, &whole[..]),
            run("anonymous", None, "", &whole[..]),
            run("operator at the switches", instance.token(), "*", &switches[..]),
        ];
        for run in runs {
            let found = run.run(&program, place.path(), &description, &server);
            println!("{}: {} cases, {} failed", run.name, found.cases, found.failed);
            assert!(found.selected > 0 && found.tested == found.selected, "{}", found.log);
            report.cases += found.cases;
            report.held += found.cases - found.failed;
            if found.failed > 0 || !found.failures.is_empty() {
                println!("{}", found.log);
            }
            report.failed.extend(found.failures.into_iter().map(|it| Failure {
                case: format!("{}, seed {seed}", run.name),
                expected: "an answer as promised".to_owned(),
                got: it,
            }));
        }
        // What was switched off is switched on for the next round.
        for path in ["flags/marketing_mode", "extensions/marketing/flag"] {
            let path = format!("/api/v1/admin/{path}");
            let answer = instance.operator().put(&path, &json!({ "enabled": true })).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        if report.cases >= wanted || !report.failed.is_empty() {
            break;
        }
    }
    report.finish();
}

#[test]
fn an_answer_that_is_not_as_promised_is_found() {
    let Some(program) = schemathesis() else { return };
    let instance = platform(Setup::new().unwrap().with_fixture().unwrap());
    let server = format!("http://127.0.0.1:{}", instance.port());
    let mut document = instance.anonymous().get("/api/openapi.json").unwrap().json();
    // Three lies: an answer of another shape, a permission that is not the one that is asked, a 500 that is there.
    let paths = &mut document["paths"];
    let answer = &mut paths["/api/v1/config"]["get"]["responses"]["200"];
    answer["content"]["application/json"]["schema"] = json!({ "type": "array" });
    paths["/api/v1/me"]["get"]["x-powernode-permission"] = json!("nobody.has");
    let place = tempfile::tempdir().unwrap();
    let description = place.path().join("openapi.json");
    fs::write(&description, document.to_string()).unwrap();
    let limited = token(&instance, &["marketing.campaigns.read"]);
    let find = |path: &str, expected: &str| {
        let only = [("--include-path", path)];
        let run = Run {
            name: "planted",
            token: Some(&*limited),
            holds: "marketing.campaigns.read",
            only: &only,
            seconds: 3,
            seed: 1,
        };
        let found = run.run(&program, place.path(), &description.to_string_lossy(), &server);
        let is_found = found.failures.iter().any(|it| it.contains(expected));
        assert!(found.failed > 0 && is_found, "{path}: {found:#?}");
    };
    find("/api/v1/config", "schema");
    find("/api/v1/me", "");
    find("/api/v1/fixture-000/panic/entry", "Server error");
}
