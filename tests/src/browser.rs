//! A browser without a window, which shows what became of a page and what it asked for.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::instance::within;
use crate::skipped::skipped;

/// How long a page may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Chromium, under one of its names.
#[derive(Debug)]
pub struct Browser {
    program: &'static str,
}

/// A page after its scripts ran.
#[derive(Debug)]
pub struct Seen {
    /// The page as it then was, as HTML.
    pub dom: String,
    /// What the page asked for, itself among it.
    pub asked: BTreeSet<String>,
    /// What the browser had to say about the page: errors of scripts, and what a policy forbade.
    pub said: Vec<String>,
}

impl Browser {
    /// Finds the browser; where there is none the test is skipped, and says so.
    pub fn find() -> Option<Browser> {
        let runs = |program: &&str| {
            let output = Command::new(program).arg("--version").output();
            output.is_ok_and(|it| it.status.success())
        };
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs);
        if found.is_none() {
            skipped("there is no Chromium");
        }
        found.map(|program| Browser { program })
    }

    /// Opens a page and waits until it asks for nothing more.
    ///
    /// # Errors
    ///
    /// The browser failed, or did not end in time.
    pub fn open(&self, url: &str) -> Result<Seen> {
        let place = tempfile::Builder::new().prefix("powernode-browser-").tempdir()?;
        let file = |name: &str| place.path().join(name);
        let mut command = Command::new(self.program);
        // It sees pages of this machine alone, and may run as root.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
        command.args(["--disable-component-update", "--disable-default-apps"]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]);
        command.args([
            "--net-log-capture-mode=Default",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]);
        command.arg(format!("--user-data-dir={}", file("profile").display()));
        command.arg(format!("--log-net-log={}", file("net.json").display()));
        command.arg(url).env("HOME", place.path());
        command.stdin(Stdio::null()).stdout(File::create(file("dom"))?);
        let mut child = command.stderr(File::create(file("log"))?).spawn()?;
        let ended = within(DEADLINE, || !matches!(child.try_wait(), Ok(None)));
        if !ended {
            child.kill()?;
        }
        let status = child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(file("log"))?).into_owned();
        if !ended || !status.success() {
            bail!("{} on {url}: {status}: {log}", self.program);
        }
        // What begins with the word in brackets is advice.
        let said = log.lines().filter(|it| it.contains(":CONSOLE") && !it.contains("\"[DOM] "));
        let said = said.map(str::to_owned).collect();
        let asked = asked(&file("net.json"), url)?;
        Ok(Seen { dom: fs::read_to_string(file("dom"))?, asked, said })
    }
}

/// The addresses of a log of the network that `page` asked for; the browser has business of its own.
fn asked(log: &Path, page: &str) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(log)?;
    let log: Value = serde_json::from_str(&text).context("the log of the network")?;
    let events = log["events"].as_array().into_iter().flatten().map(|it| &it["params"]);
    let of_page = events.filter(|it| it["url"] == page || it["initiator"].is_string());
    let of_page = of_page.filter(|it| it["url"] == page || it["initiator"] != "not an origin");
    Ok(of_page.filter_map(|it| it["url"].as_str().map(str::to_owned)).collect())
}
