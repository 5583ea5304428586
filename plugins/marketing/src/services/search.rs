//! Texts that people search for.

/// A pattern for `LIKE … ESCAPE '\'` that finds `text` anywhere, whatever it contains.
pub fn anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.trim().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_searched_for_as_they_are() {
        assert_eq!(anywhere(" 50%_a\\ "), r"%50\%\_a\\%");
    }
}
