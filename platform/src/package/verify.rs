use std::{fs::File, io::Read, path::PathBuf};

use super::{Found, Host, Image, PackageError, dir::Dir};
use crate::manifest::{Library, Manifest, PanicStrategy, Refusal, Sha256, Stage};

/// Largest library, in bytes.
pub const MAX_LIBRARY_BYTES: u64 = 512 * 1024 * 1024;

/// A library whose bytes were read once and proved; the store writes these very bytes.
///
/// It holds them, so it should be dropped once they are stored.
pub struct Verified {
    /// The file that was read; nobody opens it again.
    pub path: PathBuf,
    /// The hash of the bytes.
    pub sha256: Sha256,
    /// What the bytes say.
    pub image: Image,
    /// What may go wrong with it, in sentences.
    pub warnings: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("path", &self.path)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// Reads the library of `found` for this machine, and checks it.
///
/// # Errors
///
/// A [`Refusal`], in which case nothing of the library was mapped or run.
pub fn verify(found: &Found, host: &Host) -> Result<Verified, Refusal> {
    let manifest = found.manifest.as_ref().map_err(Refusal::clone)?;
    let library = library_for(manifest, host)
        .map_err(|error| error.refusal(Stage::Verify, &found.directory))?;
    let path = found.directory.join(&library.path);
    let refuse = |error: PackageError| error.refusal(Stage::Verify, &path);
    let file = open(found, &library.path).map_err(refuse)?;
    let bytes = read(file, library.size).map_err(refuse)?;
    let sha256 = Sha256::of(&bytes);
    if sha256 != library.sha256 {
        return Err(refuse(PackageError::Hash { expected: library.sha256, found: sha256 }));
    }
    let image = Image::read(&bytes).map_err(refuse)?;
    check_host(&image, host).map_err(refuse)?;
    check_self(&image, manifest, &host.abi).map_err(refuse)?;
    check_claims(&image, library).map_err(refuse)?;
    Ok(Verified { path, sha256, warnings: image.warnings.clone(), image, bytes })
}

/// Opens a file of the extension; what leads to its directory is the operator's.
fn open(found: &Found, path: &str) -> Result<File, PackageError> {
    let group = found.directory.parent().unwrap_or(&found.directory);
    Dir::open(group)?.dir(&found.name)?.file(path)
}

fn library_for<'a>(manifest: &'a Manifest, host: &Host) -> Result<&'a Library, PackageError> {
    manifest.library.get(&host.triple).ok_or_else(|| PackageError::NoLibrary {
        triple: host.triple.clone(),
        found: manifest.library.keys().cloned().collect(),
    })
}

/// Reads the whole file, from one handle.
pub(super) fn read(file: File, expected: Option<u64>) -> Result<Vec<u8>, PackageError> {
    let length = file.metadata().map_err(PackageError::Read)?.len();
    if length == 0 || length > MAX_LIBRARY_BYTES {
        return Err(PackageError::Oversized { found: length, limit: MAX_LIBRARY_BYTES });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(MAX_LIBRARY_BYTES).read_to_end(&mut bytes).map_err(PackageError::Read)?;
    match expected {
        Some(expected) if expected != bytes.len() as u64 => {
            Err(PackageError::Size { expected, found: bytes.len() as u64 })
        }
        _ => Ok(bytes),
    }
}

/// What only matters where the library is to run.
fn check_host(image: &Image, host: &Host) -> Result<(), PackageError> {
    let machine = host.triple.split('-').next().unwrap_or_default();
    if image.machine != machine {
        return Err(PackageError::Machine {
            expected: host.triple.clone(),
            found: image.machine.clone(),
        });
    }
    if image.note.target != host.triple {
        return Err(PackageError::Machine {
            expected: host.triple.clone(),
            found: image.note.target.clone(),
        });
    }
    match image.glibc {
        Some(needed) if host.glibc.is_none_or(|available| needed > available) => {
            return Err(PackageError::Glibc { needed, available: host.glibc });
        }
        _ => {}
    }
    let missing = (host.missing_features)(&image.note.features);
    if missing.is_empty() { Ok(()) } else { Err(PackageError::Processor { missing }) }
}

/// What matters wherever it runs.
pub(super) fn check_self(
    image: &Image,
    manifest: &Manifest,
    abi: &powernode_abi::note::Revision,
) -> Result<(), PackageError> {
    let note = &image.note;
    if note.abi.major != abi.major {
        return Err(PackageError::Abi { expected: *abi, found: note.abi });
    }
    same("slug", &note.slug, manifest.slug.as_str())?;
    same("version", &note.version, &manifest.version.to_string())?;
    if note.panic != "unwind" {
        return Err(PackageError::PanicAbort);
    }
    match &image.bundled {
        Some((what, evidence)) => Err(PackageError::Bundled { what, evidence: evidence.clone() }),
        None => Ok(()),
    }
}

/// What the manifest says of the library must be what the library says.
fn check_claims(image: &Image, library: &Library) -> Result<(), PackageError> {
    same("plugin-api version", &image.note.sdk, &library.sdk.to_string())?;
    if library.panic == PanicStrategy::Abort {
        return Err(PackageError::PanicAbort);
    }
    match (&library.glibc, image.glibc) {
        (Some(claimed), found) if claimed.parse().ok() != found => {
            same("glibc", &found.map_or_else(|| "none".to_owned(), |it| it.to_string()), claimed)
        }
        _ => Ok(()),
    }
}

fn same(what: &'static str, note: &str, manifest: &str) -> Result<(), PackageError> {
    if note == manifest {
        return Ok(());
    }
    Err(PackageError::Mismatch { what, note: note.to_owned(), manifest: manifest.to_owned() })
}
