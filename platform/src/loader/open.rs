//! Opens a library, and checks its interface before the first call.
//!
//! UNSAFE: opening runs the library's constructors, and a symbol is taken at its word.
//! The file was verified and lies in the private store; the note said that it is ours.

#![expect(
    unsafe_code,
    reason = "dlopen, one symbol, and the root module after its layout was checked"
)]

use std::{
    mem,
    path::{Path, PathBuf},
};

use abi_stable::library::{AbiHeaderRef, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use powernode_abi::{ABI_VERSION, PluginRootRef, abi_stable, check};

use crate::manifest::{Refusal, Stage};

/// A library that the kernel finds under this flag stays mapped, whoever closes it.
#[cfg(target_os = "linux")]
const RTLD_NODELETE: i32 = 0x1000;
#[cfg(target_os = "macos")]
const RTLD_NODELETE: i32 = 0x80;

/// Why a library could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The dynamic linker refused it.
    #[error("the dynamic linker cannot open `{}`", .0.display())]
    Link(PathBuf, #[source] libloading::Error),
    /// It is a library of something else.
    #[error("`{}` exports no powernode extension", .0.display())]
    Foreign(PathBuf, #[source] libloading::Error),
    /// Its copy of abi_stable is another.
    #[error(
        "the library is built on another abi_stable than this platform; build it with the powernode-plugin-api of interface {ABI_VERSION}"
    )]
    Header,
    /// Its interface is not within this one's, nor this within its.
    #[error("the library's interface does not fit interface {ABI_VERSION} of this platform: {0}")]
    Layout(String),
    /// Its root could not be made.
    #[error("the library's root failed")]
    Root(#[source] LibraryError),
}

impl OpenError {
    pub(super) fn refusal(&self, slug: &str) -> Refusal {
        let (stage, code) = match self {
            Self::Link(..) => (Stage::Open, "link_failed"),
            Self::Foreign(..) => (Stage::Open, "foreign_library"),
            Self::Header => (Stage::Check, "abi_mismatch"),
            Self::Layout(_) => (Stage::Check, "abi_mismatch"),
            Self::Root(_) => (Stage::Open, "init_failed"),
        };
        let cause = std::error::Error::source(self).map(|it| format!(": {it}")).unwrap_or_default();
        // abi_stable and the dynamic linker write pages; a refusal is one line.
        let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
        Refusal::new(stage, code, format!("`{slug}`: {self}{cause}"))
    }
}

/// Opens the library at `path`, and never closes it.
///
/// Its constructors run in this process: open only what was verified. The path
/// must be new for each content, since the linker finds libraries by name.
///
/// # Errors
///
/// [`OpenError`]; nothing but constructors was called, unless it is [`OpenError::Root`].
pub fn open(path: &Path) -> Result<PluginRootRef, OpenError> {
    // SAFETY: constructors run; the operator installed the file, and its bytes were verified.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }
        .map_err(|error| OpenError::Link(path.to_owned(), error))?;
    // SAFETY: the SDK exports a `LibHeader` under this name, which begins with the header that is read here.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|error| OpenError::Foreign(path.to_owned(), error))?;
    // Values of the library live in all rooms, until the process ends.
    mem::forget(library);
    let header = header.upgrade().map_err(|error| {
        tracing::debug!(library = %path.display(), "{error}");
        OpenError::Header
    })?;
    let theirs =
        header.layout().ok_or_else(|| OpenError::Layout("it does not describe itself".into()))?;
    check::compatible(theirs).map_err(|mismatch| {
        tracing::debug!(library = %path.display(), "{}", mismatch.full);
        OpenError::Layout(mismatch.brief)
    })?;
    // SAFETY: the layouts were compared just now, both ways.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginRootRef>() }
        .map_err(OpenError::Root)
}
