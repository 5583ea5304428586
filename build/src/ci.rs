//! Whether this is continuous integration: the one rule, which the tests take from here too.

/// Whether nothing may be skipped: where `CI` is `true`, and nowhere else.
pub(crate) fn is_ci() -> bool {
    says_so(std::env::var("CI").ok().as_deref())
}

fn says_so(ci: Option<&str>) -> bool {
    ci == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_is_true() {
        assert!(says_so(Some("true")));
        for other in [None, Some(""), Some("false"), Some("0"), Some("1")] {
            assert!(!says_so(other), "{other:?}");
        }
    }
}
