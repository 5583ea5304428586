//! What a library says of itself before any of its code runs.
//!
//! The note is text in a section of its own, so that the platform can read it
//! from the file's bytes alone and refuse a library that it may not even open:
//!
//! ```text
//! powernode-note 1
//! abi=1.0
//! sdk=1.0.0
//! slug=marketing
//! version=0.1.0
//! rustc=1.95.0
//! target=x86_64-unknown-linux-gnu
//! features=fxsr,sse,sse2
//! panic=unwind
//! profile=release
//! end
//! ```
//!
//! The writing half runs at compile time, in the SDK's export macro:
//!
//! ```
//! use powernode_abi::note;
//!
//! const PARTS: [&str; note::PARTS] = note::parts("1.0.0", "marketing", "0.1.0");
//! static POWERNODE_NOTE: [u8; note::len(&PARTS)] = note::join(&PARTS);
//! # assert!(note::Note::parse(&POWERNODE_NOTE).is_ok());
//! ```

use std::collections::BTreeMap;

use crate::ABI_VERSION;

/// The ELF section that holds the note.
pub const SECTION: &str = "powernode_note";
/// The Mach-O segment and section that hold the note, as `link_section` names them.
pub const SECTION_MACHO: &str = "__DATA,__powernode";
/// The symbol of the static that is the note.
pub const SYMBOL: &str = "POWERNODE_NOTE";

/// The compiler's version.
pub const RUSTC: &str = env!("POWERNODE_RUSTC");
/// The target triple.
pub const TARGET: &str = env!("POWERNODE_TARGET");
/// The processor features that the compiler was allowed to use, separated by commas.
pub const FEATURES: &str = env!("POWERNODE_FEATURES");
/// The cargo profile: `debug` or `release`.
pub const PROFILE: &str = env!("POWERNODE_PROFILE");
/// What a panic does: `unwind` or `abort`.
pub const PANIC: &str = if cfg!(panic = "unwind") { "unwind" } else { "abort" };

/// The first line, without its end: the format and its revision.
const HEADER: &str = "powernode-note 1";
const END: &str = "end";
/// Longest note that is read, in bytes.
const LIMIT: usize = 8 * 1024;

/// How many pieces [`parts`] answers.
pub const PARTS: usize = 20;

/// The pieces of this library's note; `sdk` and `version` are semantic versions.
///
/// # Panics
///
/// At compile time, where a value holds a control character: a line would end inside it.
pub const fn parts<'a>(sdk: &'a str, slug: &'a str, version: &'a str) -> [&'a str; PARTS] {
    assert!(
        is_line(sdk) && is_line(slug) && is_line(version),
        "a note's value is one line of text"
    );
    [
        "powernode-note 1\nabi=",
        ABI_VERSION,
        "\nsdk=",
        sdk,
        "\nslug=",
        slug,
        "\nversion=",
        version,
        "\nrustc=",
        RUSTC,
        "\ntarget=",
        TARGET,
        "\nfeatures=",
        FEATURES,
        "\npanic=",
        PANIC,
        "\nprofile=",
        PROFILE,
        "\n",
        "end\n",
    ]
}

/// The length of all `parts` together, in bytes.
pub const fn len(parts: &[&str]) -> usize {
    let mut total = 0;
    let mut at = 0;
    while at < parts.len() {
        total += parts[at].len();
        at += 1;
    }
    total
}

/// All `parts` as one text; `N` is their [`len`].
///
/// # Panics
///
/// At compile time, where `N` is another number.
pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
    assert!(len(parts) == N, "the array's length is not the text's");
    let mut text = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            text[at] = bytes[byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    text
}

const fn is_line(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < b' ' || bytes[at] == 0x7f {
            return false;
        }
        at += 1;
    }
    true
}

/// What a library says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The interface it was built against.
    pub abi: Revision,
    /// The SDK's version.
    pub sdk: String,
    /// The extension's slug.
    pub slug: String,
    /// The extension's version.
    pub version: String,
    /// The compiler's version.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// The processor features that its code may use.
    pub features: Vec<String>,
    /// What a panic does: `unwind` or `abort`.
    pub panic: String,
    /// The cargo profile: `debug` or `release`.
    pub profile: String,
    /// Keys that this version does not know.
    pub other: BTreeMap<String, String>,
}

impl Note {
    /// Reads the content of a note section.
    ///
    /// Zero bytes after the note are padding; unknown keys are kept in [`Note::other`].
    ///
    /// # Errors
    ///
    /// [`NoteError`] names the line or the key that is wrong.
    pub fn parse(section: &[u8]) -> Result<Self, NoteError> {
        let used = section.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used > LIMIT {
            return Err(NoteError::TooLong { length: used });
        }
        let text = std::str::from_utf8(&section[..used]).map_err(|_| NoteError::NotText)?;
        let mut lines = text.split('\n').enumerate();
        match lines.next() {
            Some((_, HEADER)) => {}
            first => {
                let found = first.map(|(_, line)| shorten(line)).unwrap_or_default();
                return Err(NoteError::Header { found });
            }
        }
        let mut values = BTreeMap::new();
        loop {
            match lines.next() {
                Some((_, END)) => break,
                None => return Err(NoteError::Cut),
                Some((index, line)) => {
                    let Some((key, value)) =
                        line.split_once('=').filter(|(key, _)| !key.is_empty())
                    else {
                        return Err(NoteError::Line { line: index + 1 });
                    };
                    if values.insert(key.to_owned(), value.to_owned()).is_some() {
                        return Err(NoteError::Twice { key: shorten(key) });
                    }
                }
            }
        }
        // A line end closes `end`; anything behind it is a second note, and then none can be believed.
        match (lines.next(), lines.next()) {
            (Some((_, "")), None) => Self::from_values(values),
            (None, _) => Err(NoteError::Cut),
            _ => Err(NoteError::Trailing),
        }
    }

    fn from_values(mut values: BTreeMap<String, String>) -> Result<Self, NoteError> {
        let mut take = |key| values.remove(key).ok_or(NoteError::Missing { key });
        let abi = take("abi")?;
        let abi = abi.parse().map_err(|()| NoteError::Revision { found: shorten(&abi) })?;
        let note = Self {
            abi,
            sdk: take("sdk")?,
            slug: take("slug")?,
            version: take("version")?,
            rustc: take("rustc")?,
            target: take("target")?,
            features: list(&take("features")?),
            panic: take("panic")?,
            profile: take("profile")?,
            other: BTreeMap::new(),
        };
        Ok(Self { other: values, ..note })
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// At most 40 characters of `text`, fit to be shown.
fn shorten(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// The interface's version: sides with the same `major` understand each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// Changes when the layout does.
    pub major: u32,
    /// Grows with each method added.
    pub minor: u32,
}

impl Revision {
    /// This crate's own, of [`ABI_VERSION`].
    pub fn own() -> Self {
        // The constant is this crate's; a test holds it to its form.
        ABI_VERSION.parse().unwrap_or(Self { major: 0, minor: 0 })
    }
}

impl std::str::FromStr for Revision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self { major: major.parse().map_err(drop)?, minor: minor.parse().map_err(drop)? })
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a note cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It is not UTF-8.
    NotText,
    /// It is longer than any note.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It does not begin with this format's line.
    Header {
        /// What it begins with.
        found: String,
    },
    /// It ends before its last line.
    Cut,
    /// A line is not `key=value`.
    Line {
        /// The line's number, from 1.
        line: usize,
    },
    /// A key stands twice.
    Twice {
        /// The key.
        key: String,
    },
    /// A key is not there.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// The interface's version is not `major.minor`.
    Revision {
        /// What stands there.
        found: String,
    },
    /// Something follows the last line, perhaps a second note.
    Trailing,
}

impl std::fmt::Display for NoteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotText => write!(f, "the note is not text"),
            Self::TooLong { length } => {
                write!(f, "the note has {length} bytes, at most {LIMIT} are read")
            }
            Self::Header { found } => {
                write!(f, "the note begins with `{found}`, expected `{HEADER}`")
            }
            Self::Cut => write!(f, "the note ends before its line `{END}`"),
            Self::Line { line } => write!(f, "line {line} of the note is not `key=value`"),
            Self::Twice { key } => write!(f, "the note has `{key}` twice"),
            Self::Missing { key } => write!(f, "the note has no `{key}`"),
            Self::Revision { found } => {
                write!(f, "the note's `abi` is `{found}`, expected `major.minor`")
            }
            Self::Trailing => write!(f, "the note is followed by something else"),
        }
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
mod tests;
