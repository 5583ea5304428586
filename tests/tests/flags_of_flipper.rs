//! Flags that travel in Flipper's own file: out of one platform and into another, as they were or not at all.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::fs;

use powernode_tests::instance::Instance;
use powernode_tests::setup::{Said, Setup};
use serde_json::{Value, json};

const FLAGS: &str = "/api/v1/admin/flags";
const FLIPPER: &str = "/api/v1/admin/flipper";

/// A flag that is on for somebody by every gate, one that is on for all, and one that is off.
fn features() -> Value {
    json!({
        "beta": {
            "boolean": null, "groups": ["admins"], "actors": ["Account;1", "User;2"],
            "expression": { "Any": [
                { "Equal": [{ "Property": ["plan"] }, "pro"] },
                { "PercentageOfActors": [{ "Property": ["flipper_id"] }, 10] },
            ] },
            "percentage_of_actors": "25", "percentage_of_time": "0.5",
        },
        "done": feature(json!({ "boolean": "true" })),
        "later": feature(json!({})),
    })
}

/// A flag as Flipper writes it: what it does not say is empty.
fn feature(gates: Value) -> Value {
    let mut feature = json!({
        "boolean": null, "groups": [], "actors": [], "expression": null,
        "percentage_of_actors": null, "percentage_of_time": null,
    });
    let gates = gates.as_object().cloned().unwrap_or_default();
    feature.as_object_mut().unwrap().extend(gates);
    feature
}

fn start() -> Instance {
    Setup::new().unwrap().start().unwrap()
}

/// A platform whose flags were made one gate at a time.
fn with_flags() -> Instance {
    let instance = start();
    let operator = instance.operator();
    for (name, gates) in features().as_object().unwrap() {
        let made = operator.post(FLAGS, &json!({ "name": name })).unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        let flag = format!("{FLAGS}/{name}");
        let send = |method: &str, path: &str, body: Value| {
            let json = [("content-type", "application/json")];
            let path = format!("{flag}{path}");
            let answer = operator.send(method, &path, &json, body.to_string().into_bytes());
            let answer = answer.unwrap();
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
        };
        if gates["boolean"] == "true" {
            send("PUT", "", json!({ "enabled": true }));
        }
        for group in gates["groups"].as_array().unwrap() {
            send("POST", "/groups", json!({ "group": group }));
        }
        for actor in gates["actors"].as_array().unwrap() {
            send("POST", "/actors", json!({ "actor": actor }));
        }
        if gates["expression"].is_object() {
            send("PUT", "/expression", json!({ "expression": gates["expression"] }));
        }
        for share in ["percentage_of_actors", "percentage_of_time"] {
            if let Some(percent) = gates[share].as_str() {
                let percent: f64 = percent.parse().unwrap();
                send("PUT", &format!("/{share}"), json!({ "percentage": percent }));
            }
        }
    }
    instance
}

fn exported(instance: &Instance) -> Value {
    instance.operator().get(FLIPPER).unwrap().json()
}

/// The subjects of the entries that imports left in the audit log, in order.
fn audited(instance: &Instance, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit?action={action}&per_page=100");
    let rows = instance.operator().get(&path).unwrap().data();
    let mut rows = rows.as_array().unwrap().clone();
    rows.sort_by_key(|it| it["seq"].as_i64());
    rows
}

fn subjects(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|it| it["subject"].as_str().unwrap()).collect()
}

/// Runs `flags import` on a file that says `text`.
fn import(instance: &Instance, text: &str) -> Said {
    let file = instance.setup().directory().join("flags.json");
    fs::write(&file, text).unwrap();
    instance.cli(&["flags", "import", file.to_str().unwrap(), "--json"]).unwrap()
}

#[test]
fn what_one_platform_exports_another_imports_gate_by_gate() {
    let (one, other) = (with_flags(), start());
    let file = json!({ "version": 1, "features": features() });
    assert_eq!(exported(&one), file);
    let said = one.cli(&["flags", "export"]).unwrap();
    assert_eq!(said.json().unwrap(), file, "{said:?}");

    // One flag is there already and stays, another is there and differs.
    other.operator().post(FLAGS, &json!({ "name": "own" })).unwrap();
    other.operator().post(FLAGS, &json!({ "name": "later" })).unwrap();
    other.operator().put(&format!("{FLAGS}/later"), &json!({ "enabled": true })).unwrap();
    let done = import(&other, &said.stdout);
    assert_eq!(done.json().unwrap()["changed"], json!(["beta", "done", "later"]), "{done:?}");
    let mut both = file.clone();
    both["features"]["own"] = feature(json!({}));
    assert_eq!(exported(&other), both);
    for name in ["beta", "done", "later"] {
        let flag = |it: &Instance| it.operator().get(&format!("{FLAGS}/{name}")).unwrap().data();
        let (here, there) = (flag(&one), flag(&other));
        assert_eq!((&here["gates"], &here["state"]), (&there["gates"], &there["state"]), "{name}");
    }

    let entries = audited(&other, "flag.import");
    assert_eq!(subjects(&entries), ["flag/beta", "flag/done", "flag/later"]);
    assert_eq!(entries[2]["before"]["boolean"], json!(true), "{}", entries[2]);
    assert_eq!(entries[2]["after"]["boolean"], json!(false), "{}", entries[2]);
    assert_eq!(entries[0]["after"]["percentage_of_time"], json!(0.5), "{}", entries[0]);
    let verified = other.operator().get("/api/v1/admin/audit/verify").unwrap();
    assert_eq!(verified.status, 200, "{}", verified.text());

    // Once more changes nothing, and says nothing to the log; not even after a restart.
    assert_eq!(import(&other, &said.stdout).json().unwrap()["changed"], json!([]));
    let other = other.kill().unwrap().start().unwrap();
    assert_eq!(exported(&other), both);
    assert_eq!(audited(&other, "flag.import").len(), 3);
}

#[test]
fn a_stopped_platform_takes_the_file_that_another_wrote_as_json() {
    let (one, other) = (with_flags(), start());
    // `--json` adds where it came from, which is no part of the file.
    let said = one.cli(&["flags", "export", "--json"]).unwrap();
    assert!(said.json().unwrap()["source"].is_object(), "{said:?}");
    let other = other.stop().unwrap();
    let file = other.setup().directory().join("flags.json");
    fs::write(&file, &said.stdout).unwrap();
    let done = other.setup().cli(&["flags", "import", file.to_str().unwrap()]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("changed beta, done, later"), "{done:?}");
    let other = other.start().unwrap();
    assert_eq!(exported(&other), exported(&one));
}

/// What is refused, by the admin API and by the command line, which asks a platform that runs or does it itself.
#[test]
fn a_file_that_is_not_all_good_is_refused_whole() {
    let instance = with_flags();
    let before = exported(&instance);
    // A good flag that comes first must not get in.
    let with = |name: &str, gates: Value| json!({ "version": 1, "features": { "aaa": { "boolean": "true" }, name: gates } });
    let mut newer = with("beta", json!({}));
    newer["version"] = json!(2);
    let mut more = with("beta", json!({}));
    more["adapter"] = json!("redis");
    let cases = [
        ("{".to_owned(), "400 INVALID_JSON", "EOF while parsing"),
        ("[]".to_owned(), "422 VALIDATION_FAILED", "Export"),
        (json!({ "features": {} }).to_string(), "422 VALIDATION_FAILED", "version"),
        (newer.to_string(), "422 VALIDATION_FAILED", "version 2 of Flipper's export is not known"),
        (more.to_string(), "422 VALIDATION_FAILED", "adapter"),
    ];
    let gates = [
        ("beta", json!({ "percentage": "5" }), "percentage"),
        ("beta", json!({ "boolean": "yes" }), "flag `beta`, gate `boolean`"),
        (
            "beta",
            json!({ "actors": ["nobody"] }),
            "flag `beta`, gate `actors`: `nobody` has no `;`",
        ),
        ("beta", json!({ "groups": ["cats"] }), "cats"),
        ("beta", json!({ "percentage_of_actors": "101" }), "gate `percentage_of_actors`"),
        ("beta", json!({ "percentage_of_time": "-1" }), "gate `percentage_of_time`"),
        ("beta", json!({ "expression": { "Guess": [] } }), "gate `expression`"),
        ("shop_mode", json!({ "percentage_of_time": "5" }), "`shop_mode` gates an extension"),
        ("shop_mode", json!({ "expression": { "Random": [5] } }), "`shop_mode` gates an extension"),
        ("No name", json!({}), "`No name` is no name for a flag"),
    ];
    let gates =
        gates.map(|(name, it, words)| (with(name, it).to_string(), "422 VALIDATION_FAILED", words));
    for (text, failure, words) in cases.into_iter().chain(gates) {
        let json = [("content-type", "application/json")];
        let body = text.clone().into_bytes();
        let answer = instance.operator().send("PUT", FLIPPER, &json, body).unwrap();
        assert_eq!(answer.failure(), failure, "{text}");
        let errors = answer.json()["errors"].take();
        let errors = errors.as_array().into_iter().flatten();
        let fields = errors.map(|it| format!("{}: {}", it["field"], it["message"]));
        let told = format!("{} {}", answer.json()["error"], fields.collect::<String>());
        assert!(told.contains(words), "{text}: {told}");
        let said = import(&instance, &text);
        assert_eq!(said.code, Some(2), "{text}: {said:?}");
        assert!(said.json().unwrap()["error"].to_string().contains(words), "{text}: {said:?}");
    }
    assert_eq!(exported(&instance), before);
    let stopped = instance.stop().unwrap();
    let file = stopped.setup().directory().join("flags.json");
    fs::write(&file, newer.to_string()).unwrap();
    let said = stopped.setup().cli(&["flags", "import", file.to_str().unwrap()]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("version 2 of Flipper's export is not known"), "{said:?}");
    let instance = stopped.start().unwrap();
    assert_eq!(exported(&instance), before);
    assert_eq!(audited(&instance, "flag.import"), [] as [Value; 0]);
    assert_eq!(
        subjects(&audited(&instance, "flag.create")),
        ["flag/beta", "flag/done", "flag/later"]
    );
}

#[test]
fn only_who_manages_flags_imports_them() {
    let instance = with_flags();
    let words = ["tokens", "create", "--scope", "admin.flags.read", "--json"];
    let made = instance.cli(&words).unwrap().json().unwrap();
    let reader = instance.client(made["token"].as_str().unwrap());
    let file = json!({ "version": 1, "features": { "done": { "boolean": null } } });
    assert_eq!(reader.get(FLIPPER).unwrap().json(), exported(&instance));
    assert_eq!(reader.put(FLIPPER, &file).unwrap().failure(), "403 FORBIDDEN");
    let anyone = instance.anonymous();
    assert_eq!(anyone.get(FLIPPER).unwrap().failure(), "401 UNAUTHORIZED");
    assert_eq!(anyone.put(FLIPPER, &file).unwrap().failure(), "401 UNAUTHORIZED");
    assert_eq!(exported(&instance)["features"], features());
}
