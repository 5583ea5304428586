//! What the doctor found.

use std::path::Path;

use serde::Serialize;

/// One thing that is wrong, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What kind of fault, for programs: `key.mode`.
    id: String,
    severity: Severity,
    /// What it is about: a file, a setting, an extension.
    subject: String,
    /// What is wrong, and why that matters.
    message: String,
    fix: Fix,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// Something does not work, or is open to others.
    Error,
    /// It works, and should be looked at.
    Warning,
}

/// The command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fix {
    command: String,
    /// Whether it can be run as it is written; else it has a place that only a person can fill, or needs a choice.
    runs_as_written: bool,
}

impl Fix {
    /// A command that can be run as it is written.
    pub(super) fn run(command: impl Into<String>) -> Self {
        Self { command: command.into(), runs_as_written: true }
    }

    /// A command that a person completes.
    pub(super) fn by_hand(command: impl Into<String>) -> Self {
        Self { command: command.into(), runs_as_written: false }
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Findings {
    list: Vec<Finding>,
    powernode: String,
}

impl Findings {
    /// Nothing; `powernode` is how this very command line is called, with its options.
    pub(super) fn new(powernode: String) -> Self {
        Self { list: Vec::new(), powernode }
    }

    /// Something is wrong.
    pub(super) fn error(&mut self, id: &str, subject: impl ToString, message: String, fix: Fix) {
        self.add(Severity::Error, id, &subject, message, fix);
    }

    /// Something should be looked at.
    pub(super) fn warning(&mut self, id: &str, subject: impl ToString, message: String, fix: Fix) {
        self.add(Severity::Warning, id, &subject, message, fix);
    }

    fn add(
        &mut self,
        severity: Severity,
        id: &str,
        subject: &dyn ToString,
        message: String,
        fix: Fix,
    ) {
        let (id, subject) = (id.to_owned(), subject.to_string());
        self.list.push(Finding { id, severity, subject, message, fix });
    }

    /// A command of this program, on the same place.
    pub(super) fn powernode(&self, words: &str) -> String {
        format!("{} {words}", self.powernode)
    }

    /// All of them.
    pub(super) fn list(&self) -> &[Finding] {
        &self.list
    }
}

impl Finding {
    /// Whether its id begins so.
    pub(super) fn is_of(&self, beginning: &str) -> bool {
        self.id.starts_with(beginning)
    }

    /// As lines for a person.
    pub(super) fn lines(&self, mark: impl Fn(Severity) -> String) -> String {
        let Self { id, severity, subject, message, fix } = self;
        let word = if fix.runs_as_written { "run" } else { "do" };
        format!("{} {subject} [{id}]\n  {message}\n  {word}: {}", mark(*severity), fix.command)
    }
}

/// A path as a shell reads it.
pub(super) fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}

/// A word as a shell reads it.
pub(super) fn word(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-=:@%+,".contains(it);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_word() {
        assert_eq!(word("/var/lib/powernode"), "/var/lib/powernode");
        assert_eq!(word("it's here"), r"'it'\''s here'");
        assert_eq!(word(""), "''");
    }
}
