//! Data flows one way: a room uses only those above it in `lib.rs`; the core names no extension.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own crate must fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn rooms_use_only_those_above_them() {
    let source = source();
    let rooms = rooms(&fs::read_to_string(source.join("lib.rs")).unwrap());
    assert!(rooms.len() > 10, "lib.rs lists {rooms:?}");
    let mut upward = Vec::new();
    for (place, room) in rooms.iter().enumerate() {
        for file in files(&source, room) {
            let text = fs::read_to_string(&file).unwrap();
            for below in &rooms[place + 1..] {
                if names(&text, below) {
                    upward.push(format!(
                        "{} uses `{below}`, which comes after `{room}`",
                        file.display()
                    ));
                }
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn an_upward_use_is_noticed() {
    assert!(names("use crate::http::error::ApiError;", "http"));
    assert!(names(
        "use crate::{\n    db::{Engine, schema::core_kv},\n    http::Platform,\n};",
        "http"
    ));
    assert!(!names("use crate::{db::http, manifest};", "http"));
    assert!(!names("use actix_web::http; crate::httpd::x()", "http"));
}

#[test]
fn the_core_names_no_extension_but_business() {
    let slugs = ["marketing", "supply-chain", "supply_chain", "trading"];
    for file in files(&source(), "") {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|it| !it.trim_start().starts_with("//"));
        let named = lines.filter(|line| slugs.iter().any(|it| line.contains(&format!("\"{it}\""))));
        let named: Vec<_> = named.collect();
        let is_greeting = file.ends_with("commands/serve.rs");
        let is_test =
            file.components().any(|it| it.as_os_str().to_string_lossy().starts_with("tests"));
        assert!(named.is_empty() || is_greeting || is_test, "{} names {named:?}", file.display());
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rooms(lib: &str) -> Vec<String> {
    let rooms = lib.lines().filter_map(|it| it.strip_prefix("pub mod ")?.strip_suffix(';'));
    rooms.map(str::to_owned).collect()
}

/// `room.rs` and everything in `room/` but tests; all of the source where the room has no name.
fn files(source: &Path, room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if !room.is_empty() {
        found.push(source.join(room).with_extension("rs"));
    }
    let mut folders = vec![source.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Whether `text` names `room` right behind `crate::`, alone or in a list.
fn names(text: &str, room: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
    let is_room = |path: &str| path.trim_start().strip_prefix(room).is_some_and(is_end);
    text.split("crate::").skip(1).any(|rest| match rest.strip_prefix('{') {
        None => is_room(rest),
        Some(list) => top_level(list).iter().any(|it| is_room(it)),
    })
}

/// The parts of a list that ends at its closing brace.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_usize, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts
}
