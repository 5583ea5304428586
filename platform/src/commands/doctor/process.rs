//! This process's limits, and the platform that runs.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use super::finding::{Findings, Fix};
use crate::{boot::lock, commands::client::Client, config::Settings};

/// Files that a platform with some extensions and clients has open.
const LEAST_FILES: u64 = 1024;

/// What the system allows.
pub(super) fn limits(findings: &mut Findings) {
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|it| *it < LEAST_FILES) {
        findings.warning(
            "system.few_open_files",
            "ulimit",
            format!("{files} files may be open at once, and each client is one: more than that are refused"),
            Fix::by_hand("ulimit -n 65536 (in a unit of systemd: LimitNOFILE=65536)".to_owned()),
        );
    }
}

/// Whether the platform that runs is this one, and follows what lies on disk.
///
/// # Errors
///
/// It does not answer.
pub(super) fn running(
    client: &Client,
    settings: &Settings,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let restart = || Fix::by_hand("restart the platform: systemctl restart powernode".to_owned());
    let said = client.get("/api/v1/config")?;
    let (its, own) = (said["version"].as_str().unwrap_or_default(), env!("CARGO_PKG_VERSION"));
    if its != own {
        let message = format!("the platform that runs is {its}, and this command line {own}");
        findings.warning("platform.other_version", "platform", message, restart());
    } else if program(settings).is_some_and(|it| it.ends_with(" (deleted)")) {
        findings.warning(
            "platform.program_replaced",
            "platform",
            "its program was replaced since it started: the new one counts from the next start on"
                .to_owned(),
            restart(),
        );
    }
    let rescan = client.send("POST", "/api/v1/admin/extensions/rescan", &Value::Null)?;
    let changed = rescan["extensions"].as_array().into_iter().flatten();
    let changed = changed.filter(|it| it["changes"].as_array().is_some_and(|it| !it.is_empty()));
    for it in changed {
        let reasons = it["changes"].as_array().into_iter().flatten();
        let reasons: Vec<_> = reasons.filter_map(|it| it["reason"].as_str()).collect();
        let slug = it["slug"].as_str().unwrap_or_default();
        let message = format!("a restart would change it: {}", reasons.join("; "));
        findings.warning("platform.restart_required", slug, message, restart());
    }
    Ok(())
}

/// The program of the process that holds the data directory, as the system names it.
fn program(settings: &Settings) -> Option<String> {
    let text = fs::read_to_string(settings.data.join(lock::FILE_NAME)).ok()?;
    let process: u32 = text.trim().parse().ok()?;
    let program = fs::read_link(Path::new("/proc").join(process.to_string()).join("exe")).ok()?;
    Some(program.display().to_string())
}
