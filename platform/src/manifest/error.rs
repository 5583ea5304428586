use std::io;

use super::{MAX_BYTES, MAX_DEPTH, Refusal, Slug, Stage};

/// Why a manifest cannot be used.
///
/// The sentence does not name the file, since a manifest may come from elsewhere: whoever read it does.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The file is larger than any manifest.
    #[error("it is larger than {MAX_BYTES} bytes, the most a manifest may have")]
    TooLarge,
    /// The file is not UTF-8.
    #[error("it is not UTF-8 text: byte {at} belongs to no character; save it as UTF-8")]
    NotText {
        /// The offset of the first wrong byte.
        at: usize,
    },
    /// The file's values are nested too deeply.
    #[error("line {line} is nested deeper than {MAX_DEPTH} levels, the most a manifest may have")]
    TooDeep {
        /// Where the limit is passed, from 1.
        line: usize,
    },
    /// The file is not JSON.
    #[error("it is not JSON: {message}")]
    NotJson {
        /// What is wrong, with line and column.
        message: String,
    },
    /// A field is missing, or has a value that it cannot have.
    #[error("field `{path}`: {message}")]
    Field {
        /// The field, such as `library.x86_64-unknown-linux-gnu.sha256`.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The slug belongs to the platform.
    #[error("slug `{slug}` belongs to the platform; choose another")]
    ReservedSlug {
        /// The slug.
        slug: Slug,
    },
    /// The flag is not the extension's own.
    #[error(
        "field `feature_flag`: `{found}` is not this extension's flag; write `{expected}`, or leave the field out"
    )]
    ForeignFlag {
        /// The flag that the manifest names.
        found: String,
        /// The only flag that it may name.
        expected: String,
    },
    /// A route prefix is not one that an extension can own.
    #[error("field `{path}`: an extension cannot own `{prefix}`: {message}")]
    Prefix {
        /// The field.
        path: String,
        /// The prefix.
        prefix: String,
        /// Why not.
        message: String,
    },
}

impl ManifestError {
    /// A stable name of the reason, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "manifest_unreadable",
            Self::TooLarge => "manifest_too_large",
            Self::NotText { .. } => "manifest_not_text",
            Self::TooDeep { .. } => "manifest_too_deep",
            Self::NotJson { .. } => "manifest_not_json",
            Self::Field { .. } => "manifest_field",
            Self::ReservedSlug { .. } => "slug_reserved",
            Self::ForeignFlag { .. } => "flag_foreign",
            Self::Prefix { .. } => "prefix_refused",
        }
    }

    /// The refusal of the extension whose manifest is the file `place`.
    pub fn refusal(&self, place: impl std::fmt::Display) -> Refusal {
        let cause = match self {
            Self::Read(cause) => format!(": {cause}"),
            _ => String::new(),
        };
        Refusal::new(
            Stage::Manifest,
            self.code(),
            format_args!("cannot use the manifest `{place}`: {self}{cause}"),
        )
    }

    pub(super) fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { path: path.into(), message: message.into() }
    }
}

/// At most 60 characters of `text`, fit to be shown.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// `text` without control characters, at most 300 characters of it: it quotes a file that anybody may have written.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(300).filter(|it| !it.is_control()).collect()
}
