//! What a build or a test needs beyond Rust and a C compiler.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A package of the operating system, and how one sees that it is there.
pub(crate) struct Package {
    name: &'static str,
    test: fn() -> bool,
}

/// What the build needs.
pub(crate) const BUILD: &[Package] = &[
    Package { name: "gcc", test: || runs("cc", &["--version"]) },
    Package { name: "libc6-dev", test: || Path::new("/usr/include/stdio.h").exists() || !apt() },
    Package { name: "pkg-config", test: || runs("pkg-config", &["--version"]) },
    // The bundled PostgreSQL client encrypts with the system's OpenSSL.
    Package { name: "libssl-dev", test: || runs("pkg-config", &["--exists", "openssl"]) },
];

/// What the tests need besides.
pub(crate) const TEST: &[Package] = &[
    Package { name: "postgresql", test: postgresql },
    // Makes the certificates of the tests that encrypt.
    Package { name: "openssl", test: || runs("openssl", &["version"]) },
    // Opens the pages.
    Package { name: "chromium", test: chromium },
    // Runs Schemathesis, which the tests install for themselves.
    Package {
        name: "python3-venv",
        test: || runs("python3", &["-c", "import ensurepip, venv"]) || !apt(),
    },
];

/// Sees to it that every package is there: installs what is missing where this user may.
///
/// # Errors
///
/// Names the one command that installs what is missing.
pub(crate) fn need(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if apt() && is_root() {
        println!("installing {}", missing.join(", "));
        let apt = |words: &[&str]| {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
            command.args(words).status().is_ok_and(|status| status.success())
        };
        let install = [&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat();
        let _ = apt(&install) || (apt(&["update"]) && apt(&install));
        if self::missing(packages).is_empty() {
            return Ok(());
        }
    }
    bail!("{} missing; install with: {}", missing.join(", "), command(&missing))
}

/// Sees to it that the toolchain's formatter and linter are there.
///
/// # Errors
///
/// Names the one command that installs what is missing.
pub(crate) fn need_components() -> Result<()> {
    if runs("cargo", &["fmt", "--version"]) && runs("cargo", &["clippy", "--version"]) {
        return Ok(());
    }
    bail!("rustfmt or clippy missing; install with: rustup component add rustfmt clippy")
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| !(package.test)()).map(|package| package.name).collect()
}

fn command(missing: &[&str]) -> String {
    if apt() {
        return format!("sudo apt-get install -y {}", missing.join(" "));
    }
    // What Homebrew calls them; a C compiler comes with Apple's own tools.
    let names: Vec<&str> =
        missing.iter().map(|name| if *name == "libssl-dev" { "openssl" } else { name }).collect();
    format!("brew install {} (or your system's packages of these names)", names.join(" "))
}

fn apt() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn chromium() -> bool {
    ["chromium", "chromium-browser", "google-chrome"].iter().any(|it| runs(it, &["--version"]))
}

/// Debian keeps the server's programs out of the search path, one directory for each version.
fn postgresql() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/initdb")).any(|path| path.exists())
        || runs("initdb", &["--version"])
}
