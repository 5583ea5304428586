//! The data directory: who may do what with it, and what earlier processes left in it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::Access;

use super::{
    finding::{Findings, Fix, quoted},
    settings::may,
};
use crate::{
    commands::client::Client, config::Settings, http::socket, package::scan, registry::report,
    services::MasterKey,
};

/// Files of the store that no manifest names, at which they are worth a word.
const LEFT_OVER: usize = 8;
const LEFT_OVER_BYTES: u64 = 256 << 20;

/// Whether the directory can be used at all.
pub(super) fn directory(settings: &Settings, least_free: u64, findings: &mut Findings) -> bool {
    let data = &settings.data;
    let shown = data.display();
    let Ok(found) = fs::metadata(data) else {
        return missing(data, findings);
    };
    if !found.is_dir() {
        findings.error(
            "data.not_a_directory",
            &shown,
            "the data directory is a file".to_owned(),
            Fix::by_hand(format!("mv {0} {0}.file", quoted(data))),
        );
        return false;
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own && own != 0 {
        findings.error(
            "data.foreign_owner",
            &shown,
            format!("it belongs to user {}, and this is user {own}", found.uid()),
            Fix::by_hand(format!("sudo chown -R {own} {}", quoted(data))),
        );
        return false;
    }
    if !may(data, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        findings.error(
            "data.not_writable",
            &shown,
            "the platform may not write here, and so not start".to_owned(),
            Fix::run(format!("chmod u+rwx {}", quoted(data))),
        );
        return false;
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        findings.error(
            "data.writable_by_others",
            &shown,
            format!("others may put files here (mode {mode:03o}), among them libraries that run"),
            Fix::run(format!("chmod go-rwx {}", quoted(data))),
        );
    } else if mode & 0o055 != 0 {
        findings.error(
            "data.readable_by_others",
            &shown,
            format!("others may read the database (mode {mode:03o})"),
            Fix::run(format!("chmod go-rwx {}", quoted(data))),
        );
    }
    if let Ok(disk) = rustix::fs::statvfs(data) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < least_free {
            findings.error(
                "data.disk_full",
                &shown,
                format!(
                    "{} MiB are free on its file system, and {} should be: writes will fail",
                    free >> 20,
                    least_free >> 20
                ),
                Fix::by_hand(format!(
                    "du -xh -d 2 {} | sort -h | tail (and make room)",
                    quoted(data)
                )),
            );
        }
    }
    true
}

/// A directory that is not there is made by the first start, where that can be.
fn missing(data: &Path, findings: &mut Findings) -> bool {
    let above = data.ancestors().skip(1).find(|it| it.exists() || it.as_os_str().is_empty());
    let above = above.filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !may(above, Access::WRITE_OK | Access::EXEC_OK) {
        findings.error(
            "data.cannot_be_made",
            data.display(),
            format!("it is not there, and this user may not make it in `{}`", above.display()),
            Fix::by_hand(format!("sudo install -d -m 0700 -o $(id -u) {}", quoted(data))),
        );
    }
    false
}

/// What earlier processes left; `runs` is whether a platform runs here.
pub(super) fn leftovers(settings: &Settings, runs: bool, findings: &mut Findings) {
    socket(settings, findings);
    if !runs {
        markers(settings, findings);
    }
    store(settings, findings);
    if let Err(error) = report::read(&settings.data) {
        let path = settings.data.join(report::FILE_NAME);
        findings.error(
            "data.last_start_malformed",
            path.display(),
            format!("what became of the extensions at the last start cannot be read: {error}"),
            Fix::run(format!("rm {}", quoted(&path))),
        );
    }
}

fn socket(settings: &Settings, findings: &mut Findings) {
    let path = socket::path(&settings.data);
    if let Err(error) = socket::fits(&path) {
        let fix = Fix::by_hand("choose a shorter path for `data`");
        findings.warning("data.socket_path_too_long", path.display(), error.to_string(), fix);
        return;
    }
    let Ok(found) = fs::symlink_metadata(&path) else { return };
    if !found.file_type().is_socket() {
        findings.error(
            "data.socket_is_a_file",
            path.display(),
            "something else lies where the operator's socket belongs".to_owned(),
            Fix::run(format!("mv {0} {0}.old", quoted(&path))),
        );
        return;
    }
    if Client::find(&path).is_err_and(|it| it.kind() == io::ErrorKind::ConnectionRefused) {
        findings.warning(
            "data.socket_stale",
            path.display(),
            "it belonged to a platform that was killed; the next start replaces it".to_owned(),
            Fix::run(format!("rm {}", quoted(&path))),
        );
        return;
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.error(
            "data.socket_open_to_others",
            path.display(),
            format!("others may connect to the operator's socket (mode {mode:03o})"),
            Fix::run(format!("chmod 600 {}", quoted(&path))),
        );
    }
}

fn markers(settings: &Settings, findings: &mut Findings) {
    let directory = settings.data.join("activating");
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let slug = entry.file_name().to_string_lossy().into_owned();
        findings.error(
            "extension.crashed_the_platform",
            &slug,
            format!("the platform ended while it opened `{slug}`: the next start puts that into quarantine"),
            Fix::run(format!("rm {}", quoted(&path))),
        );
    }
}

/// Libraries of versions that are no longer installed.
fn store(settings: &Settings, findings: &mut Findings) {
    let directory = settings.data.join("store");
    let found = scan(&settings.extensions.dir);
    let manifests = found.iter().filter_map(|it| it.manifest.as_ref().ok());
    let needed: BTreeSet<_> =
        manifests.flat_map(|it| it.library.values()).map(|it| it.sha256.to_string()).collect();
    let (mut left, mut bytes) = (0, 0);
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(hash) = name.strip_suffix(".so") else { continue };
        if !needed.contains(hash) {
            left += 1;
            bytes += entry.metadata().map_or(0, |it| it.len());
        }
    }
    if left >= LEFT_OVER || bytes >= LEFT_OVER_BYTES {
        let kept: Vec<_> = needed.iter().map(|it| format!(" ! -name {it}.so")).collect();
        findings.warning(
            "data.store_left_over",
            directory.display(),
            format!("{left} libraries of {} MiB belong to no installed version", bytes >> 20),
            Fix::run(format!("find {} -name '*.so'{} -delete", quoted(&directory), kept.concat())),
        );
    }
}

/// The master key, as far as it can be told without secrets.
pub(super) fn key(settings: &Settings, findings: &mut Findings) -> Option<MasterKey> {
    let own = settings.data.join("master.key");
    let path = settings.secrets.key_file.as_ref().unwrap_or(&own);
    let generate = format!("openssl rand -hex 32 > {}", quoted(path));
    let text = match &settings.secrets.key {
        Some(text) => text.clone(),
        None => match fs::read_to_string(path) {
            Ok(text) => {
                mode(path, findings);
                text
            }
            // The first start makes its own.
            Err(error) if error.kind() == io::ErrorKind::NotFound && *path == own => return None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                findings.error(
                    "key.file_missing",
                    path.display(),
                    "`secrets.key_file` names a file that is not there".to_owned(),
                    Fix::by_hand(format!(
                        "put the key back, or make the first one: umask 077; {generate}"
                    )),
                );
                return None;
            }
            Err(error) => {
                findings.error(
                    "key.unreadable",
                    path.display(),
                    format!("the master key cannot be read: {error}"),
                    Fix::run(format!("chmod 600 {}", quoted(path))),
                );
                return None;
            }
        },
    };
    match MasterKey::parse(&text) {
        Ok(key) => Some(key),
        Err(error) => {
            let subject = match settings.secrets.key {
                Some(_) => "secrets.key".to_owned(),
                None => path.display().to_string(),
            };
            findings.error(
                "key.malformed",
                subject,
                error.to_string(),
                Fix::by_hand(format!(
                    "put the former key back; where there never was one: umask 077; {generate}"
                )),
            );
            None
        }
    }
}

fn mode(path: &Path, findings: &mut Findings) {
    let Ok(found) = fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.error(
            "key.open_to_others",
            path.display(),
            format!("others may read the master key (mode {mode:03o}), and with it all secrets"),
            Fix::run(format!("chmod 600 {}", quoted(path))),
        );
    }
}
