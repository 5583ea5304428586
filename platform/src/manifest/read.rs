use std::io::Read;

use serde::Deserialize;

use super::{
    Manifest, ManifestError,
    error::{printable, shorten},
    rules,
};

/// Largest manifest, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// Deepest nesting of a manifest's values.
pub const MAX_DEPTH: usize = 32;
/// How many unknown keys are listed; one more line says that there are others.
const MAX_WARNINGS: usize = 20;

/// A manifest, and what is odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The manifest.
    pub manifest: Manifest,
    /// A sentence for each key that this version does not know.
    pub warnings: Vec<String>,
}

/// Reads a manifest; no more than [`MAX_BYTES`] are ever held.
///
/// # Errors
///
/// [`ManifestError`] names what is wrong, and where.
pub fn read(source: impl Read) -> Result<Parsed, ManifestError> {
    let mut text = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(ManifestError::Read)?;
    parse(&text)
}

/// Parses and checks a manifest.
///
/// # Errors
///
/// [`ManifestError`] names what is wrong, and where.
pub fn parse(text: &[u8]) -> Result<Parsed, ManifestError> {
    if text.len() as u64 > MAX_BYTES {
        return Err(ManifestError::TooLarge);
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| ManifestError::NotText { at: error.valid_up_to() })?;
    check_depth(text)?;
    let mut unknown = Vec::new();
    let manifest = deserialize(text, &mut unknown)?;
    rules::check(&manifest)?;
    Ok(Parsed { manifest, warnings: warnings(unknown) })
}

fn deserialize(text: &str, unknown: &mut Vec<String>) -> Result<Manifest, ManifestError> {
    // A struct could also be read from a list of its values; a manifest may not.
    if text.trim_start().starts_with('[') {
        let message = "expected an object at the top, found a list".to_owned();
        return Err(ManifestError::NotJson { message });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let mut ignored = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
    let manifest = Manifest::deserialize(serde_ignored::Deserializer::new(tracked, &mut ignored))
        .map_err(|error| explain(&error, &track.path().to_string()))?;
    json.end().map_err(|error| explain(&error, ""))?;
    Ok(manifest)
}

fn explain(error: &serde_json::Error, path: &str) -> ManifestError {
    let message = printable(&error.to_string());
    match error.classify() {
        serde_json::error::Category::Data if path == "." => {
            // The message names the missing field.
            ManifestError::field("(top)", message)
        }
        serde_json::error::Category::Data => ManifestError::field(shorten(path), message),
        _ => ManifestError::NotJson { message },
    }
}

/// Counts brackets outside of strings, before anything recursive sees the text.
fn check_depth(text: &str) -> Result<(), ManifestError> {
    let (mut depth, mut line, mut in_string, mut escaped) = (0usize, 1, false, false);
    for byte in text.bytes() {
        match byte {
            b'\n' => line += 1,
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ManifestError::TooDeep { line });
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn warnings(unknown: Vec<String>) -> Vec<String> {
    let more = unknown.len().saturating_sub(MAX_WARNINGS);
    let mut warnings: Vec<String> = unknown
        .iter()
        .take(MAX_WARNINGS)
        .map(|path| format!("unknown key `{}` is ignored", shorten(path)))
        .collect();
    if more > 0 {
        warnings.push(format!("{more} more unknown keys are ignored"));
    }
    warnings
}
