//! How the path of a request is read: one rule for the core's routes and for those of extensions.
//!
//! - A path is text: `%61` is as good as `a`. `%2F` is a slash that stays within its segment, for parameters.
//! - One slash at the end is as good as none.
//! - What is no text names nothing: an escape that is none, bytes that are not UTF-8, NUL.
//!
//! An extension still sees the path as it arrived; its parameters are decoded.

use std::borrow::Cow;

use actix_web::{
    dev::{ServiceRequest, Url},
    http::Uri,
};

/// What a path is looked up by; nothing where it names nothing.
///
/// A slash within a segment is still `%2F`, and a `%` is `%25`.
pub(super) fn read(path: &str) -> Option<String> {
    decode(path)?;
    let path = shortened(path).unwrap_or(path);
    Some(Url::new(path.parse::<Uri>().ok()?).path().to_owned())
}

/// Lets a request be looked up by the path as it is [`read`], and says whether it names anything.
///
/// Nearly all are as they should be already: that costs a look at their bytes.
pub(super) fn settle(request: &mut ServiceRequest) -> bool {
    let path = request.uri().path();
    if path.contains('%') && decode(path).is_none() {
        return false;
    }
    if let Some(uri) = shortened(path).and_then(|it| it.parse::<Uri>().ok()) {
        request.match_info_mut().set(Url::new(uri));
    }
    true
}

/// Decodes a path or a part of one; nothing where it is no text.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let [high, low] =
                [after.first()?, after.get(1)?].map(|it| char::from(*it).to_digit(16));
            bytes.push(u8::try_from(high? * 16 + low?).ok().filter(|it| *it != 0)?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Without the slash at its end, where that leaves something.
fn shortened(path: &str) -> Option<&str> {
    path.strip_suffix('/').filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(read(path).as_deref(), expected, "{path}");
    }

    #[test]
    fn a_path_is_text_and_needs_no_slash_at_its_end() {
        check("/api/v1/config", Some("/api/v1/config"));
        check("/api/v1/config/", Some("/api/v1/config"));
        check("/api/v1/config//", Some("/api/v1/config/"));
        check("/%61pi/caf%C3%A9/", Some("/api/café"));
        check("/a%2fb%252Fc%2F", Some("/a%2fb%252Fc%2F"));
        check("/", Some("/"));
    }

    #[test]
    fn what_is_no_text_names_nothing() {
        for path in ["/%", "/%4", "/%zz", "/%+1", "/%ff", "/a%00b", "/%C3"] {
            check(path, None);
        }
    }

    #[test]
    fn a_part_is_decoded_once() {
        assert_eq!(decode("a%2Fb%252F+%2B").unwrap(), "a/b%2F++");
    }
}
