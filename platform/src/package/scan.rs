use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{PackageError, dir::Dir, error::NO_MANIFEST};
use crate::manifest::{self, Manifest, Refusal, Stage};

/// The directory that groups private extensions.
const PRIVATE: &str = "private";

/// A directory with a manifest.
#[derive(Clone, Debug)]
pub struct Found {
    /// The directory's name, which is the slug if all is well.
    pub name: String,
    /// Where it is.
    pub directory: PathBuf,
    /// Whether it stands below `private/`.
    pub private: bool,
    /// Its manifest, or why it cannot be used.
    pub manifest: Result<Manifest, Refusal>,
    /// What is odd about it, in sentences.
    pub warnings: Vec<String>,
}

/// Finds the extensions in `extensions/` and `extensions/private/`, in the order of their names.
///
/// One that is not there holds none; whatever is wrong is the refusal of what
/// was found, also of a directory without a manifest. Files and names with a
/// dot are passed over.
pub fn scan(extensions: &Path) -> Vec<Found> {
    let private = extensions.join(PRIVATE);
    let mut found =
        match Dir::open(extensions) {
            Ok(root) => {
                let mut found = scan_group(Ok(&root), extensions, false);
                found.extend(scan_group(root.dir(PRIVATE).as_ref(), &private, true));
                found
            }
            Err(error) => {
                let mut found = scan_group(Err(&error), extensions, false);
                found.extend(names_of(&private).into_iter().map(|name| {
                    refused(&private, name, true, error.refusal(Stage::Scan, extensions))
                }));
                found
            }
        };
    pass_over_remains(&mut found);
    refuse_duplicates(&mut found);
    found
}

/// What has no manifest does not take out the extension of its name, and is told beside it.
fn pass_over_remains(found: &mut Vec<Found>) {
    let is_remains = |it: &Found| it.manifest.as_ref().is_err_and(|it| it.code == NO_MANIFEST);
    let (remains, mut kept): (Vec<_>, Vec<_>) =
        std::mem::take(found).into_iter().partition(is_remains);
    for it in remains {
        let (others, message) =
            (kept.iter_mut().filter(|other| other.name == it.name), it.manifest.as_ref().err());
        let mut alone = true;
        for other in others {
            other.warnings.extend(message.map(|it| it.message.to_string()));
            alone = false;
        }
        if alone {
            found.push(it);
        }
    }
    found.append(&mut kept);
    found.sort_by(|a, b| (&a.name, a.private).cmp(&(&b.name, b.private)));
}

fn scan_group(group: Result<&Dir, &PackageError>, path: &Path, private: bool) -> Vec<Found> {
    let listed = group.map(|dir| (dir, dir.names()));
    match listed {
        Ok((dir, Ok(names))) => {
            names.into_iter().filter_map(|name| look(dir, path, name, private)).collect()
        }
        Err(PackageError::Missing { .. }) => Vec::new(),
        // A file may be called `private`.
        Err(PackageError::Kind { .. }) if private => Vec::new(),
        Ok((_, Err(error))) => refuse_all(&error, path, private),
        Err(error) => refuse_all(error, path, private),
    }
}

/// The directory cannot be trusted or read: what it seems to hold stays out, by name.
fn refuse_all(error: &PackageError, path: &Path, private: bool) -> Vec<Found> {
    let refusal = error.refusal(Stage::Scan, path);
    let mut names = names_of(path);
    if names.is_empty() {
        names.push(if private { PRIVATE } else { "extensions" }.to_owned());
    }
    names.into_iter().map(|name| refused(path, name, private, refusal.clone())).collect()
}

/// What seems to be installed in a directory that cannot be trusted.
fn names_of(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().join(manifest::FILE_NAME).exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn refused(group: &Path, name: String, private: bool, refusal: Refusal) -> Found {
    let directory = group.join(&name);
    Found { name, directory, private, manifest: Err(refusal), warnings: Vec::new() }
}

fn look(group: &Dir, path: &Path, name: String, private: bool) -> Option<Found> {
    // Names with a dot are for tools, such as a half-written installation.
    if name.starts_with('.') || (!private && name == PRIVATE) {
        return None;
    }
    let directory = path.join(&name);
    let dir = match group.dir(&name) {
        Ok(dir) => dir,
        // A file beside the extensions, such as a README.
        Err(PackageError::Kind { .. } | PackageError::Missing { .. }) => return None,
        Err(error) => {
            let refusal = error.refusal(Stage::Scan, &directory);
            return Some(refused(path, name, private, refusal));
        }
    };
    let place = directory.join(manifest::FILE_NAME);
    let file = match dir.file(manifest::FILE_NAME) {
        Ok(file) => file,
        Err(PackageError::Missing { .. }) => {
            let refusal = PackageError::NoManifest.refusal(Stage::Scan, &directory);
            return Some(refused(path, name, private, refusal));
        }
        Err(error) => {
            return Some(refused(path, name, private, error.refusal(Stage::Scan, &place)));
        }
    };
    match manifest::read(file) {
        Err(error) => Some(refused(path, name, private, error.refusal(place.display()))),
        Ok(parsed) if parsed.manifest.slug.as_str() != name => {
            let slug = parsed.manifest.slug.to_string();
            let error = PackageError::OtherDirectory { slug, directory: name.clone() };
            Some(refused(path, name, private, error.refusal(Stage::Scan, &directory)))
        }
        Ok(parsed) => Some(Found {
            name,
            directory,
            private,
            manifest: Ok(parsed.manifest),
            warnings: parsed.warnings,
        }),
    }
}

/// One slug at two places: neither can be preferred, so both stay out.
fn refuse_duplicates(found: &mut [Found]) {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, it) in found.iter().enumerate() {
        places.entry(it.name.clone()).or_default().push(index);
    }
    for (slug, indexes) in places {
        if let [first, second] = indexes[..] {
            let error = PackageError::Duplicate {
                slug,
                first: found[first].directory.display().to_string(),
                second: found[second].directory.display().to_string(),
            };
            for index in [first, second] {
                let refusal = error.refusal(Stage::Scan, &found[index].directory);
                found[index].manifest = Err(refusal);
            }
        }
    }
}
