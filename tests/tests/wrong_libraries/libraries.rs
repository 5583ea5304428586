//! Wrong bytes: files and libraries that must be refused before any of their code runs.

use std::{fs, os::unix::fs::symlink, process::Command};

use anyhow::{Result, ensure};
use powernode_tests::library::{Build, Library};
use serde_json::json;

use crate::bench::{Bench, chmod, outside};

/// Where ELF says which processor a file is for.
const E_MACHINE: usize = 18;
const AARCH64: u8 = 0xb7;

pub(crate) fn plant(bench: &mut Bench) -> Result<()> {
    files(bench)?;
    notes(bench)?;
    images(bench)
}

/// The file is not the one that the manifest describes.
fn files(bench: &mut Bench) -> Result<()> {
    bench.plant("library truncated", "verify size_mismatch", |plot| {
        let package = plot.package()?;
        let half = package.library().clone();
        let length = half.bytes().len() / 2;
        package.swapped(half.cut(length)).write(&plot.directory)
    })?;
    bench.plant("library truncated before it was staged", "verify not_a_library", |plot| {
        let whole = plot.library()?;
        let length = whole.bytes().len() / 2;
        plot.around(&whole.cut(length))
    })?;
    bench.plant("one byte flipped", "verify hash_mismatch", |plot| {
        let package = plot.package()?;
        let library = package.library().clone();
        let at = library.bytes().len() / 2;
        let byte = library.bytes()[at] ^ 1;
        package.swapped(library.with_byte(at, byte)).write(&plot.directory)
    })?;
    bench.plant("library empty", "verify size_refused", |plot| {
        plot.around(&plot.library()?.cut(0))
    })?;
    bench.plant("library not there", "verify file_missing", |plot| {
        let package = plot.package()?;
        package.write(&plot.directory)?;
        Ok(fs::remove_file(plot.directory.join(package.file()))?)
    })?;
    bench.plant("library is a directory", "verify wrong_file_kind", |plot| {
        let package = plot.package()?;
        package.write(&plot.directory)?;
        let file = plot.directory.join(package.file());
        fs::remove_file(&file)?;
        Ok(fs::create_dir(file)?)
    })?;
    let away = outside(&bench.setup, "library.so")?;
    bench.plant("library is a link out of the directory", "verify symlink", |plot| {
        let package = plot.package()?;
        package.write(&plot.directory)?;
        let file = plot.directory.join(package.file());
        fs::rename(&file, &away)?;
        Ok(symlink(&away, file)?)
    })?;
    bench.plant("library may be written by everybody", "verify world_writable", |plot| {
        let package = plot.package()?;
        package.write(&plot.directory)?;
        chmod(&plot.directory.join(package.file()), 0o666)
    })?;
    bench.plant("library cannot be read", "verify unreadable", |plot| {
        let package = plot.package()?;
        package.write(&plot.directory)?;
        chmod(&plot.directory.join(package.file()), 0)
    })?;
    bench.plant("library is a text file", "verify not_a_library", |plot| {
        plot.around(&Library::foreign(b"#!/bin/sh\necho hello\n".to_vec()))
    })?;
    let foreign = foreign(bench, "int answer(void) { return 42; }")?;
    bench.plant("foreign library", "verify no_note", |plot| plot.around(&foreign))
}

/// The note says that it does not fit.
fn notes(bench: &mut Bench) -> Result<()> {
    let mut patch = |name: &str, expected: &str, from: &str, to: &str| {
        bench.plant(name, expected, |plot| plot.around(&plot.library()?.patched(from, to)?))
    };
    patch("no note", "verify no_note", "powernode_note", "powernode_none")?;
    patch("note cannot be read", "verify bad_note", "powernode-note 1\n", "powernode-note 9\n")?;
    patch("other ABI revision", "verify abi_revision", "\nabi=1.1\n", "\nabi=2.0\n")?;
    patch(
        "processor feature that is not there",
        "verify processor_features",
        "=fxsr,sse,",
        "=fxsr,tbm,",
    )?;
    patch(
        "root symbol missing",
        "verify symbol_missing",
        "_1as_0lib_1header_0root_bmodule_bloader",
        "_1as_0lib_1header_0root_bmodule_bnobody",
    )?;
    patch("other layout of the interface", "check abi_mismatch", "content_type", "content_kind")?;
    patch(
        "other abi_stable",
        "check abi_mismatch",
        "abi stable library for Rust",
        "abi stable library for Dust",
    )?;
    patch("glibc floor too high", "verify glibc_too_old", "GLIBC_2.34", "GLIBC_2.99")?;
    bench.plant("built for another target", "verify wrong_machine", |plot| {
        let other = plot.library()?.patched("linux-gnu\nfeat", "linux-xyz\nfeat")?;
        let mut package = plot.package()?;
        package.library_entry()["sha256"] = json!(other.sha256());
        package.swapped(other).write(&plot.directory)
    })?;
    bench.plant("library of another slug", "verify note_mismatch", |plot| {
        let other =
            plot.library()?.patched(format!("\nslug={}\n", plot.slug), "\nslug=other-00001\n")?;
        plot.around(&other)
    })?;
    bench.plant("library says another slug than its note", "register init_failed", |plot| {
        // The note is right, and the code is another's.
        let other = plot.library()?.patched(&plot.slug, "other-00001")?;
        plot.around(&other.patched("\nslug=other-00001\n", format!("\nslug={}\n", plot.slug))?)
    })?;
    bench.plant("library of another version", "verify note_mismatch", |plot| {
        plot.manifest(|it| it["version"] = json!("1.0.1"))
    })?;
    bench.plant("manifest claims another SDK", "verify note_mismatch", |plot| {
        let mut package = plot.package()?;
        package.library_entry()["sdk"] = json!("1.0.1");
        package.write(&plot.directory)
    })?;
    bench.plant("manifest claims another glibc", "verify note_mismatch", |plot| {
        let mut package = plot.package()?;
        package.library_entry()["glibc"] = json!("2.2");
        package.write(&plot.directory)
    })?;
    bench.plant("no library for this target", "verify no_library_for_target", |plot| {
        plot.manifest(|it| {
            let entries: Vec<_> =
                it["library"].as_object().into_iter().flatten().map(|it| it.1.clone()).collect();
            it["library"] = json!({ "riscv64gc-unknown-linux-gnu": entries[0] });
        })
    })?;
    bench.plant("no library at all", "verify no_library_for_target", |plot| {
        plot.manifest(|it| it["library"] = json!({}))
    })?;
    bench.plant("works with another plugin-api", "resolve api_range", |plot| {
        plot.manifest(|it| it["api"] = json!("^2"))
    })
}

/// The library itself is not fit to be opened.
fn images(bench: &mut Bench) -> Result<()> {
    bench.plant("built for another processor", "verify wrong_machine", |plot| {
        plot.around(&plot.library()?.with_byte(E_MACHINE, AARCH64))
    })?;
    let mut other = |name: &str, expected: &str, library: Library| {
        bench.plant(name, expected, |plot| plot.around(&library.stamped(&plot.slug)?))
    };
    let built = |name| Library::built(name, Build::Plain);
    other(
        "built with panic = \"abort\"",
        "verify panic_abort",
        Library::built("constructor", Build::Aborts)?,
    )?;
    let bundled = built("bundled")?;
    other("brings its own SQLite", "verify bundled_sqlite", bundled.clone())?;
    let hidden = bundled.patched("sqlite3_open_v2", "sqlite9_open_v2")?;
    other("brings a stripped SQLite", "verify bundled_sqlite", hidden)?;
    other("needs a function that nobody has", "open link_failed", built("unresolved")?)?;
    let constructor = built("constructor")?;
    other("(control) its constructor does nothing", "started", constructor.clone())?;
    for (fault, name, expected) in [
        ("abor", "constructor aborts", "probe probe_crashed"),
        ("segv", "constructor crashes", "probe probe_crashed"),
        ("exit", "constructor ends the process quietly", "probe probe_exited"),
        ("hang", "constructor hangs", "probe probe_timed_out"),
    ] {
        let library = constructor.patched("constructor=none", format!("constructor={fault}"))?;
        other(name, expected, library)?;
    }
    other(
        "(control) another layout of structs",
        "started",
        Library::built("faulty", Build::OtherLayout)?,
    )?;
    other("(control) an allocator of its own", "started", built("counting")?)
}

/// A library of something else, made by the C compiler.
fn foreign(bench: &Bench, code: &str) -> Result<Library> {
    let (source, library) =
        (outside(&bench.setup, "foreign.c")?, outside(&bench.setup, "foreign.so")?);
    fs::write(&source, code)?;
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status()?;
    ensure!(status.success(), "the C compiler failed");
    Ok(Library::foreign(fs::read(library)?))
}
