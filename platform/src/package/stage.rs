use std::{
    ffi::OsStr,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{self, Mode, OFlags};
use semver::Version;

use super::{
    Host, Image, PackageError,
    store::{remove, write_whole},
    verify,
};
use crate::manifest::{self, Library, Manifest, PanicStrategy, Refusal, Sha256, Stage, Visibility};

/// What was staged.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The extension's directory.
    pub directory: PathBuf,
    /// The manifest as it stands there.
    pub manifest: Manifest,
    /// The target triple of the library.
    pub triple: String,
    /// What the manifest now says of the library.
    pub library: Library,
    /// What may go wrong with it, in sentences.
    pub warnings: Vec<String>,
}

/// Puts a built library and its manifest into `extensions/<slug>/`, or `extensions/private/<slug>/` if the manifest's visibility is private.
///
/// The manifest's entry for the library's target is written from the library
/// itself. The manifest is replaced last and in one step: until then the
/// former version stands whole, and everything else in the directory stays.
///
/// # Errors
///
/// A [`Refusal`] for whatever [`verify`](super::verify) would refuse on a fitting machine.
pub fn stage(library: &Path, manifest: &Path, extensions: &Path) -> Result<Staged, Refusal> {
    let source = File::open(manifest).map_err(manifest::ManifestError::Read);
    let mut json = Vec::new();
    let parsed = source
        .and_then(|file| {
            use std::io::Read;
            file.take(manifest::MAX_BYTES + 1)
                .read_to_end(&mut json)
                .map_err(manifest::ManifestError::Read)?;
            manifest::parse(&json)
        })
        .map_err(|error| error.refusal(manifest.display()))?;
    let refuse = |error: PackageError| error.refusal(Stage::Verify, library);
    let file = File::open(library).map_err(|error| refuse(PackageError::Read(error)))?;
    let bytes = verify::read(file, None).map_err(refuse)?;
    let image = Image::read(&bytes).map_err(refuse)?;
    verify::check_self(&image, &parsed.manifest, &Host::detect().abi).map_err(refuse)?;
    let entry = describe(library, &bytes, &image).map_err(refuse)?;
    let warnings = [parsed.warnings, image.warnings].concat();
    let triple = image.note.target;

    let group = match parsed.manifest.visibility {
        Some(Visibility::Private) => extensions.join("private"),
        _ => extensions.to_owned(),
    };
    let directory = group.join(parsed.manifest.slug.as_str());
    let refuse = |error: PackageError| error.refusal(Stage::Verify, &directory);
    std::fs::create_dir_all(directory.join("lib"))
        .map_err(|source| refuse(PackageError::Write { action: "create it", source }))?;
    let text = complete(&json, &directory, &parsed.manifest, &triple, &entry)?;
    let manifest =
        manifest::parse(&text).map_err(|error| error.refusal(manifest.display()))?.manifest;
    write(&directory, &entry.path, &bytes, &text, &manifest).map_err(refuse)?;
    Ok(Staged { directory, manifest, triple, library: entry, warnings })
}

/// What a manifest says of a library.
fn describe(library: &Path, bytes: &[u8], image: &Image) -> Result<Library, PackageError> {
    let sha256 = Sha256::of(bytes);
    let stem = library.file_stem().and_then(OsStr::to_str).unwrap_or("library");
    let extension = library.extension().and_then(OsStr::to_str).unwrap_or("so");
    let name: String = stem
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-'))
        .take(100)
        .collect();
    // The hash in the name keeps the former version's file beside this one until the manifest changes.
    let path = format!("lib/{name}-{}.{extension}", &sha256.to_string()[..12]);
    let sdk = Version::parse(&image.note.sdk).map_err(|error| PackageError::Mismatch {
        what: "plugin-api version",
        note: image.note.sdk.clone(),
        manifest: format!("a semantic version ({error})"),
    })?;
    Ok(Library {
        path,
        sha256,
        size: Some(bytes.len() as u64),
        sdk,
        glibc: image.glibc.map(|it| it.to_string()),
        panic: PanicStrategy::Unwind,
    })
}

/// The manifest's text with the library's entry; other targets of the same version keep theirs.
fn complete(
    json: &[u8],
    directory: &Path,
    manifest: &Manifest,
    triple: &str,
    entry: &Library,
) -> Result<Vec<u8>, Refusal> {
    let place = directory.join(manifest::FILE_NAME);
    let not_json = |error: serde_json::Error| {
        manifest::ManifestError::NotJson { message: error.to_string() }.refusal(place.display())
    };
    let mut value: serde_json::Value = serde_json::from_slice(json).map_err(not_json)?;
    let mut libraries = manifest.library.clone();
    if let Ok(former) =
        File::open(&place).map_err(manifest::ManifestError::Read).and_then(manifest::read)
        && former.manifest.version == manifest.version
    {
        libraries.extend(former.manifest.library);
    }
    libraries.insert(triple.to_owned(), entry.clone());
    value["library"] = serde_json::to_value(libraries).map_err(not_json)?;
    let mut text = serde_json::to_vec_pretty(&value).map_err(not_json)?;
    text.push(b'\n');
    Ok(text)
}

fn write(
    directory: &Path,
    path: &str,
    bytes: &[u8],
    text: &[u8],
    manifest: &Manifest,
) -> Result<(), PackageError> {
    let open = |path: &Path| -> Result<OwnedFd, PackageError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::open(path, flags, Mode::empty()).map_err(|errno| PackageError::Read(errno.into()))
    };
    let (top, lib) = (open(directory)?, open(&directory.join("lib"))?);
    let readable = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let name = path.strip_prefix("lib/").unwrap_or(path);
    write_whole(&lib, name, bytes, readable)?;
    write_whole(&top, manifest::FILE_NAME, text, readable)?;
    // Libraries that no entry names any more are the former version's.
    let named: Vec<_> = manifest.library.values().map(|it| it.path.as_str()).collect();
    for entry in
        fs::Dir::read_from(&lib).map_err(|errno| PackageError::Read(errno.into()))?.flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let library = name.ends_with(".so") || name.ends_with(".dylib");
        if library && !named.contains(&format!("lib/{name}").as_str()) {
            remove(&lib, &name)?;
        }
    }
    Ok(())
}
