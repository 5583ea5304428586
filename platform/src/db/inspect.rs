//! Whether SQLite's file is sound, before anything relies on it.

use std::path::Path;

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_types::Text,
};

/// What is wrong with a database's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// It is something else.
    NotADatabase,
    /// Its pages do not fit together; SQLite's words.
    Corrupt(String),
    /// Another process does not let go of it.
    Locked,
    /// Something else; SQLite's words.
    Unreadable(String),
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

/// Checks the file at `path`, which exists; nothing in it is changed. Whoever holds the lock has half a second.
///
/// # Errors
///
/// What is wrong with it.
pub fn sqlite(path: &Path) -> Result<(), Ailment> {
    let locked = sound(path)?.batch_execute("BEGIN IMMEDIATE; ROLLBACK");
    locked.map_err(|error| ailment(&error.to_string()))
}

/// Checks the pages alone, beside whoever writes.
///
/// # Errors
///
/// What is wrong with them.
pub fn pages(path: &Path) -> Result<(), Ailment> {
    sound(path).map(drop)
}

fn sound(path: &Path) -> Result<SqliteConnection, Ailment> {
    let unreadable = |error: &dyn std::fmt::Display| Ailment::Unreadable(error.to_string());
    let path = std::path::absolute(path).map_err(|error| unreadable(&error))?;
    let path = path.to_str().ok_or_else(|| unreadable(&"its path is not UTF-8"))?;
    // It must not be made here, and a `?` in its name is no question.
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let connection = SqliteConnection::establish(&format!("file:{path}?mode=rw"));
    let mut connection = connection.map_err(|error| ailment(&error.to_string()))?;
    let patience = connection.batch_execute("PRAGMA busy_timeout = 500");
    patience.map_err(|error| ailment(&error.to_string()))?;
    let said = diesel::sql_query("PRAGMA quick_check(1)").load::<Said>(&mut connection);
    let said = said.map_err(|error| ailment(&error.to_string()))?;
    if let Some(bad) = said.iter().find(|it| it.quick_check != "ok") {
        return Err(Ailment::Corrupt(bad.quick_check.clone()));
    }
    Ok(connection)
}

fn ailment(said: &str) -> Ailment {
    if said.contains("not a database") {
        Ailment::NotADatabase
    } else if said.contains("malformed") || said.contains("corrupt") {
        Ailment::Corrupt(said.to_owned())
    } else if said.contains("locked") || said.contains("busy") {
        Ailment::Locked
    } else {
        Ailment::Unreadable(said.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ailment_is_told_from_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a?b.db");
        std::fs::write(&path, "").unwrap();
        assert_eq!(sqlite(&path), Ok(()), "an empty file is an empty database");
        std::fs::write(&path, "x".repeat(8192)).unwrap();
        assert_eq!(sqlite(&path), Err(Ailment::NotADatabase));
        std::fs::remove_file(&path).unwrap();
        let mut holder = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        holder.batch_execute("CREATE TABLE t (x); BEGIN EXCLUSIVE").unwrap();
        assert_eq!(sqlite(&path), Err(Ailment::Locked));
    }
}
