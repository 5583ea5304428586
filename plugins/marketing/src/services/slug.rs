//! Slugs: names for URLs.

/// The name in lower case, with one hyphen for whatever is no ASCII letter or digit.
///
/// At most 80 characters; `fallback` where nothing is left.
pub fn slug(name: &str, fallback: &str) -> String {
    let words = name.split(|it: char| !it.is_ascii_alphanumeric()).filter(|it| !it.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(80);
    match slug.trim_end_matches('-') {
        "" => fallback.to_owned(),
        slug => slug.to_owned(),
    }
}

/// `slug`, or the first of `slug-2`, `slug-3`, … that is not among `taken`.
pub fn free(slug: &str, taken: &[String]) -> String {
    let is_free = |it: &String| !taken.contains(it);
    let numbered = (2_u64..).map(|number| format!("{slug}-{number}"));
    std::iter::once(slug.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, taken: &[&str], expected: &str) {
        let taken: Vec<_> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(free(&slug(name, "campaign"), &taken), expected);
    }

    #[test]
    fn a_slug_is_made_of_the_name() {
        check("Spring Sale", &[], "spring-sale");
        check("  50 % off -- now!", &[], "50-off-now");
        check("Été", &[], "t");
        check("春", &[], "campaign");
        check(&"x".repeat(255), &[], &"x".repeat(80));
    }

    #[test]
    fn a_taken_slug_gets_the_next_number() {
        check("Sale", &["sale"], "sale-2");
        check("Sale", &["sale", "sale-2", "sale-4"], "sale-3");
        check("Sale", &["sale-2"], "sale");
    }
}
