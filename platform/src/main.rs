//! The platform's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    powernode::commands::main(std::env::args_os())
}
