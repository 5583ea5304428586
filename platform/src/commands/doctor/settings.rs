//! Settings: what they say, who can read them, and whether the network allows them.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::finding::{Findings, Fix, quoted};
use crate::{
    commands::config::sentence,
    config::{ConfigError, Confinement, Origin, Settings},
    package::{WrongChoice, all_wrong_choices},
    telemetry,
};

/// What could not be used of the settings.
pub(super) fn problems(problems: &[ConfigError], findings: &mut Findings) {
    for problem in problems {
        let id = match problem {
            ConfigError::Unreadable { .. } => "config.file_unreadable",
            ConfigError::NotToml { .. } => "config.file_not_toml",
            ConfigError::UnknownKey { .. } => "config.unknown_key",
            ConfigError::WrongValue { .. } => "config.wrong_value",
            ConfigError::OnlyByEnvironment { .. } => "config.secret_in_file",
            ConfigError::NotUtf8 { .. } => "config.not_utf8",
        };
        let origin = problem.origin();
        let subject = match (problem.key(), &origin) {
            (Some(key), _) => key.to_owned(),
            (None, Some(origin)) => origin.to_string(),
            (None, None) => "settings".to_owned(),
        };
        let fix = match (problem, origin) {
            (ConfigError::Unreadable { path, .. }, _) if !path.exists() => Fix::by_hand(format!(
                "name a file that is there with `--config FILE`, or write {}",
                quoted(path)
            )),
            (ConfigError::Unreadable { path, .. }, _) => {
                Fix::run(format!("chmod u+r {}", quoted(path)))
            }
            (_, origin) => take_back(origin),
        };
        findings.error(id, subject, sentence(problem), fix);
    }
}

/// How a person takes back what was chosen.
fn take_back(origin: Option<Origin>) -> Fix {
    Fix::by_hand(match origin {
        Some(Origin::Env(name)) => format!("unset {name}"),
        Some(Origin::File(path)) => format!("${{EDITOR:-vi}} {}", quoted(&path)),
        _ => "leave that option out".to_owned(),
    })
}

/// What is allowed, and should not be so.
pub(super) fn choices(settings: &Settings, findings: &mut Findings) {
    files(settings, findings);
    let everybody = [IpAddr::from([8, 8, 8, 8]), IpAddr::from([1, 1, 1, 1])];
    let trusts = settings.server.trusted_proxies.iter();
    if let Some(network) = trusts.clone().find(|it| everybody.iter().all(|ip| it.contains(*ip))) {
        findings.error(
            "config.trusts_everybody",
            "server.trusted_proxies",
            format!(
                "`{network}` believes the X-Forwarded-For of every sender, so that nobody is limited by address and the log names whom the sender likes"
            ),
            edit(settings, "server.trusted_proxies", "name the proxy's own address, such as 10.0.0.5"),
        );
    }
    if let Err(error) = telemetry::check(&settings.log.filter) {
        let fix = edit(settings, "log.filter", "write it as `info`");
        findings.error("config.log_filter", "log.filter", error.to_string(), fix);
    }
    if settings.database.url.is_some() && settings.database.confinement == Confinement::SearchPath {
        findings.warning(
            "database.weak_confinement",
            "database.confinement",
            "extensions share one login role: an extension that means to can read the tables of others".to_owned(),
            edit(settings, "database.confinement", "set it to `roles`, with a role that may create roles"),
        );
    }
}

/// The file holds passwords, and decides what runs.
fn files(settings: &Settings, findings: &mut Findings) {
    let paths = settings.explain().iter().filter_map(|it| match &it.origin {
        Origin::File(path) => Some(path),
        _ => None,
    });
    let Some(path) = paths.into_iter().next() else { return };
    let Ok(data) = fs::metadata(path) else { return };
    let mode = data.permissions().mode();
    if mode & 0o022 != 0 {
        findings.error(
            "config.file_writable_by_others",
            path.display(),
            format!(
                "others may write the settings (mode {:03o}), and so choose what runs",
                mode & 0o777
            ),
            Fix::run(format!("chmod go-w {}", quoted(path))),
        );
    }
    let secret = settings.explain().iter().any(|it| {
        matches!(it.origin, Origin::File(_))
            && it.value.as_ref().is_some_and(|it| it.contains("***"))
    });
    if secret && mode & 0o044 != 0 {
        findings.error(
            "config.file_readable_by_others",
            path.display(),
            format!(
                "it holds a password or a secret, and others may read it (mode {:03o})",
                mode & 0o777
            ),
            Fix::run(format!("chmod go-r {}", quoted(path))),
        );
    }
}

/// What was chosen for extensions that do not take it.
pub(super) fn of_extensions(settings: &Settings, findings: &mut Findings) {
    for WrongChoice { key, origin, message } in all_wrong_choices(settings) {
        let place = origin.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
        let fix = match origin {
            None => Fix::by_hand(findings.powernode("config show --origin")),
            origin => take_back(origin),
        };
        findings.error("config.extension", &key, format!("{message}{place}"), fix);
    }
}

/// How a person changes a setting where it stands.
fn edit(settings: &Settings, key: &str, how: &str) -> Fix {
    match settings.origin(key) {
        Some(Origin::File(path)) => {
            Fix::by_hand(format!("${{EDITOR:-vi}} {} (`{key}`: {how})", quoted(path)))
        }
        Some(Origin::Env(name)) => Fix::by_hand(format!("export {name}=… ({how})")),
        _ => Fix::by_hand(format!("--set {key}=… ({how})")),
    }
}

/// Whether the platform could listen; asked only where none runs on this data directory.
pub(super) fn port(settings: &Settings, findings: &mut Findings) {
    let address = SocketAddr::new(settings.server.bind, settings.server.port);
    let Err(error) = TcpListener::bind(address) else { return };
    let (id, message, key, how) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "network.port_taken",
            format!(
                "another process listens on {address}: `ss -ltnp 'sport = :{}'` names it",
                address.port()
            ),
            "server.port",
            "choose a port that is free",
        ),
        io::ErrorKind::PermissionDenied => (
            "network.port_privileged",
            format!("this user may not listen on {address}: ports this low are the system's"),
            "server.port",
            "choose a port from 1024 on, with a proxy before it",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "network.address_unavailable",
            format!("no interface of this machine has the address {}", address.ip()),
            "server.bind",
            "choose an address that `ip address` lists",
        ),
        _ => (
            "network.cannot_listen",
            format!("cannot listen on {address}: {error}"),
            "server.bind",
            "choose another",
        ),
    };
    let fix = edit(settings, key, how);
    findings.error(id, key, message, fix);
}

/// Whether this user may do `mode` with a path, by its bits; root may everything.
pub(super) fn may(path: &Path, access: rustix::fs::Access) -> bool {
    rustix::fs::access(path, access).is_ok()
}
