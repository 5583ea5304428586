use std::{io, path::Path};

use powernode_abi::note::{NoteError, Revision};

use super::Glibc;
use crate::manifest::{Refusal, Sha256, Stage};

/// The code of a directory that is no package at all.
pub(super) const NO_MANIFEST: &str = "no_manifest";

/// Why a package cannot be used.
///
/// The sentence does not name the file: [`PackageError::refusal`] does.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence says what it and its fields are")]
pub enum PackageError {
    // Of the directory.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    #[error("`{name}` is not there")]
    Missing { name: String },
    #[error("`{name}` is a symbolic link; put the file itself there")]
    Symlink { name: String },
    #[error("`{name}` is no {expected}")]
    Kind { name: String, expected: &'static str },
    #[error("`{name}` may be written by everybody (mode {mode:o}); run `chmod o-w` on it")]
    WorldWritable { name: String, mode: u32 },
    #[error(
        "`{name}` belongs to user {owner}, neither root nor user {own} who runs the platform; run `chown` on it"
    )]
    ForeignOwner { name: String, owner: u32, own: u32 },
    #[error(
        "its manifest says slug `{slug}`, its directory is called `{directory}`; rename one of them"
    )]
    OtherDirectory { slug: String, directory: String },
    #[error(
        "it holds no `{}`: put that there, or move the directory away",
        crate::manifest::FILE_NAME
    )]
    NoManifest,
    #[error("slug `{slug}` is installed twice, at `{first}` and `{second}`; remove one of them")]
    Duplicate { slug: String, first: String, second: String },
    // Of the library's file.
    #[error("its manifest names no library for {triple}{}; build one for it", list(.found))]
    NoLibrary { triple: String, found: Vec<String> },
    #[error(
        "it has {found} bytes, its manifest says {expected}: it is cut or changed; stage or install it again"
    )]
    Size { expected: u64, found: u64 },
    #[error("it has {found} bytes, expected 1 to {limit}")]
    Oversized { found: u64, limit: u64 },
    #[error(
        "its SHA-256 is {found}, its manifest says {expected}: it was changed; stage or install it again"
    )]
    Hash { expected: Sha256, found: Sha256 },
    // Of the library's image.
    #[error("it is no library for this machine's loader: {message}")]
    Format { message: String },
    #[error(
        "it is built for {found}, this platform runs on {expected}; install its build for that"
    )]
    Machine { expected: String, found: String },
    #[error("it is cut: {message}")]
    Truncated { message: String },
    #[error(
        "it carries no `powernode_note`, so it is no plugin library; build it with powernode-plugin-api's export macro"
    )]
    NoNote,
    #[error("{0}; build it again")]
    Note(NoteError),
    #[error(
        "it does not export `{symbol}`, where a plugin begins; build it with powernode-plugin-api's export macro"
    )]
    NoRoot { symbol: &'static str },
    #[error(
        "it is built against interface {found} of plugin-api, this platform has {expected}; build it with plugin-api {}.x, or use a platform of {}.x",
        expected.major,
        found.major
    )]
    Abi { expected: Revision, found: Revision },
    #[error("it says {what} `{note}`, its manifest says `{manifest}`; stage or install it again")]
    Mismatch { what: &'static str, note: String, manifest: String },
    #[error(
        "a panic in it ends the whole process (panic = \"abort\"); remove that line from its Cargo profile and build it again"
    )]
    PanicAbort,
    #[error("it needs glibc {needed}, this system has {}; build it on an older system", or_none(.available))]
    Glibc { needed: Glibc, available: Option<Glibc> },
    #[error(
        "it is built for processor features that this machine lacks: {}; build it without `target-cpu=native`",
        .missing.join(", ")
    )]
    Processor { missing: Vec<String> },
    #[error(
        "it brings its own {what} ({evidence}): {}; use powernode-plugin-api's database instead",
        harm(.what)
    )]
    Bundled { what: &'static str, evidence: String },
    // Of the store and the staging.
    #[error("cannot {action}")]
    Write {
        action: &'static str,
        #[source]
        source: io::Error,
    },
}

impl PackageError {
    /// A stable name of the reason, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "unreadable",
            Self::Missing { .. } => "file_missing",
            Self::Symlink { .. } => "symlink",
            Self::Kind { .. } => "wrong_file_kind",
            Self::WorldWritable { .. } => "world_writable",
            Self::ForeignOwner { .. } => "foreign_owner",
            Self::OtherDirectory { .. } => "directory_mismatch",
            Self::NoManifest => NO_MANIFEST,
            Self::Duplicate { .. } => "slug_duplicate",
            Self::NoLibrary { .. } => "no_library_for_target",
            Self::Size { .. } => "size_mismatch",
            Self::Oversized { .. } => "size_refused",
            Self::Hash { .. } => "hash_mismatch",
            Self::Format { .. } => "not_a_library",
            Self::Machine { .. } => "wrong_machine",
            Self::Truncated { .. } => "truncated",
            Self::NoNote => "no_note",
            Self::Note(_) => "bad_note",
            Self::NoRoot { .. } => "symbol_missing",
            Self::Abi { .. } => "abi_revision",
            Self::Mismatch { .. } => "note_mismatch",
            Self::PanicAbort => "panic_abort",
            Self::Glibc { .. } => "glibc_too_old",
            Self::Processor { .. } => "processor_features",
            Self::Bundled { what: "SQLite", .. } => "bundled_sqlite",
            Self::Bundled { .. } => "bundled_libpq",
            Self::Write { .. } => "write_failed",
        }
    }

    /// The refusal of the file or directory `place`.
    pub fn refusal(&self, stage: Stage, place: &Path) -> Refusal {
        let cause = match self {
            Self::Read(cause) | Self::Write { source: cause, .. } => format!(": {cause}"),
            _ => String::new(),
        };
        let place = place.display();
        Refusal::new(stage, self.code(), format_args!("cannot use `{place}`: {self}{cause}"))
    }

    pub(super) fn write(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Write { action, source: errno.into() }
    }
}

fn harm(what: &str) -> &'static str {
    match what {
        "SQLite" => "two in one process undo each other's file locks",
        _ => "its connections would escape the platform's pool and confinement",
    }
}

fn list(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!(", only for {}", found.join(", ")) }
}

fn or_none(glibc: &Option<Glibc>) -> String {
    glibc.as_ref().map_or_else(|| "none".to_owned(), Glibc::to_string)
}
