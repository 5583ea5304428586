//! What is installed: whether the next start will load it.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use super::finding::{Findings, Fix, quoted, word};
use crate::{
    config::{Origin, Settings},
    gate::StateFile,
    manifest::Refusal,
    package::{Found, Host, scan, verify},
    registry::report,
    resolver::{self, LoadPlan, Reason},
};

/// What the next start finds, and the state file that it follows; nothing where the directory cannot be used.
pub(super) fn check(settings: &Settings, findings: &mut Findings) -> Option<Vec<Found>> {
    let disabled = state(settings, findings);
    let directory = &settings.extensions.dir;
    match fs::metadata(directory) {
        Ok(found) if found.permissions().mode() & 0o002 != 0 => {
            findings.error(
                "extensions.writable_by_others",
                directory.display(),
                "everybody may install extensions here: none is loaded".to_owned(),
                Fix::run(format!("chmod o-w {}", quoted(directory))),
            );
            return None;
        }
        Ok(_) => {}
        // Nobody asked for it: this is core mode.
        Err(_) if settings.origin("extensions.dir") == Some(&Origin::Default) => {
            return Some(Vec::new());
        }
        Err(_) => {
            findings.error(
                "extensions.directory_missing",
                directory.display(),
                "it is not there: the platform does not start".to_owned(),
                Fix::run(format!("mkdir -p {}", quoted(directory))),
            );
            return None;
        }
    }
    let found = scan(directory);
    unknown(&disabled, &found, findings);
    let plan = resolver::resolve(&found, &disabled, &resolver::api());
    refused(&plan, &found, findings);
    libraries(&plan, &found, settings, findings);
    Some(found)
}

fn state(settings: &Settings, findings: &mut Findings) -> BTreeSet<String> {
    let path = &settings.extensions.state_file;
    let state = StateFile::new(path).read();
    if let Some(warning) = state.warning.filter(|_| path.exists()) {
        let (id, fix) = match fs::read(path) {
            Ok(_) => ("state.malformed", format!("mv {0} {0}.malformed", quoted(path))),
            Err(_) => ("state.unreadable", format!("chmod u+rw {}", quoted(path))),
        };
        findings.error(id, path.display(), warning, Fix::run(fix));
    }
    state.disabled
}

/// A name in the state file that nobody has may be a slip of the pen.
fn unknown(disabled: &BTreeSet<String>, found: &[Found], findings: &mut Findings) {
    for slug in disabled {
        if found.iter().any(|it| slug_of(it) == *slug) {
            continue;
        }
        let fix = Fix::run(findings.powernode(&format!("state enable {}", word(slug))));
        findings.warning(
            "state.unknown_extension",
            slug,
            format!("the state file disables `{slug}`, and no such extension is installed"),
            fix,
        );
    }
}

pub(super) fn slug_of(found: &Found) -> String {
    found.manifest.as_ref().map_or_else(|_| found.name.clone(), |it| it.slug.to_string())
}

/// What stays out before any library is looked at.
fn refused(plan: &LoadPlan, found: &[Found], findings: &mut Findings) {
    // Of two that collide, one finding is enough.
    let mut told = BTreeSet::new();
    for (slug, reason) in &plan.refused {
        let refusal = reason.refusal(slug);
        let place = found.iter().find(|it| slug_of(it) == *slug);
        let fix = match reason {
            Reason::Disabled => continue,
            // The root of it is a finding of its own.
            Reason::Behind { reason, .. } if **reason != Reason::Disabled => continue,
            Reason::Behind { root, .. } => {
                Fix::run(findings.powernode(&format!("state enable {}", word(root))))
            }
            Reason::Capability { other, .. }
            | Reason::Permission { other, .. }
            | Reason::RoutePrefix { other, .. } => {
                if told.contains(other.as_str()) {
                    continue;
                }
                Fix::run(findings.powernode(&format!("state disable {}", word(slug))))
            }
            Reason::TablePrefix { other, .. } => {
                if told.contains(other.as_str()) {
                    continue;
                }
                Fix::by_hand("uninstall one of the two".to_owned())
            }
            Reason::Missing { dependency } => stage_by_hand(findings, dependency.as_str()),
            Reason::Broken(_) if told.contains(slug.as_str()) => continue,
            Reason::Broken(refusal) => mend(refusal, place, findings),
            Reason::Cycle { path } if path.iter().any(|it| told.contains(it.as_str())) => continue,
            _ => place.map_or_else(|| stage_by_hand(findings, slug), edit),
        };
        told.insert(slug.as_str());
        findings.error(&format!("extension.{}", refusal.code), slug, refusal.message, fix);
    }
}

/// What the libraries' bytes say, and what the last start found out of those that are sound so far.
fn libraries(plan: &LoadPlan, found: &[Found], settings: &Settings, findings: &mut Findings) {
    let host = Host::detect();
    let last = report::read(&settings.data).ok().flatten().unwrap_or_default();
    for slug in &plan.order {
        let Some(it) = found.iter().find(|it| slug_of(it) == slug.as_str()) else { continue };
        let verified = match verify(it, &host) {
            Ok(verified) => verified,
            Err(refusal) => {
                let fix = mend(&refusal, Some(it), findings);
                findings.error(&format!("extension.{}", refusal.code), slug, refusal.message, fix);
                continue;
            }
        };
        let before = last.iter().find(|it| it.slug == slug.as_str() && it.state == "failed");
        let same = before.filter(|it| {
            it.library.as_ref().is_some_and(|it| it.sha256 == verified.sha256.to_string())
        });
        if let Some(before) = same {
            let code = before.reason.as_ref().and_then(|it| it["code"].as_str());
            let fix = stage_by_hand(findings, slug.as_str());
            let id = format!("extension.{}", code.unwrap_or("failed"));
            findings.error(&id, slug, format!("at the last start: {}", before.why()), fix);
        }
    }
}

/// What mends a refused file or directory.
fn mend(refusal: &Refusal, found: Option<&Found>, findings: &Findings) -> Fix {
    let Some(found) = found else { return stage_by_hand(findings, "") };
    let directory = quoted(&found.directory);
    match refusal.code.as_ref() {
        "world_writable" => Fix::run(format!("chmod -R o-w {directory}")),
        "unreadable" | "manifest_unreadable" => Fix::run(format!("chmod -R u+rX {directory}")),
        "foreign_owner" => Fix::by_hand(format!("sudo chown -R $(id -u) {directory}")),
        "no_manifest" => Fix::by_hand(format!("rm -r {directory} (or put its manifest there)")),
        "slug_duplicate" => Fix::by_hand(format!("rm -r {directory} (or the other one)")),
        "directory_mismatch" => Fix::by_hand(format!("mv {directory} {directory}/../SLUG")),
        code if code.starts_with("manifest_") || code.starts_with("slug_") => edit(found),
        "flag_foreign" | "prefix_refused" => edit(found),
        _ => stage_by_hand(findings, &found.name),
    }
}

fn edit(found: &Found) -> Fix {
    let path = found.directory.join(crate::manifest::FILE_NAME);
    Fix::by_hand(format!("${{EDITOR:-vi}} {}", quoted(&path)))
}

/// The vendor's library is what only a person has.
fn stage_by_hand(findings: &Findings, slug: &str) -> Fix {
    let words = format!("ext stage LIBRARY-OF-{} --manifest EXTENSION.JSON", slug.to_uppercase());
    Fix::by_hand(findings.powernode(&words))
}
