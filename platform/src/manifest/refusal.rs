use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::Serialize;

/// Why an extension stays out, for the admin API, the command line and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refusal {
    /// How far it came.
    pub stage: Stage,
    /// A stable name of the reason, for programs.
    pub code: Cow<'static, str>,
    /// One sentence that names the thing, the place and the way out.
    pub message: String,
}

impl Refusal {
    /// A refusal; `message` is its error's text, causes included.
    pub fn new(
        stage: Stage,
        code: impl Into<Cow<'static, str>>,
        message: impl fmt::Display,
    ) -> Self {
        Self { stage, code: code.into(), message: message.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.message, self.stage, self.code)
    }
}

impl std::error::Error for Refusal {}

/// The steps of loading, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Finding the directory.
    Scan,
    /// Reading the manifest.
    Manifest,
    /// Ordering by dependencies, and finding two owners of one thing.
    Resolve,
    /// Checking the library's bytes.
    Verify,
    /// Opening it in a child process first.
    Probe,
    /// Opening it in the platform.
    Open,
    /// Comparing both sides' interfaces.
    Check,
    /// Taking its contributions.
    Register,
    /// Running its migrations.
    Migrate,
    /// Starting it.
    Start,
}

impl Stage {
    /// The stage's name, as it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Manifest => "manifest",
            Self::Resolve => "resolve",
            Self::Verify => "verify",
            Self::Probe => "probe",
            Self::Open => "open",
            Self::Check => "check",
            Self::Register => "register",
            Self::Migrate => "migrate",
            Self::Start => "start",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
