//! E-mail addresses.

use std::{fmt, str::FromStr};

/// An address in lower case, as it is stored and compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The text that is stored.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEmail;

impl fmt::Display for NoEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be an e-mail address")
    }
}

impl FromStr for Email {
    type Err = NoEmail;

    /// Takes what could be delivered to; whether it is, the confirmation shows.
    fn from_str(text: &str) -> Result<Self, NoEmail> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(NoEmail)?;
        let fits = text.len() <= 254 && (1..=64).contains(&local.len());
        if fits && is_local(local) && is_domain(domain) { Ok(Self(text)) } else { Err(NoEmail) }
    }
}

fn is_local(local: &str) -> bool {
    let is_fine = |it: char| it.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(it);
    local.chars().all(is_fine) && local.split('.').all(|it| !it.is_empty())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        let is_fine = |it: char| it.is_alphanumeric() || it == '-';
        (1..=63).contains(&label.len()) && !edges && label.chars().all(is_fine)
    };
    domain.contains('.') && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = text.parse().ok().map(Email::into_string);
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_is_kept_in_lower_case() {
        check(" Ann@Example.COM ", Some("ann@example.com"));
        check("o'neil+news@mail.example.org", Some("o'neil+news@mail.example.org"));
        check("jürgen@müller.de", Some("jürgen@müller.de"));
    }

    #[test]
    fn other_text_is_no_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "ann@example..com",
            "ann@-example.com",
            ".ann@example.com",
            "ann b@example.com",
            "ann@exam ple.com",
            "a@b@example.com",
            "ann@example.com\r\nBcc: eve@example.com",
            &long,
        ] {
            check(text, None);
        }
    }
}
