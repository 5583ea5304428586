//! Wrong manifests and directories.

use std::{fs, os::unix::fs::chown, os::unix::fs::symlink, process::Command};

use anyhow::{Result, ensure};
use powernode_tests::skipped::skipped;
use serde_json::json;

use crate::bench::{Bench, Plot, chmod, outside};

/// Somebody who is neither root nor the one who runs the platform.
const SOMEBODY: u32 = 1;

pub(crate) fn plant(bench: &mut Bench) -> Result<()> {
    texts(bench)?;
    fields(bench)?;
    places(bench)
}

fn texts(bench: &mut Bench) -> Result<()> {
    let mut text = |name: &str, expected: &str, text: Vec<u8>| {
        bench.plant(name, expected, |plot| plot.text(text))
    };
    text("manifest is no JSON", "manifest manifest_not_json", b"{ name: 'x' }".to_vec())?;
    text("manifest is empty", "manifest manifest_not_json", Vec::new())?;
    text("manifest is a list", "manifest manifest_not_json", b"[]".to_vec())?;
    text("manifest has 10 MB", "manifest manifest_too_large", vec![b' '; 10 << 20])?;
    text("manifest is deeply nested", "manifest manifest_too_deep", vec![b'['; 100_000])?;
    text("manifest is not UTF-8", "manifest manifest_not_text", b"{\"name\": \"\xff\"}".to_vec())
}

fn fields(bench: &mut Bench) -> Result<()> {
    let mut field = |name: &str, expected: &str, key: &str, value: serde_json::Value| {
        bench.plant(name, expected, |plot| plot.manifest(|it| it[key] = value))
    };
    field("name missing", "manifest manifest_field", "name", json!(null))?;
    field("version is none", "manifest manifest_field", "version", json!("new"))?;
    field(
        "flag of another extension",
        "manifest flag_foreign",
        "feature_flag",
        json!("sound_00001_mode"),
    )?;
    field("prefix of the core", "manifest prefix_refused", "prefixes", json!(["/api/v1/admin"]))?;
    field("slug with capitals", "manifest manifest_field", "slug", json!("Wrong"))?;
    field("directory of another name", "scan directory_mismatch", "slug", json!("elsewhere"))?;
    bench.plant("library's path leads out", "manifest manifest_field", |plot| {
        let mut package = plot.package()?;
        package.library_entry()["path"] = json!("../sound-00001/lib/libfaulty.so");
        package.write(&plot.directory)
    })?;
    bench.plant("unknown keys", "started", |plot| {
        plot.manifest(|it| it["colour"] = json!({ "of": "the bike shed" }))
    })?;
    for slug in ["core", "admin"] {
        let plot = bench.plot();
        let mut package = plot.package()?;
        package.manifest["slug"] = json!(slug);
        package.write(&bench.setup.extensions().join(slug))?;
        bench.expect(&format!("reserved slug `{slug}`"), slug, "manifest slug_reserved");
    }
    Ok(())
}

fn places(bench: &mut Bench) -> Result<()> {
    let away = outside(&bench.setup, "extension.json")?;
    bench.plant("manifest is a link out of the directory", "scan symlink", |plot| {
        sound(plot)?;
        let file = plot.directory.join("extension.json");
        fs::rename(&file, &away)?;
        Ok(symlink(&away, file)?)
    })?;
    let away = outside(&bench.setup, "extension")?;
    bench.plant("directory is a link", "scan symlink", |plot| {
        sound(plot)?;
        fs::rename(&plot.directory, &away)?;
        Ok(symlink(&away, &plot.directory)?)
    })?;
    bench.plant("manifest is a pipe", "scan wrong_file_kind", |plot| {
        sound(plot)?;
        let file = plot.directory.join("extension.json");
        fs::remove_file(&file)?;
        let made = Command::new("mkfifo").arg(file).status()?;
        ensure!(made.success(), "mkfifo failed");
        Ok(())
    })?;
    bench.plant("directory may be written by everybody", "scan world_writable", |plot| {
        sound(plot)?;
        chmod(&plot.directory, 0o777)
    })?;
    bench.plant(
        "library's directory may be written by everybody",
        "verify world_writable",
        |plot| {
            sound(plot)?;
            chmod(&plot.directory.join("lib"), 0o777)
        },
    )?;
    bench.plant("manifest cannot be read", "scan unreadable", |plot| {
        sound(plot)?;
        chmod(&plot.directory.join("extension.json"), 0)
    })?;
    if fs::metadata("/proc/self")?.uid_is_root() {
        bench.plant("directory belongs to somebody else", "scan foreign_owner", |plot| {
            sound(plot)?;
            Ok(chown(&plot.directory, Some(SOMEBODY), Some(SOMEBODY))?)
        })?;
    } else {
        skipped("only root gives a directory away");
    }
    Ok(())
}

fn sound(plot: &Plot) -> Result<()> {
    plot.package()?.write(&plot.directory)
}

trait Owner {
    fn uid_is_root(&self) -> bool;
}

impl Owner for fs::Metadata {
    fn uid_is_root(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        self.uid() == 0
    }
}
