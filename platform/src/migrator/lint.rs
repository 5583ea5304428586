//! What a migration takes away in one step while the version before still runs.
//!
//! The texts of an extension's migrations are read in their order into a picture of its tables; what of a table that
//! was there before a migration is gone behind it, or demands what it did not demand, is found. A table that is
//! rebuilt under its name (`CREATE new`, `DROP`, `RENAME`) is compared with the one that it replaces. The reading knows
//! the statements that migrations are made of, and passes over what it does not know: no finding is no proof.

use std::collections::BTreeMap;

use powernode_abi::MigrationDef;

use super::plan;

mod tokens;

use tokens::{Token, statements};

/// A line of an `up.sql` by which its author says that nothing uses any more what it takes away.
pub const CONTRACT: &str = "-- powernode: contract";

/// Something that a migration takes away in one step.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The migration, `<version>_<name>`.
    pub migration: String,
    /// What it does.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "migration `{}` {} in one step: the version that still runs fails then; add first, move over, \
             take away in a later release, and say so there with the line `{CONTRACT}`",
            self.migration, self.message
        )
    }
}

/// What `migrations` take away in one step on a database, in the order of versions.
pub fn lint(migrations: &[MigrationDef], dialect: u32) -> Vec<Finding> {
    let mut ordered: Vec<_> = migrations.iter().collect();
    ordered.sort_by(|a, b| a.version.cmp(&b.version));
    let mut tables = Tables::new();
    let mut findings = Vec::new();
    for def in ordered {
        let text = plan::up(def, dialect);
        let before = tables.clone();
        for statement in statements(text) {
            run(&mut tables, &statement);
        }
        if text.lines().any(|line| line.trim() == CONTRACT) {
            continue;
        }
        let migration = format!("{}_{}", def.version, def.name);
        findings.extend(
            taken(&before, &tables)
                .into_iter()
                .map(|message| Finding { migration: migration.clone(), message }),
        );
    }
    findings
}

/// Columns by name.
type Columns = BTreeMap<String, Column>;
/// Tables by name.
type Tables = BTreeMap<String, Columns>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Column {
    required: bool,
    has_default: bool,
    /// How often its type was changed.
    retyped: u32,
}

/// What stood `before`, and does not stand now.
fn taken(before: &Tables, after: &Tables) -> Vec<String> {
    let mut sentences = Vec::new();
    for (table, columns) in before {
        let Some(now) = after.get(table) else {
            sentences.push(format!("drops or renames table `{table}`"));
            continue;
        };
        for (name, column) in columns {
            match now.get(name) {
                None => sentences.push(format!("drops or renames column `{table}.{name}`")),
                Some(it) if it.required && !column.required => {
                    sentences.push(format!("makes column `{table}.{name}` NOT NULL"));
                }
                Some(it) if it.retyped > column.retyped => {
                    sentences.push(format!("changes the type of column `{table}.{name}`"));
                }
                Some(_) => {}
            }
        }
        for (name, column) in now {
            if !columns.contains_key(name) && column.required && !column.has_default {
                sentences.push(format!(
                    "adds column `{table}.{name}`, which is NOT NULL and has no default,"
                ));
            }
        }
    }
    sentences
}

/// A statement, or those in the text of a DO: also behind its conditions, and in what it executes as text.
fn run(tables: &mut Tables, statement: &[Token<'_>]) {
    if !statement.first().is_some_and(|it| it.is("DO")) {
        apply(tables, statement);
        return;
    }
    let texts = |tokens: &[Token<'_>]| {
        tokens.iter().filter_map(Token::text).map(str::to_owned).collect::<Vec<_>>()
    };
    for body in texts(statement) {
        for inner in statements(&body) {
            for at in 0..inner.len() {
                apply(tables, inner.get(at..).unwrap_or_default());
            }
            for text in texts(&inner) {
                for executed in statements(&text) {
                    apply(tables, &executed);
                }
            }
        }
    }
}

fn apply(tables: &mut Tables, statement: &[Token<'_>]) -> Option<()> {
    let mut words = Words { tokens: statement, at: 0 };
    if words.take("CREATE") {
        let _ = words.take("UNLOGGED");
        if !words.take("TABLE") {
            return None;
        }
        let _ = words.take("IF") && words.take("NOT") && words.take("EXISTS");
        let table = words.name()?;
        let columns = columns(words.rest())?;
        let _ = tables.entry(table).or_insert(columns);
    } else if words.take("DROP") {
        if !words.take("TABLE") {
            return None;
        }
        let _ = words.take("IF") && words.take("EXISTS");
        while let Some(table) = words.name() {
            let _ = tables.remove(&table);
            if !words.take(",") {
                break;
            }
        }
    } else if words.take("ALTER") {
        if !words.take("TABLE") {
            return None;
        }
        let _ = words.take("IF") && words.take("EXISTS");
        let _ = words.take("ONLY");
        let table = words.name()?;
        for action in parts(words.rest()) {
            alter(tables, &table, action);
        }
    }
    Some(())
}

fn alter(tables: &mut Tables, table: &str, action: &[Token<'_>]) -> Option<()> {
    let mut words = Words { tokens: action, at: 0 };
    if words.take("RENAME") {
        if words.take("TO") {
            let name = words.name()?;
            let columns = tables.remove(table)?;
            let _ = tables.insert(name, columns);
            return Some(());
        }
        let _ = words.take("COLUMN");
        let (from, _, to) = (words.name()?, words.take("TO"), words.name()?);
        let columns = tables.get_mut(table)?;
        let column = columns.remove(&from)?;
        let _ = columns.insert(to, column);
        return Some(());
    }
    let columns = tables.get_mut(table)?;
    if words.take("ADD") {
        if !words.take("COLUMN") && words.is_constraint() {
            for name in demanded(words.rest()) {
                if let Some(column) = columns.get_mut(&name) {
                    column.required = true;
                }
            }
            return None;
        }
        let _ = words.take("IF") && words.take("NOT") && words.take("EXISTS");
        let (name, column) = column(words.rest())?;
        let _ = columns.entry(name).or_insert(column);
    } else if words.take("DROP") {
        if !words.take("COLUMN") && words.is_constraint() {
            return None;
        }
        let _ = words.take("IF") && words.take("EXISTS");
        let _ = columns.remove(&words.name()?);
    } else if words.take("ALTER") {
        let _ = words.take("COLUMN");
        let column = columns.get_mut(&words.name()?)?;
        let before = words.at;
        if words.take("TYPE") || words.take("SET") && words.take("DATA") && words.take("TYPE") {
            column.retyped += 1;
            return Some(());
        }
        words.at = before;
        let set = words.take("SET");
        let drop = !set && words.take("DROP");
        if words.take("NOT") && words.take("NULL") {
            column.required = set && !drop;
        } else if words.take("DEFAULT") {
            column.has_default = set;
        }
    }
    Some(())
}

/// The columns that a constraint demands: those of a primary key, and those that a check wants to be NOT NULL.
fn demanded(constraint: &[Token<'_>]) -> Vec<String> {
    let key = constraint.windows(2).position(|two| two[0].is("PRIMARY") && two[1].is("KEY"));
    if let Some(at) = key {
        let list = constraint.get(at + 2..).unwrap_or_default();
        let end = list.iter().position(|it| it.is(")")).unwrap_or(list.len());
        return list.get(..end).unwrap_or_default().iter().filter_map(Token::name).collect();
    }
    let demands = |four: &&[Token<'_>]| four[1].is("IS") && four[2].is("NOT") && four[3].is("NULL");
    constraint.windows(4).filter(demands).filter_map(|four| four[0].name()).collect()
}

/// The columns of a CREATE TABLE, whose parentheses `tokens` begin with; none for `AS SELECT`.
fn columns(tokens: &[Token<'_>]) -> Option<Columns> {
    let (Some(Token::Symbol('(')), inner) = (tokens.first().copied(), tokens.get(1..)?) else {
        return None;
    };
    let mut depth = 1usize;
    let end = inner.iter().position(|token| {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    let parts = parts(inner.get(..end)?);
    let defined = parts.into_iter().filter(|part| !Words { tokens: part, at: 0 }.is_constraint());
    Some(defined.filter_map(column).collect())
}

fn column(tokens: &[Token<'_>]) -> Option<(String, Column)> {
    let mut words = Words { tokens, at: 0 };
    let name = words.name()?;
    let rest = words.rest();
    let pair = |first: &str, second: &str| {
        rest.windows(2).any(|two| matches!(two, [a, b] if a.is(first) && b.is(second)))
    };
    let key = pair("PRIMARY", "KEY");
    let generated = rest.iter().any(|it| it.is("GENERATED"))
        || rest.first().is_some_and(|it| ["SERIAL", "BIGSERIAL"].iter().any(|name| it.is(name)));
    Some((
        name,
        Column {
            required: pair("NOT", "NULL") || key,
            has_default: generated || rest.iter().any(|it| it.is("DEFAULT")),
            retyped: 0,
        },
    ))
}

/// The parts between commas outside of parentheses.
fn parts<'a, 't>(tokens: &'a [Token<'t>]) -> Vec<&'a [Token<'t>]> {
    let mut depth = 0usize;
    tokens
        .split(|token| {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(token, Token::Symbol(','))
        })
        .collect()
}

/// The tokens of a statement, one after the other.
struct Words<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
}

impl<'a, 't> Words<'a, 't> {
    /// Goes past a word or a symbol, if it comes next.
    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    /// Goes past a name, in small letters; of `schema.name` the last part.
    fn name(&mut self) -> Option<String> {
        let mut name = self.tokens.get(self.at)?.name()?;
        self.at += 1;
        while self.take(".") {
            name = self.tokens.get(self.at)?.name()?;
            self.at += 1;
        }
        Some(name)
    }

    fn rest(&self) -> &'a [Token<'t>] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    fn is_constraint(&self) -> bool {
        const WORDS: [&str; 7] =
            ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"];
        self.tokens.get(self.at).is_some_and(|token| WORDS.iter().any(|word| token.is(word)))
    }
}

#[cfg(test)]
mod tests;
