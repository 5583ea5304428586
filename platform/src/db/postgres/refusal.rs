//! What is refused by its text, before the server sees it.
//!
//! The login role is the boundary; this keeps transactions, sessions and the shape of tables where they belong,
//! and gives the reason in words. What is not known to be a query is refused.

/// What a job may send: one statement of these.
const ROWS: [&str; 8] =
    ["select", "insert", "update", "delete", "merge", "with", "values", "table"];
/// What a migration may send besides.
const SHAPE: [&str; 11] = [
    "create", "alter", "drop", "truncate", "comment", "analyze", "reindex", "refresh", "lock",
    "do", "explain",
];
const TRANSACTION: [&str; 9] =
    ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"];

/// Why a job's statement is refused.
pub(super) fn of_job(sql: &str) -> Option<String> {
    let word = statements(sql).next().unwrap_or_default();
    if word.is_empty() || ROWS.contains(&word.as_str()) {
        // A second statement is the server's to refuse: the extended protocol takes one.
        return None;
    }
    Some(if TRANSACTION.contains(&word.as_str()) {
        "an extension may not write transactions as text: use the connection's `transaction`"
            .to_owned()
    } else if SHAPE.contains(&word.as_str()) {
        format!(
            "an extension may not {} here: migrations change the shape of tables",
            word.to_uppercase()
        )
    } else {
        format!(
            "an extension may not send {}: it may change neither the session that it is lent nor the server",
            word.to_uppercase()
        )
    })
}

/// Why a migration's text is refused.
pub(super) fn of_migration(sql: &str) -> Option<String> {
    let allowed = |word: &str| ROWS.contains(&word) || SHAPE.contains(&word);
    let word = statements(sql).find(|word| !allowed(word))?;
    Some(if TRANSACTION.contains(&word.as_str()) {
        format!(
            "a migration may not send {}: the transaction is the platform's",
            word.to_uppercase()
        )
    } else {
        format!(
            "a migration may not send {}: it changes its own tables, and neither session, rights nor server",
            word.to_uppercase()
        )
    })
}

/// Why a migration's text is refused where no transaction could undo it.
pub(super) fn outside(sql: &str) -> Option<&'static str> {
    let index = |words: &[&str]| {
        matches!(
            words,
            ["create", "index", "concurrently", ..]
                | ["create", "unique", "index", "concurrently", ..]
                | ["drop", "index", "concurrently", ..]
                | ["reindex", ..]
        )
    };
    let mut words = Vec::new();
    let mut rest = skip_blank(sql);
    while words.len() < 4 && !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end.max(1)).unwrap_or((rest, ""));
        words.push(word.to_ascii_lowercase());
        rest = skip_blank(after);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    (!index(&words) || statements(sql).count() > 1).then_some(
        "without a transaction a migration may make or drop one index CONCURRENTLY, or REINDEX: \
         what else it did could not be undone",
    )
}

/// The first word of each statement, in small letters.
fn statements(sql: &str) -> impl Iterator<Item = String> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            rest = skip_blank(rest);
            if let Some(after) = rest.strip_prefix([';', '(']) {
                rest = after;
                continue;
            }
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            // What begins with no letter is no statement; it is named by what it begins with.
            let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
            let word = rest.get(..end).unwrap_or_default().to_ascii_lowercase();
            rest = after_statement(rest);
            return Some(word);
        }
    })
}

/// What follows blanks and comments.
fn skip_blank(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        // PostgreSQL's blanks, and no others: what else looks blank is a part of a word there.
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).and_then(|at| comment.get(at..)).unwrap_or_default();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_comment(comment);
        } else {
            return rest;
        }
    }
}

/// What follows a comment that has begun; comments nest.
fn after_comment(comment: &str) -> &str {
    let mut depth = 1;
    let mut rest = comment;
    while depth > 0 {
        let Some(at) = rest.find("*/") else { return "" };
        let opened = rest.find("/*").filter(|open| *open < at);
        depth = if opened.is_some() { depth + 1 } else { depth - 1 };
        rest = rest.get(opened.unwrap_or(at) + 2..).unwrap_or_default();
    }
    rest
}

/// What follows the first semicolon that ends a statement.
fn after_statement(sql: &str) -> &str {
    let mut rest = sql;
    let mut before = ' ';
    loop {
        let Some(next) = rest.chars().next() else { return "" };
        let after = rest.get(next.len_utf8()..).unwrap_or_default();
        let in_word = before.is_alphanumeric() || before == '_' || !before.is_ascii();
        rest = match next {
            ';' => return after,
            '\'' => after_quote(after, '\'', matches!(before, 'e' | 'E')),
            '"' => after_quote(after, '"', false),
            '$' if !in_word => after_dollars(after),
            '-' if after.starts_with('-') => skip_blank(rest),
            '/' if after.starts_with('*') => skip_blank(rest),
            _ => after,
        };
        before = next;
    }
}

/// What follows a quoted text; a doubled quote stays inside, and so does one behind a backslash where that counts.
fn after_quote(text: &str, quote: char, backslash: bool) -> &str {
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && backslash {
            letters.next();
        } else if letter == quote {
            return text.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

/// What follows a text in dollars, or the dollar itself where no such text begins.
fn after_dollars(text: &str) -> &str {
    let Some((tag, body)) = text.split_once('$') else { return text };
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return text;
    }
    let end = format!("${tag}$");
    body.find(&end).and_then(|at| body.get(at + end.len()..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, job: bool, migration: bool) {
        assert_eq!(of_job(sql).is_none(), job, "{sql}: {:?}", of_job(sql));
        assert_eq!(of_migration(sql).is_none(), migration, "{sql}: {:?}", of_migration(sql));
    }

    #[test]
    fn transactions_and_sessions_are_not_an_extensions() {
        check("COMMIT", false, false);
        check("  -- x\n /* a /* b */ c */ commit", false, false);
        check("-- x\rCOMMIT", false, false);
        check(";;ROLLBACK", false, false);
        check("SET search_path TO blog", false, false);
        check("RESET ROLE", false, false);
        check("GRANT ALL ON shop_items TO PUBLIC", false, false);
        check("COPY shop_items TO PROGRAM 'x'", false, false);
        check("\u{a0}COMMIT", false, false);
        check("DO $$ BEGIN END $$", false, true);
        check("CREATE TABLE x (id int)", false, true);
        check("EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", false, true);
        check("SELECT 1", true, true);
        check("(SELECT 1) UNION (SELECT 2)", true, true);
        check("WITH x AS (SELECT 1) SELECT * FROM x", true, true);
        check("", true, true);
    }

    #[test]
    fn without_a_transaction_indexes_are_made() {
        let check = |sql, allowed| assert_eq!(outside(sql).is_none(), allowed, "{sql}");
        check(
            "-- powernode: no-transaction\nCREATE INDEX CONCURRENTLY shop_i ON shop_items (name);",
            true,
        );
        check("create /* x */ unique index concurrently shop_i on shop_items (name)", true);
        check("DROP INDEX CONCURRENTLY shop_i", true);
        check("REINDEX TABLE shop_items", true);
        check("CREATE INDEX shop_i ON shop_items (name)", false);
        check("CREATE TABLE shop_x (id INT)", false);
        check("REINDEX TABLE shop_items; DROP TABLE shop_items", false);
        check("", false);
    }

    #[test]
    fn each_statement_of_a_migration_is_seen() {
        check("SELECT 1; COMMIT", true, false);
        check("SELECT ';COMMIT;', \";RESET\"; SELECT E'\\';COMMIT'", true, true);
        check("SELECT '\\'; COMMIT; --'", true, false);
        check("DO $x$ BEGIN; COMMIT; $$ $x$; SELECT 1", false, true);
        check("SELECT 1 -- ;\n; COMMIT", true, false);
        check("SELECT 1 /* ; RESET ROLE */", true, true);
        check("SELECT a$b; RESET ROLE; SELECT c$b", true, false);
    }
}
