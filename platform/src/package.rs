//! Packages on disk: finding them, and proving a library before any of its code runs.
//!
//! [`scan`] finds the extensions, [`verify`] reads one library once and checks
//! those bytes, the [`Store`] keeps exactly them under their hash, [`Probe`]
//! opens a hash seen for the first time in a child process, and [`Activating`]
//! remembers on disk what is being opened, should it end the process after all.
//! Only a file of the store is ever mapped: whatever happens to the original
//! after the check has no effect.

mod activating;
mod chosen;
mod dir;
mod error;
mod host;
mod image;
mod probe;
mod scan;
mod stage;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use self::{
    activating::Activating,
    chosen::{WrongChoice, all_wrong_choices, wrong_choices},
    error::PackageError,
    host::{Glibc, Host},
    image::Image,
    probe::{PROBE_COMMAND, PROBE_OK, Probe, ProbeVerdict},
    scan::{Found, scan},
    stage::{Staged, stage},
    store::Store,
    verify::{MAX_LIBRARY_BYTES, Verified, verify},
};
