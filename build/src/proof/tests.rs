use serde_json::json;

use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";

fn gates() -> &'static Proof {
    PROOFS.iter().find(|it| it.name == "gate_properties").expect("it is there")
}

fn whole() -> Value {
    json!({ "cases": 106_400, "held": 106_400, "seconds": 90.0, "commit": COMMIT, "count": 100_000 })
}

/// Whether the proof goes on without another run, where one field of a whole report is another.
fn stands(key: &str, value: Value) -> bool {
    let mut report = whole();
    report[key] = value;
    gates().stands(&Ok(report), Some(COMMIT))
}

#[test]
fn what_held_whole_at_this_commit_is_not_repeated() {
    assert!(stands("cases", json!(106_400)));
}

#[test]
fn what_is_not_whole_or_of_another_commit_is_repeated() {
    assert!(!stands("held", json!(106_399)));
    assert!(!stands("count", json!(256)));
    assert!(!stands("count", json!(null)));
    assert!(!stands("commit", json!(null)));
    assert!(!stands("commit", json!(COMMIT.replace('0', "f"))));
    assert!(!stands("seconds", json!(1801.0)));
    let mut few = whole();
    few["cases"] = json!(99_999);
    few["held"] = json!(99_999);
    assert!(!gates().stands(&Ok(few), Some(COMMIT)));
    assert!(!gates().stands(&Err(anyhow::anyhow!("it wrote no report")), Some(COMMIT)));
}

#[test]
fn sources_that_are_changed_prove_nothing() {
    let changed = format!("{COMMIT}{CHANGED}");
    let mut report = whole();
    report["commit"] = json!(changed);
    assert!(!gates().stands(&Ok(report), Some(&changed)));
    assert!(!gates().stands(&Ok(whole()), None));
}

#[test]
fn a_list_is_whole_without_a_count() {
    let lists = PROOFS.iter().find(|it| it.name == "wrong_libraries").expect("it is there");
    let report = |cases: u64| json!({ "cases": cases, "held": cases, "seconds": 1.0 });
    assert!(lists.is_whole(&report(30)).is_ok());
    assert!(lists.is_whole(&report(29)).is_err());
}

/// Every report that a test writes is one that `cargo xtask proof` knows.
#[test]
fn every_report_is_registered() {
    let mut found = 0;
    for directory in ["tests/tests", "platform/tests"] {
        for text in sources(&root().join(directory)) {
            for begun in text.split("Report::begin(\"").skip(1) {
                let name = begun.split('"').next().unwrap_or_default();
                found += 1;
                // One is a report that shall not hold, and is not written.
                let known = name == "not_written" || PROOFS.iter().any(|it| it.name == name);
                assert!(known, "`{name}` is not among PROOFS");
            }
        }
    }
    assert!(found > 8, "only {found} were found");
}

fn sources(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in directory.read_dir().expect("it is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            all.push(fs::read_to_string(path).expect("it is text"));
        }
    }
    all
}
