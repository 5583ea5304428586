//! Of which commit the sources are: what was proven or measured says so. The tests take this from here too.

use std::{path::Path, process::Command};

/// What stands behind a commit whose sources were changed since.
pub(crate) const CHANGED: &str = "-dirty";

/// Returns the commit of the sources at `root`, with [`CHANGED`] behind it where they are changed; none without git.
pub(crate) fn commit(root: &Path) -> Option<String> {
    let changed = format!("--dirty={CHANGED}");
    let words = ["describe", "--always", &changed, "--abbrev=40", "--exclude=*"];
    let output = Command::new("git").current_dir(root).args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_forty_digits() {
        // A packed source has none.
        let Some(commit) = commit(Path::new(env!("CARGO_MANIFEST_DIR"))) else { return };
        let digits = commit.strip_suffix(CHANGED).unwrap_or(&commit);
        assert!(digits.len() == 40 && digits.bytes().all(|it| it.is_ascii_hexdigit()), "{commit}");
    }

    #[test]
    fn a_place_without_git_has_none() {
        assert_eq!(commit(Path::new("/proc")), None);
    }
}
