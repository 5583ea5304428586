//! The child process in which a library is opened for the first time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the parent process reads them")]

use std::{path::Path, process::ExitCode};

use crate::{loader, package::PROBE_OK};

/// Opens the library, and says that it could be opened.
pub(super) fn run(path: &Path) -> ExitCode {
    match loader::open(path) {
        Ok(_) => {
            println!("{PROBE_OK}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // What is wrong with the library is found again, and named, when the platform opens it itself:
            // it did not crash, which is all that is asked here.
            eprintln!("{error}");
            println!("{PROBE_OK}");
            ExitCode::SUCCESS
        }
    }
}
