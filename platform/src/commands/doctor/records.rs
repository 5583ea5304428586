//! What stands in the core's tables: tokens, flags, secrets, quarantine, the audit log.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use powernode_plugin_api::db::RunError;
use tokio::runtime::Runtime;

use super::{
    extensions::slug_of,
    finding::{Findings, Fix, quoted, word},
};
use crate::{
    access::{Access, Token},
    audit::{self, Filter},
    boot::Core,
    config::Settings,
    gate::FlagState,
    package::Found,
    registry::quarantine,
    services::{KeyError, MasterKey},
};

/// How far a clock may be behind what was recorded.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Reads the tables; `found` is what is installed.
///
/// # Errors
///
/// The database's.
pub(super) fn check(
    core: &Core,
    settings: &Settings,
    key: Option<&MasterKey>,
    found: Option<&[Found]>,
    runtime: &Runtime,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let access = Access::new(core.db.clone());
    let tokens = runtime.block_on(access.tokens(None))?;
    let has_accounts = !runtime.block_on(access.accounts())?.is_empty();
    operators(&tokens, has_accounts, findings);
    secrets(core, settings, key, runtime, findings)?;
    runtime.block_on(core.flags.load())?;
    if let Some(found) = found {
        flags(core, found, findings);
    }
    for (slug, reason) in runtime.block_on(quarantine::all(&core.db))? {
        let fix = Fix::run(findings.powernode(&format!("ext release {}", word(&slug))));
        findings.error(
            "extension.quarantined",
            &slug,
            format!("`{slug}` is in quarantine: {reason}"),
            fix,
        );
    }
    let verified = runtime.block_on(core.db.read(audit::verify))?;
    if let Err(bad) = verified {
        findings.error(
            "audit.broken",
            "core_audit",
            format!("the audit log was tampered with: {bad}"),
            Fix::by_hand(findings.powernode("audit export --to EVIDENCE.jsonl")),
        );
    }
    let newest =
        runtime
            .block_on(core.db.read(|conn| {
                audit::list(conn, &Filter::default(), 1, 1).map_err(RunError::from)
            }))?;
    let moments = newest.0.iter().map(|it| it.at).chain(tokens.iter().map(|it| it.created_at));
    clock(moments.max(), Utc::now(), findings);
    Ok(())
}

fn operators(tokens: &[Token], has_accounts: bool, findings: &mut Findings) {
    let now = Utc::now();
    let is_operator = |it: &&Token| {
        it.revoked_at.is_none()
            && it.scopes.as_array().is_some_and(|it| it.iter().any(|it| it == "*"))
    };
    let (ended, valid): (Vec<_>, Vec<_>) =
        tokens.iter().filter(is_operator).partition(|it| it.expires_at.is_some_and(|it| it <= now));
    for token in ended {
        let fix = Fix::run(findings.powernode(&format!("tokens revoke {}", word(&token.prefix))));
        findings.warning(
            "access.operator_token_expired",
            &token.prefix,
            format!(
                "the operator's token `{}` has ended, and whoever uses it is answered 401",
                token.name
            ),
            fix,
        );
    }
    // The first start makes the first account with its token.
    if valid.is_empty() && has_accounts {
        let fix = Fix::run(findings.powernode("tokens create --name operator"));
        findings.error(
            "access.no_operator_token",
            "core_tokens",
            "no valid token holds all permissions: the admin API is closed to everybody".to_owned(),
            fix,
        );
    }
}

fn secrets(
    core: &Core,
    settings: &Settings,
    key: Option<&MasterKey>,
    runtime: &Runtime,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(wanted) = runtime.block_on(MasterKey::wanted(&core.db))? else { return Ok(()) };
    let Some(key) = key else {
        // What is wrong with a key that is there, was said already.
        if findings.list().iter().all(|it| !it.is_of("key.")) {
            findings.error(
                "key.missing",
                "master.key",
                format!("the database was written with the key `{wanted}`, which is gone: the platform does not start"),
                put_back(settings),
            );
        }
        return Ok(());
    };
    match runtime.block_on(key.check(&core.db)) {
        Ok(()) => {}
        Err(error @ KeyError::Wrong { .. }) => {
            findings.error("key.wrong", "master.key", error.to_string(), put_back(settings));
        }
        Err(error @ KeyError::Orphaned { .. }) => {
            let adopt = findings.powernode("key adopt --yes");
            let fix = Fix::by_hand(format!("{adopt} (and set those secrets again)"));
            findings.error("secrets.orphaned", "core_secrets", error.to_string(), fix);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The key is where a person keeps it.
fn put_back(settings: &Settings) -> Fix {
    let path = settings.data.join("master.key");
    let path = quoted(settings.secrets.key_file.as_ref().unwrap_or(&path));
    Fix::by_hand(format!("install -m 600 FORMER-KEY {path}"))
}

/// A flag that is on for an extension that is gone comes back with it.
fn flags(core: &Core, found: &[Found], findings: &mut Findings) {
    let installed: BTreeSet<_> =
        found.iter().map(|it| format!("{}_mode", slug_of(it).replace('-', "_"))).collect();
    for flag in core.gate.flags().unwrap_or_default() {
        let is_of_extension = flag.name.ends_with("_mode");
        if !is_of_extension || flag.state() == FlagState::Off || installed.contains(&flag.name) {
            continue;
        }
        let fix = Fix::run(findings.powernode(&format!("flags disable {}", word(&flag.name))));
        findings.warning(
            "flags.vanished_extension",
            &flag.name,
            format!("the flag `{}` is on, and its extension is not installed", flag.name),
            fix,
        );
    }
}

fn clock(newest: Option<DateTime<Utc>>, now: DateTime<Utc>, findings: &mut Findings) {
    if let Some(newest) = newest.filter(|it| *it > now + SKEW) {
        findings.error(
            "system.clock_behind",
            "clock",
            format!(
                "this machine says {}, and the database has a record of {}",
                now.format("%F %T"),
                newest.format("%F %T")
            ),
            Fix::by_hand("sudo timedatectl set-ntp true".to_owned()),
        );
    }
}
