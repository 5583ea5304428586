//! The rows of an import, as JSON or as CSV.

use std::collections::HashSet;

use csv::{ByteRecord, ReaderBuilder, Trim};
use powernode_plugin_api::{extract::Extract, operation::Operation, prelude::*, request::Request};
use serde_json::{Map, Value, json};

use crate::services::import::{Import, MOST_ROWS, Row};

/// Rows, each to be judged by itself.
#[derive(Debug)]
pub struct Rows(pub Vec<Row>);

/// What stands above a column of CSV. Tags stand in one field, with a semicolon between them.
const COLUMNS: [&str; 5] = ["email", "first_name", "last_name", "source", "tags"];
/// What begins the name of a column that is a field of the account's own.
const CUSTOM: &str = "custom_fields.";

impl Extract for Rows {
    async fn extract(request: &mut Request) -> Result<Self> {
        let media = request.header("content-type").and_then(|it| it.split(';').next());
        if media.is_some_and(|it| it.trim().eq_ignore_ascii_case("text/csv")) {
            return of_csv(request.body().await?).map(Self);
        }
        let Body(import) = Body::<Import>::extract(request).await?;
        let row = |(index, value)| Row { index, line: None, value: Ok(value) };
        Ok(Self(import.subscribers.into_iter().enumerate().map(row).collect()))
    }

    fn describe(operation: &mut Operation) {
        operation.body::<Import>();
        let columns = COLUMNS.join(", ");
        let text = format!("The first line names the columns: {columns}, {CUSTOM}…");
        let schema = json!({ "type": "string", "description": text });
        operation.other_bodies.insert("text/csv".to_owned(), schema);
    }
}

/// The rows below the first line; one row more than may be is enough to say so.
fn of_csv(text: &[u8]) -> Result<Vec<Row>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text);
    let head = reader.byte_headers().map_err(Error::internal)?;
    let columns = columns(head)?;
    let (mut rows, mut lines) = (Vec::new(), Lines::new(text));
    for (index, record) in reader.byte_records().take(MOST_ROWS + 1).enumerate() {
        let record = record.map_err(Error::internal)?;
        let line = record.position().map(|it| lines.of_record(it.byte()));
        rows.push(Row { index, line, value: value(&columns, &record) });
    }
    match lines.open_quote() {
        Some(line) => Err(Error::invalid(
            "body",
            format!("the quote that opens on line {line} is not closed"),
        )),
        None => Ok(rows),
    }
}

/// Where records stand in a text.
struct Lines<'t> {
    text: &'t [u8],
    /// Where the last record begins, and on which line.
    begin: usize,
    line: u64,
}

impl<'t> Lines<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self { text, begin: 0, line: 1 }
    }

    /// The line of the record that is found from `byte` on, which may still be the end of the line before.
    fn of_record(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        let is_end = |it: &&u8| matches!(it, b'\r' | b'\n');
        let begin = from + self.text[from..].iter().take_while(is_end).count();
        let passed = self.text.get(self.begin..begin).unwrap_or_default();
        self.line += passed.iter().filter(|it| **it == b'\n').count() as u64;
        self.begin = begin;
        self.line
    }

    /// The line on which a quote of the last record opens that nothing closes: all that follows stands in it.
    fn open_quote(&self) -> Option<u64> {
        let (mut line, mut opened, mut first) = (self.line, None, true);
        let mut rest = self.text[self.begin..].iter().peekable();
        while let Some(byte) = rest.next() {
            match (byte, opened) {
                (b'"', Some(_)) if rest.peek() == Some(&&b'"') => _ = rest.next(),
                (b'"', Some(_)) => opened = None,
                (b'"', None) if first => opened = Some(line),
                _ => {}
            }
            line += u64::from(*byte == b'\n');
            first = opened.is_none() && *byte == b',';
        }
        opened
    }
}

/// The names of the columns; 422 where one is unknown, twice there, or the address is missing.
fn columns(head: &ByteRecord) -> Result<Vec<String>> {
    let name = |it: &[u8]| String::from_utf8_lossy(it).to_ascii_lowercase();
    let columns: Vec<_> = head.iter().map(name).collect();
    let mut checks = Checks::new();
    let mut seen = HashSet::new();
    for column in &columns {
        let custom = column.strip_prefix(CUSTOM).is_some_and(|it| !it.is_empty());
        let known = custom || COLUMNS.contains(&column.as_str());
        let message = format!("is no column; {}, {CUSTOM}… are", COLUMNS.join(", "));
        checks.require(known, column, message);
        checks.require(seen.insert(column), column, "is a column twice");
    }
    checks.require(seen.contains(&"email".to_owned()), "email", "must be a column");
    checks.finish().map(|()| columns)
}

/// A row as JSON would have it; a field that is empty is left out.
fn value(columns: &[String], record: &ByteRecord) -> Result<Value, String> {
    if record.len() != columns.len() {
        let (found, expected) = (record.len(), columns.len());
        return Err(format!("has {found} fields, and the first line has {expected}"));
    }
    let (mut row, mut custom) = (Map::new(), Map::new());
    for (column, field) in columns.iter().zip(record) {
        let text = std::str::from_utf8(field).map_err(|_| format!("{column}: is not UTF-8"))?;
        if text.is_empty() {
            continue;
        }
        if let Some(name) = column.strip_prefix(CUSTOM) {
            custom.insert(name.to_owned(), text.into());
        } else if column == "tags" {
            let tags = text.split(';').map(str::trim).filter(|it| !it.is_empty());
            row.insert(column.clone(), tags.collect());
        } else {
            row.insert(column.clone(), text.into());
        }
    }
    if !custom.is_empty() {
        row.insert("custom_fields".to_owned(), custom.into());
    }
    Ok(row.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as JSON, each on a line, or what is wrong with them.
    #[track_caller]
    fn check(text: &[u8], expected: &str) {
        let line = |it: Row| match it.value {
            Ok(value) => value.to_string(),
            Err(message) => format!("{}: {message}", it.line.unwrap_or_default()),
        };
        let found = match of_csv(text) {
            Ok(rows) => rows.into_iter().map(line).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_may_be_quoted_empty_and_ones_own() {
        check(
            b"\xef\xbb\xbfEmail,Tags,custom_fields.town\r\nann@example.com,a; b,\"Bad Ems, \"\"D\"\"\"\r\nben@example.com,,\r\n",
            "{\"custom_fields\":{\"town\":\"Bad Ems, \\\"D\\\"\"},\"email\":\"ann@example.com\",\"tags\":[\"a\",\"b\"]}\n{\"email\":\"ben@example.com\"}",
        );
    }

    #[test]
    fn a_wrong_row_is_named_by_its_line() {
        check(
            b"email,first_name\nann@example.com\nb\xff@example.com,B\n\"c@example.com\",C\n",
            "2: has 1 fields, and the first line has 2\n3: email: is not UTF-8\n{\"email\":\"c@example.com\",\"first_name\":\"C\"}",
        );
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let wrong = "has 1 fields, and the first line has 2";
        let text = "email,first_name\r\nann@example.com\r\n\r\nb@example.com,\"B\r\nB\"\r\nc@example.com\r\n";
        let fine = r#"{"email":"b@example.com","first_name":"B\r\nB"}"#;
        check(text.as_bytes(), &format!("2: {wrong}\n{fine}\n6: {wrong}"));
        let text = text.replace("\r\n", "\n");
        let fine = r#"{"email":"b@example.com","first_name":"B\nB"}"#;
        check(text.as_bytes(), &format!("2: {wrong}\n{fine}\n6: {wrong}"));
    }

    #[test]
    fn a_quote_that_is_not_closed_loses_nothing_in_silence() {
        let open = |line| {
            format!(
                "the input is not valid; body: the quote that opens on line {line} is not closed"
            )
        };
        check(b"email,first_name\na@example.com,A\nb@example.com,\"B\nc@example.com,C\n", &open(3));
        check(b"email,first_name\r\na@example.com,\"A\r\n\"\"b@example.com,B", &open(2));
        let fine = r#"{"email":"a@example.com","first_name":"5\" A"}"#;
        check(b"email,first_name\na@example.com,5\" A\n", fine);
        check(b"email,first_name\na@example.com,\"5\"\" A\"", fine);
    }

    #[test]
    fn a_wrong_first_line_spoils_all() {
        let begin = "the input is not valid; ";
        check(b"", &format!("{begin}email: must be a column"));
        check(b"email,email\n", &format!("{begin}email: is a column twice"));
        let known = "email, first_name, last_name, source, tags, custom_fields.…";
        check(b"email,town\n", &format!("{begin}town: is no column; {known} are"));
    }
}
