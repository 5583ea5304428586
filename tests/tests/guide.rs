//! The author's guide, followed literally: its files in an empty folder outside of this repository, its commands, its answers.

#![expect(clippy::unwrap_used, reason = "a guide that cannot be followed must fail")]

use std::{fs, path::Path, time::Duration};

use powernode_tests::{artefacts, instance::within, library::built_apart, setup::Setup};
use serde_json::{Value, json};

#[test]
fn the_guide_leads_from_an_empty_folder_to_an_answer() {
    let guide = fs::read_to_string(artefacts::root().join("plugin-api/README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let repository = artefacts::root().to_str().unwrap();
    for (names, text) in files(&guide) {
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("/path/to/powernode", repository)).unwrap();
        }
    }
    // The guide's author has no lock file; this one keeps the test from following each new version.
    fs::copy(artefacts::root().join("plugins/Cargo.lock"), folder.path().join("Cargo.lock"))
        .unwrap();
    let library = built_apart(&folder.path().join("Cargo.toml"), "notes").unwrap();

    let manifest: Value = read(&folder.path().join("extension.json"));
    let instance =
        Setup::new().unwrap().with_extension(&library, &manifest).unwrap().start().unwrap();
    let client = instance.operator();
    let entries = "/api/v1/notes/entries";
    assert_eq!(client.get(entries).unwrap().code(), "EXTENSION_DISABLED");
    assert_eq!(instance.cli(&["ext", "enable", "notes"]).unwrap().code, Some(0));
    assert!(within(Duration::from_secs(10), || client
        .get(entries)
        .is_ok_and(|it| it.status == 200)));
    let made = client.post(entries, &json!({ "text": "first" })).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(client.get(entries).unwrap().data()[0]["text"], "first");
}

/// The files at the folder's root.
const FILES: [&str; 2] = ["Cargo.toml", "extension.json"];

/// The guide's files: each named in backquotes at the beginning of the paragraph above its block.
fn files(guide: &str) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("## Build") {
            break;
        }
        if line.starts_with("```") {
            let block: Vec<_> = lines.by_ref().take_while(|it| !it.starts_with("```")).collect();
            if !names.is_empty() {
                found.push((std::mem::take(&mut names), block.join("\n") + "\n"));
            }
        } else if line.starts_with('`') {
            let is_file = |it: &&str| {
                it.contains("/up.sql")
                    || it.contains("/down.sql")
                    || it.ends_with(".rs")
                    || FILES.contains(it)
            };
            let named: Vec<_> =
                line.split('`').skip(1).step_by(2).filter(is_file).map(str::to_owned).collect();
            if !named.is_empty() {
                names = named;
            }
        }
    }
    assert!(found.len() >= 5, "the guide names only {found:?}");
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
