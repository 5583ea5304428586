//! Many subscribers at once.

use std::collections::HashSet;

use diesel::prelude::*;
use powernode_plugin_api::{db::Unkept, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::email_lists;
use crate::{
    models::{Actor, EmailList, Subscriber, subscriber::NewSubscriber},
    schema::marketing_email_subscribers as subscribers,
};

/// Rows of one import at most.
pub const MOST_ROWS: usize = 1_000;
/// Rows of one statement; a database takes only so many values.
const ROWS_AT_ONCE: usize = 100;

/// What clients send to import subscribers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    // Read one by one, so that a wrong row does not spoil the others.
    #[schemars(with = "Vec<NewSubscriber>")]
    pub subscribers: Vec<Value>,
}

/// A row that was sent, as JSON or as a line of CSV.
#[derive(Debug)]
pub struct Row {
    /// Its place, from 0.
    pub index: usize,
    /// Its line in a text of CSV.
    pub line: Option<u64>,
    /// The row as JSON has it, or why it is none.
    pub value: Result<Value, String>,
}

/// What became of an import's rows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Imported {
    pub imported: usize,
    /// Those that were on the list already, or twice in the import.
    pub skipped: usize,
    pub errors: Vec<WrongRow>,
}

/// Why a row was not imported.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WrongRow {
    /// Its place, from 0.
    pub index: usize,
    /// Its line in a text of CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub email: Option<String>,
    pub message: String,
}

/// Adds those rows to a list that are valid and not there yet.
pub fn import(
    conn: &mut HostConnection,
    actor: Actor,
    list: Id<EmailList>,
    rows: Vec<Row>,
) -> Result<Imported> {
    let list = email_lists::find(conn, actor.account, list)?;
    let mut checks = Checks::new();
    let message = format!("must be 1 to {MOST_ROWS}");
    checks.require((1..=MOST_ROWS).contains(&rows.len()), "subscribers", message);
    checks.finish()?;

    let count = rows.len();
    let (valid, errors) = read(&list, actor, rows);
    let mut imported = 0;
    for chunk in valid.chunks(ROWS_AT_ONCE) {
        imported += diesel::insert_into(subscribers::table)
            .values(chunk)
            .on_conflict((subscribers::marketing_email_list_id, subscribers::email))
            .do_nothing()
            .execute(conn)?;
    }
    Ok(Imported { imported, skipped: count - imported - errors.len(), errors })
}

/// The rows that are valid, each address once, and what is wrong with the others.
fn read(list: &EmailList, actor: Actor, rows: Vec<Row>) -> (Vec<Subscriber>, Vec<WrongRow>) {
    let (mut valid, mut errors, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for Row { index, line, value } in rows {
        let email = value.as_ref().ok().and_then(|it| it.get("email")).and_then(Value::as_str);
        let email = email.map(str::to_owned);
        let kept = |it: Value| match Unkept::check_json(&it) {
            Ok(()) => Ok(it),
            Err(error) => Err(error.to_string()),
        };
        let subscriber = value
            .and_then(kept)
            .and_then(|it| serde_json::from_value(it).map_err(|error| error.to_string()))
            .and_then(|new: NewSubscriber| {
                Subscriber::new(list, new, "import", actor.now).map_err(|error| said(&error))
            });
        match subscriber {
            Ok(subscriber) if seen.insert(subscriber.email.clone()) => valid.push(subscriber),
            Ok(_) => {}
            Err(message) => errors.push(WrongRow { index, line, email, message }),
        }
    }
    (valid, errors)
}

fn said(error: &Error) -> String {
    let fields: Vec<_> = error.fields().iter().map(ToString::to_string).collect();
    fields.join("; ")
}
