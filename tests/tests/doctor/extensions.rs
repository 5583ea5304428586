//! Faults of what is installed.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::Result;
use powernode_tests::library::Library;
use serde_json::json;

use crate::house::{House, SLUG, mode};
use crate::{Fault, by_hand, mended};

/// An extension beside the one that is there.
const OTHER: &str = "another-001";

pub(crate) fn faults() -> Vec<Fault> {
    let mut faults = directories();
    faults.extend(libraries());
    faults.extend(plans());
    faults
}

fn directories() -> Vec<Fault> {
    vec![
        mended("extensions.writable_by_others", |it| {
            mode(&it.setup.extensions(), 0o777)?;
            Ok(it)
        }),
        mended("extensions.directory_missing", |mut it| {
            it.setup.cli(&["flags", "disable", "fixture_000_mode"])?;
            it.set("extensions.dir", it.setup.directory().join("none"));
            Ok(it)
        }),
        mended("extension.world_writable", |it| {
            mode(&it.extension(), 0o777)?;
            Ok(it)
        }),
        mended("extension.unreadable", |it| {
            mode(&it.extension().join("extension.json"), 0)?;
            Ok(it)
        }),
        by_hand("extension.symlink", |it| {
            let library = it.library()?;
            let away = it.setup.directory().join("library.so");
            fs::rename(&library, &away)?;
            symlink(away, library)?;
            Ok(it)
        }),
        by_hand("extension.manifest_not_json", |it| {
            it.write(&it.extension().join("extension.json"), "{ name:")?;
            Ok(it)
        }),
        by_hand("extension.manifest_field", |it| {
            it.manifest(|it| it["version"] = json!("new"))?;
            Ok(it)
        }),
        by_hand("extension.flag_foreign", |it| {
            it.manifest(|it| it["feature_flag"] = json!("another_001_mode"))?;
            Ok(it)
        }),
        by_hand("extension.no_manifest", |it| {
            fs::create_dir(it.setup.extensions().join("remains"))?;
            Ok(it)
        }),
        by_hand("extension.directory_mismatch", |it| {
            it.setup.cli(&["flags", "disable", "fixture_000_mode"])?;
            fs::rename(it.extension(), it.setup.extensions().join("elsewhere"))?;
            Ok(it)
        }),
        by_hand("extension.slug_duplicate", |it| {
            let private = it.setup.extensions().join("private");
            fs::create_dir_all(private.join(SLUG))?;
            fs::copy(
                it.extension().join("extension.json"),
                private.join(SLUG).join("extension.json"),
            )?;
            Ok(it)
        }),
    ]
}

fn libraries() -> Vec<Fault> {
    vec![
        by_hand("extension.hash_mismatch", |it| {
            let path = it.library()?;
            let mut bytes = fs::read(&path)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            it.write(&path, bytes)?;
            Ok(it)
        }),
        by_hand("extension.size_mismatch", |it| {
            let path = it.library()?;
            let bytes = fs::read(&path)?;
            it.write(&path, &bytes[..bytes.len() / 2])?;
            Ok(it)
        }),
        by_hand("extension.file_missing", |it| {
            fs::remove_file(it.library()?)?;
            Ok(it)
        }),
        by_hand("extension.not_a_library", |it| {
            it.around(|_| Ok(Library::foreign(b"#!/bin/sh\necho hello\n".to_vec())))?;
            Ok(it)
        }),
        by_hand("extension.abi_revision", |it| patched(it, "\nabi=1.1\n", "\nabi=2.0\n")),
        by_hand("extension.glibc_too_old", |it| patched(it, "GLIBC_2.34", "GLIBC_2.99")),
        by_hand("extension.no_note", |it| patched(it, "powernode_note", "powernode_none")),
        by_hand("extension.note_mismatch", |it| {
            it.manifest(|it| it["version"] = json!("1.0.1"))?;
            Ok(it)
        }),
        by_hand("extension.no_library_for_target", |it| {
            it.manifest(|it| {
                let entry = it["library"].as_object_mut().and_then(|it| it.values_mut().next());
                let entry = entry.map(serde_json::Value::take);
                it["library"] = json!({ "sparc64-unknown-linux-gnu": entry });
            })?;
            Ok(it)
        }),
        by_hand("extension.init_failed", failed),
    ]
}

/// The last start found out what no file says.
fn failed(it: House) -> Result<House> {
    let path = it.data("last_start.json");
    let mut last: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    last[0]["state"] = json!("failed");
    last[0]["reason"] =
        json!({ "stage": "register", "code": "init_failed", "message": "it has no key" });
    it.write(&path, serde_json::to_vec(&last)?)?;
    Ok(it)
}

fn patched(it: House, from: &str, to: &str) -> Result<House> {
    it.around(|library| library.patched(from, to))?;
    Ok(it)
}

fn plans() -> Vec<Fault> {
    vec![
        by_hand("extension.dependency_missing", |it| {
            it.manifest(|it| it["dependencies"] = json!(["nobody"]))?;
            Ok(it)
        }),
        mended("extension.dependency_disabled", |it| {
            it.install(OTHER, |it| it["dependencies"] = json!([SLUG]))?;
            it.setup.cli(&["state", "disable", SLUG])?;
            Ok(it)
        }),
        by_hand("extension.dependency_version", |it| {
            let needs = json!([{ "slug": SLUG, "version": "^2.0" }]);
            it.install(OTHER, |it| it["dependencies"] = needs)?;
            Ok(it)
        }),
        by_hand("extension.dependency_cycle", |it| {
            it.install(OTHER, |it| it["dependencies"] = json!([SLUG]))?;
            it.manifest(|it| it["dependencies"] = json!([OTHER]))?;
            Ok(it)
        }),
        by_hand("extension.api_range", |it| {
            it.manifest(|it| it["api"] = json!("^9.0"))?;
            Ok(it)
        }),
        mended("extension.capability_conflict", |it| {
            it.install(OTHER, |it| it["capabilities"] = json!(["sell"]))?;
            it.manifest(|it| it["capabilities"] = json!(["sell"]))?;
            Ok(it)
        }),
    ]
}
