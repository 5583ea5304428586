//! Hands the compiler's version and the target's features to the note (see `note.rs`).

use std::{env, process::Command};

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|it| String::from_utf8(it.stdout).ok())
        .and_then(|it| it.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    let variable = |name| env::var(name).unwrap_or_default();
    let print = |name: &str, value: &str| println!("cargo::rustc-env={name}={value}");
    print("POWERNODE_RUSTC", &version);
    print("POWERNODE_TARGET", &variable("TARGET"));
    print("POWERNODE_FEATURES", &variable("CARGO_CFG_TARGET_FEATURE"));
    print("POWERNODE_PROFILE", &variable("PROFILE"));
    println!("cargo::rerun-if-changed=build.rs");
}
