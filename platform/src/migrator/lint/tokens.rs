//! SQL as words, quoted names and symbols, cut into statements.

/// A piece of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// A name in quotes, without them.
    Quoted(&'a str),
    /// A string, without its quotes.
    Text(&'a str),
    /// A number, whatever is neither name nor symbol.
    Value,
    /// One character.
    Symbol(char),
}

impl Token<'_> {
    /// Whether it is this keyword or symbol.
    pub(super) fn is(&self, word: &str) -> bool {
        match self {
            Self::Word(it) => it.eq_ignore_ascii_case(word),
            Self::Symbol(it) => word.chars().eq([*it]),
            Self::Quoted(_) | Self::Text(_) | Self::Value => false,
        }
    }

    /// It as a string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// It as a name, in small letters.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(it) | Self::Quoted(it) => Some(it.to_ascii_lowercase()),
            Self::Text(_) | Self::Value | Self::Symbol(_) => None,
        }
    }
}

/// The statements of a script; comments are left out.
pub(super) fn statements(sql: &str) -> Vec<Vec<Token<'_>>> {
    let tokens = tokens(sql);
    tokens.split(|token| *token == Token::Symbol(';')).map(<[_]>::to_vec).collect()
}

fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (None, rest.find("*/").map_or(rest.len(), |end| end + 2))
            }
            '\'' => {
                let length = quoted(rest, '\'');
                let inner = rest.get(1..length.saturating_sub(1)).unwrap_or_default();
                (Some(Token::Text(inner)), length)
            }
            '"' | '`' => {
                let length = quoted(rest, first);
                let inner = rest.get(1..length.saturating_sub(1)).unwrap_or_default();
                (Some(Token::Quoted(inner)), length)
            }
            '[' => {
                let length = rest.find(']').map_or(rest.len(), |end| end + 1);
                let inner = rest.get(1..length.saturating_sub(1)).unwrap_or_default();
                (Some(Token::Quoted(inner)), length)
            }
            '$' => match dollars(rest) {
                Some((inner, length)) => (Some(Token::Text(inner)), length),
                None => (Some(Token::Symbol('$')), 1),
            },
            it if it.is_alphabetic() || it == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                (Some(Token::Word(rest.get(..length).unwrap_or_default())), length)
            }
            it if it.is_ascii_digit() => {
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                (Some(Token::Value), length)
            }
            it if it.is_whitespace() => (None, it.len_utf8()),
            it => (Some(Token::Symbol(it)), it.len_utf8()),
        };
        tokens.extend(token);
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    tokens
}

/// The length of a quoted piece at the beginning of `text`, in which a doubled quote is one.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, it)) = chars.next() {
        if it == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// What stands in PostgreSQL's dollar quotes at the beginning of `text`, and its length with them.
fn dollars(text: &str) -> Option<(&str, usize)> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let is_tag = tag.trim_matches('$').chars().all(|c| c.is_alphanumeric() || c == '_');
    if !is_tag || tag.get(1..)?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let inner = text.get(end..)?;
    Some(match inner.find(tag) {
        Some(at) => (inner.get(..at)?, end + at + end),
        None => (inner, text.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_ends_no_statement() {
        let sql = "a ';''' \"b;\" -- ;\n /* ; */ $x$ ; $x$ $1; [c d] 1e5 ; é";
        let found: Vec<String> = statements(sql)
            .iter()
            .map(|it| it.iter().map(|it| format!("{it:?} ")).collect())
            .collect();
        assert_eq!(
            found,
            [
                "Word(\"a\") Text(\";''\") Quoted(\"b;\") Text(\" ; \") Symbol('$') Value ",
                "Quoted(\"c d\") Value ",
                "Word(\"é\") "
            ]
        );
    }

    #[test]
    fn what_is_never_closed_ends() {
        for sql in ["'a", "\"a", "$x$ a", "/* a", "[a", "-- a", "$", "'é"] {
            assert!(statements(sql).len() == 1, "{sql}");
        }
    }
}
