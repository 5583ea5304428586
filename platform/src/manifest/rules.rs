use std::{
    collections::BTreeSet,
    path::{Component, Path},
};

use super::{Library, Manifest, ManifestError, NavEntry, error::shorten};

/// Slugs that no extension may have.
pub const RESERVED_SLUGS: [&str; 6] = ["core", "admin", "extensions", "private", "sqlite", "pg"];

/// First words of the core's own routes below `/api/v1/`; neither a slug nor a prefix may take one.
pub const CORE_ROUTES: [&str; 8] =
    ["admin", "extensions", "config", "reports", "core", "me", "webhooks", "changes"];

const API: &str = "/api/v1/";
/// Longest text of one line, such as a name, in characters.
const MAX_LINE: usize = 100;
/// Most entries of one list.
const MAX_ENTRIES: usize = 1000;

/// What a schema cannot say, or should say more clearly.
pub(super) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    check_identity(manifest)?;
    check_lists(manifest)?;
    for (index, prefix) in manifest.prefixes.iter().enumerate() {
        check_prefix(&format!("prefixes[{index}]"), prefix)?;
    }
    for (triple, library) in &manifest.library {
        check_library(&format!("library.{}", shorten(triple)), triple, library)?;
    }
    for (index, entry) in manifest.nav.iter().enumerate() {
        check_nav(&format!("nav[{index}]"), entry)?;
    }
    if let Some(frontend) = &manifest.frontend {
        if let Some(entry) = &frontend.entry {
            check_path("frontend.entry", entry)?;
        }
        for (index, css) in frontend.css.iter().enumerate() {
            check_path(&format!("frontend.css[{index}]"), css)?;
        }
    }
    Ok(())
}

fn check_identity(manifest: &Manifest) -> Result<(), ManifestError> {
    let slug = &manifest.slug;
    if manifest.name.trim().is_empty() || manifest.name.chars().count() > MAX_LINE {
        return Err(ManifestError::field("name", format!("expected 1 to {MAX_LINE} characters")));
    }
    if RESERVED_SLUGS.contains(&slug.as_str()) || CORE_ROUTES.contains(&slug.as_str()) {
        return Err(ManifestError::ReservedSlug { slug: slug.clone() });
    }
    match &manifest.feature_flag {
        Some(found) if *found != slug.flag() => {
            Err(ManifestError::ForeignFlag { found: shorten(found), expected: slug.flag() })
        }
        _ => Ok(()),
    }
}

fn check_lists(manifest: &Manifest) -> Result<(), ManifestError> {
    let capabilities = manifest.capabilities.iter().map(String::as_str);
    check_names(
        "capabilities",
        "",
        "is not written in small letters, digits and underscores",
        capabilities,
        is_name,
    )?;
    let permissions = manifest.permissions.iter().map(|it| it.name.as_str());
    check_names(
        "permissions",
        ".name",
        "is not `resource.action` in small letters",
        permissions,
        |it| it.contains('.') && it.split('.').all(is_name),
    )?;
    check_names(
        "dependencies",
        "",
        "",
        manifest.dependencies.iter().map(|it| it.slug.as_str()),
        |_| true,
    )?;
    check_names("prefixes", "", "", manifest.prefixes.iter().map(String::as_str), |_| true)?;
    let long = [("nav", manifest.nav.len()), ("library", manifest.library.len())];
    match long.into_iter().find(|(_, length)| *length > MAX_ENTRIES) {
        Some((path, _)) => Err(too_many(path)),
        None => Ok(()),
    }
}

/// Each of `names` is well formed and stands once.
fn check_names<'a>(
    list: &str,
    field: &str,
    form: &str,
    names: impl ExactSizeIterator<Item = &'a str>,
    well_formed: impl Fn(&str) -> bool,
) -> Result<(), ManifestError> {
    if names.len() > MAX_ENTRIES {
        return Err(too_many(list));
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let problem = if !well_formed(name) {
            form
        } else if !seen.insert(name) {
            "stands there twice"
        } else {
            continue;
        };
        let path = format!("{list}[{index}]{field}");
        return Err(ManifestError::field(path, format!("`{}` {problem}", shorten(name))));
    }
    Ok(())
}

fn too_many(list: &str) -> ManifestError {
    ManifestError::field(list, format!("has more than {MAX_ENTRIES} entries"))
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_LINE
        && text.starts_with(|it: char| it.is_ascii_lowercase())
        && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

fn check_prefix(path: &str, prefix: &str) -> Result<(), ManifestError> {
    let refuse = |message: String| ManifestError::Prefix {
        path: path.to_owned(),
        prefix: shorten(prefix),
        message,
    };
    let Some(rest) = prefix.strip_prefix(API) else {
        return Err(refuse(format!("expected a path below `{API}`")));
    };
    let word = |it: &str| {
        it.starts_with(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit())
            && it.bytes().all(|it| {
                it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-' || it == b'_'
            })
    };
    if prefix.len() > MAX_LINE || !rest.split('/').all(word) {
        return Err(refuse(
            "expected small letters, digits, hyphens and underscores between single slashes, without one at the end".to_owned(),
        ));
    }
    let first = rest.split('/').next().unwrap_or_default();
    if CORE_ROUTES.contains(&first) {
        return Err(refuse(format!("`{API}{first}` is the platform's")));
    }
    Ok(())
}

fn check_library(path: &str, triple: &str, library: &Library) -> Result<(), ManifestError> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.');
    if triple.matches('-').count() < 2 || !triple.bytes().all(plain) {
        return Err(ManifestError::field(
            path,
            "is no target triple such as `x86_64-unknown-linux-gnu`",
        ));
    }
    check_path(&format!("{path}.path"), &library.path)?;
    match &library.glibc {
        Some(glibc) if !is_version(glibc) => {
            let message = format!("`{}` is no glibc version such as `2.34`", shorten(glibc));
            Err(ManifestError::field(format!("{path}.glibc"), message))
        }
        _ => Ok(()),
    }
}

fn is_version(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|it| it.parse::<u16>().is_ok())
}

/// A path that stays inside the extension's directory.
fn check_path(field: &str, path: &str) -> Result<(), ManifestError> {
    let plain = Path::new(path).components().all(|it| matches!(it, Component::Normal(_)));
    let tidy = !path.split('/').any(|it| it.is_empty() || it == "." || it == "..");
    if plain && tidy && path.len() <= 255 && !path.contains(['\\', '\0']) {
        return Ok(());
    }
    let message = format!(
        "`{}` is not a path inside the extension's directory, such as `lib/name`",
        shorten(path)
    );
    Err(ManifestError::field(field, message))
}

fn check_nav(field: &str, entry: &NavEntry) -> Result<(), ManifestError> {
    // Two slashes, or a backslash, would lead a browser to another site.
    if entry.href.starts_with('/') && !entry.href.starts_with("//") && !entry.href.contains('\\') {
        return Ok(());
    }
    let message = format!(
        "`{}` is no page of this site, such as `/marketing/campaigns`",
        shorten(&entry.href)
    );
    Err(ManifestError::field(format!("{field}.href"), message))
}
