//! The text of a query, and of the statements a batch is cut into.

use std::{iter, mem, ops::Range};

use diesel::{query_builder::QueryBuilder, result::QueryResult};

use super::backend::{Dialect, HostBackend};

/// Marks that a batch of rows leaves in its text.
pub(super) mod mark {
    /// A row begins; its column names follow. Left out where they cannot differ from the row before.
    pub(crate) const COLUMNS: &str = "\u{1}columns";
    /// The row's values follow.
    pub(crate) const VALUES: &str = "\u{1}values";
    /// The row ended.
    pub(crate) const END: &str = "\u{1}end";
}

/// One statement of a query: its text, and which of the query's binds it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) binds: Vec<Range<usize>>,
}

/// A query's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// One statement, which takes all binds in order.
    One(String),
    /// Several, to be run in one transaction.
    Many(Vec<Statement>),
}

/// Writes the text of a query.
///
/// `?` and backticks on SQLite, `$1` and double quotes on PostgreSQL. Of a query that
/// inserts a batch it remembers the rows: rows that name other columns than the one
/// before, and rows beyond the number of binds that the database takes, go into
/// statements of their own.
#[derive(Debug)]
pub struct HostQueryBuilder {
    dialect: Dialect,
    sql: String,
    binds: usize,
    /// Where text goes while the columns of a row are named.
    columns: Option<String>,
    batch: Option<Batch>,
}

/// The rows of an INSERT, as pieces of its text.
#[derive(Debug)]
struct Batch {
    head: usize,
    head_binds: usize,
    tail: usize,
    tail_binds: usize,
    groups: Vec<Group>,
    /// Where the placeholders after the head stand.
    places: Vec<usize>,
}

/// Rows that name the same columns.
#[derive(Debug)]
struct Group {
    columns: String,
    rows: Vec<BatchRow>,
}

#[derive(Debug)]
struct BatchRow {
    values: Range<usize>,
    binds: Range<usize>,
}

impl HostQueryBuilder {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, sql: String::new(), binds: 0, columns: None, batch: None }
    }

    /// The text, cut into statements where one will not do.
    pub(super) fn into_text(self) -> Text {
        let Some(batch) = &self.batch else { return Text::One(self.sql) };
        let limit = bind_limit(self.dialect);
        if batch.groups.len() == 1 && self.binds <= limit {
            return Text::One(self.sql);
        }
        let fixed = batch.head_binds + (self.binds - batch.tail_binds);
        let statements = batch
            .groups
            .iter()
            .flat_map(|group| {
                chunks(&group.rows, limit.saturating_sub(fixed))
                    .into_iter()
                    .map(|rows| self.statement(batch, &group.columns, rows))
            })
            .collect();
        Text::Many(statements)
    }

    fn statement(&self, batch: &Batch, columns: &str, rows: &[BatchRow]) -> Statement {
        let mut sql = String::with_capacity(self.sql.len());
        let mut count = batch.head_binds;
        sql.push_str(&self.sql[..batch.head]);
        push_rows_head(&mut sql, columns);
        for (position, row) in rows.iter().enumerate() {
            if position > 0 {
                sql.push_str(", (");
            }
            self.copy(batch, row.values.clone(), &mut sql, &mut count);
            if !columns.is_empty() {
                sql.push(')');
            }
        }
        self.copy(batch, batch.tail..self.sql.len(), &mut sql, &mut count);

        let (before, after) = (0..batch.head_binds, batch.tail_binds..self.binds);
        let rows = rows.iter().map(|row| row.binds.clone());
        let binds = iter::once(before).chain(rows).chain([after]);
        let binds = binds.filter(|range| !range.is_empty()).collect();
        Statement { sql, binds }
    }

    /// Copies a piece of the text, with its placeholders counted anew.
    fn copy(&self, batch: &Batch, piece: Range<usize>, out: &mut String, count: &mut usize) {
        if self.dialect == Dialect::Sqlite {
            out.push_str(&self.sql[piece]);
            return;
        }
        let first = batch.places.partition_point(|place| *place < piece.start);
        let mut done = piece.start;
        for &place in batch.places[first..].iter().take_while(|place| **place < piece.end) {
            out.push_str(&self.sql[done..place]);
            *count += 1;
            push_number(out, *count);
            let digits = self.sql[place + 1..].bytes().take_while(u8::is_ascii_digit).count();
            done = place + 1 + digits;
        }
        out.push_str(&self.sql[done..piece.end]);
    }

    fn begin_values(&mut self) {
        let named = self.columns.take();
        let batch = self.batch.get_or_insert_with(|| Batch {
            head: self.sql.len(),
            head_binds: self.binds,
            tail: 0,
            tail_binds: 0,
            groups: Vec::new(),
            places: Vec::new(),
        });
        match (batch.groups.last(), named) {
            (None, named) => {
                let columns = named.unwrap_or_default();
                push_rows_head(&mut self.sql, &columns);
                batch.groups.push(Group { columns, rows: Vec::new() });
            }
            // Two rows without a column cannot share a statement: there is no list of no values.
            (Some(group), Some(columns)) if columns.is_empty() || group.columns != columns => {
                self.sql.push_str(", (");
                batch.groups.push(Group { columns, rows: Vec::new() });
            }
            (Some(_), _) => self.sql.push_str(", ("),
        }
        let (at, bind) = (self.sql.len(), self.binds);
        if let Some(group) = batch.groups.last_mut() {
            group.rows.push(BatchRow { values: at..at, binds: bind..bind });
        }
    }

    fn end_row(&mut self) {
        let Some(batch) = &mut self.batch else { return };
        if let Some(group) = batch.groups.last_mut()
            && let Some(row) = group.rows.last_mut()
        {
            row.values.end = self.sql.len();
            row.binds.end = self.binds;
            if !group.columns.is_empty() {
                self.sql.push(')');
            }
        }
        batch.tail = self.sql.len();
        batch.tail_binds = self.binds;
    }
}

/// SQLite's.
impl Default for HostQueryBuilder {
    fn default() -> Self {
        Self::new(Dialect::Sqlite)
    }
}

impl QueryBuilder<HostBackend> for HostQueryBuilder {
    fn push_sql(&mut self, sql: &str) {
        match sql {
            mark::COLUMNS => self.columns = Some(String::new()),
            mark::VALUES => self.begin_values(),
            mark::END => self.end_row(),
            _ => self.columns.as_mut().unwrap_or(&mut self.sql).push_str(sql),
        }
    }

    fn push_identifier(&mut self, identifier: &str) -> QueryResult<()> {
        let quote = match self.dialect {
            Dialect::Sqlite => '`',
            Dialect::Postgres => '"',
        };
        let out = self.columns.as_mut().unwrap_or(&mut self.sql);
        out.push(quote);
        for char in identifier.chars() {
            if char == quote {
                out.push(quote);
            }
            out.push(char);
        }
        out.push(quote);
        Ok(())
    }

    fn push_bind_param(&mut self) {
        self.binds += 1;
        if let Some(batch) = &mut self.batch {
            batch.places.push(self.sql.len());
        }
        match self.dialect {
            Dialect::Sqlite => self.sql.push('?'),
            Dialect::Postgres => push_number(&mut self.sql, self.binds),
        }
    }

    fn push_bind_param_value_only(&mut self) {
        self.binds += 1;
    }

    fn finish(mut self) -> String {
        mem::take(&mut self.sql)
    }
}

fn push_rows_head(sql: &mut String, columns: &str) {
    if columns.is_empty() {
        sql.push_str("DEFAULT VALUES");
    } else {
        sql.push('(');
        sql.push_str(columns);
        sql.push_str(") VALUES (");
    }
}

fn push_number(sql: &mut String, number: usize) {
    sql.push('$');
    sql.push_str(&number.to_string());
}

/// How many binds a statement may have.
fn bind_limit(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => 32_766,
        Dialect::Postgres => 65_535,
    }
}

/// `rows` in runs that take at most `limit` binds, and at least one row each.
fn chunks(rows: &[BatchRow], limit: usize) -> Vec<&[BatchRow]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut binds = 0;
    for (index, row) in rows.iter().enumerate() {
        let more = row.binds.len();
        if index > start && binds + more > limit {
            chunks.push(&rows[start..index]);
            (start, binds) = (index, 0);
        }
        binds += more;
    }
    chunks.push(&rows[start..]);
    chunks
}

#[cfg(test)]
mod tests;
