//! What a principal may do on SQLite, action by action.
//!
//! SQLite asks while it prepares a statement, and never again: so prepared
//! statements are kept per principal. What is not allowed here is denied.
//!
//! Foreign keys make SQLite touch tables that no text names: the parent of a
//! child that is inserted, the children of a parent that is deleted. Such an
//! access is told from the author's own by the statement's text, which has to
//! spell the name of any table that it reads or writes itself.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use libsqlite3_sys as ffi;

use crate::db::{Principal, REFERABLE};

/// Virtual tables that a migration may create.
const MODULES: [&str; 2] = ["fts5", "rtree"];
/// Table-valued functions that read no table.
const TABLE_FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];
/// Functions that reach outside the database.
const DENIED_FUNCTIONS: [&str; 3] = ["load_extension", "fts3_tokenizer", "fts5"];

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading and writing rows.
    Rows,
    /// Running a migration: rows, and the shape of its own tables.
    Shape,
}

/// One question of SQLite's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// The action's code.
    pub(super) action: i32,
    /// Mostly the table, index, view or trigger.
    pub(super) first: &'a str,
    /// Mostly the column, or the table of an index or trigger.
    pub(super) second: &'a str,
    /// The attached database, where the action has one.
    pub(super) database: Option<&'a str>,
}

/// Whom a connection works for at the moment; SQLite's callback asks it.
///
/// While `host` is set, whatever is prepared is the platform's own.
#[derive(Debug)]
pub(super) struct Authorizer {
    host: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    principal: Principal,
    purpose: Purpose,
    text: Arc<str>,
    shaping: bool,
    denial: Option<String>,
}

impl Authorizer {
    /// Everything is allowed, until [`Authorizer::confine`].
    pub(super) fn new() -> Self {
        Self {
            host: AtomicBool::new(true),
            state: Mutex::new(State {
                principal: Principal::core(),
                purpose: Purpose::Rows,
                text: "".into(),
                shaping: false,
                denial: None,
            }),
        }
    }

    /// From now on statements are `principal`'s.
    pub(super) fn confine(&self, principal: Principal, purpose: Purpose) {
        let mut state = self.state();
        state.principal = principal;
        state.purpose = purpose;
        self.host.store(false, Ordering::Relaxed);
    }

    /// Switches between the platform and the confined principal; answers what was.
    pub(super) fn set_host(&self, host: bool) -> bool {
        self.host.swap(host, Ordering::Relaxed)
    }

    /// `text` is prepared or run next.
    pub(super) fn begin_statement(&self, text: &Arc<str>) {
        let mut state = self.state();
        state.text = Arc::clone(text);
        state.shaping = false;
        state.denial = None;
    }

    /// What was denied since the statement began.
    pub(super) fn take_denial(&self) -> Option<String> {
        self.state().denial.take()
    }

    /// Answers SQLite: whether the action may happen.
    pub(super) fn allows(&self, question: Question<'_>) -> bool {
        if self.host.load(Ordering::Relaxed) {
            return true;
        }
        let mut state = self.state();
        let allowed = state.allows(&question);
        if !allowed && state.denial.is_none() {
            state.denial = Some(sentence(&state.principal, &question));
        }
        allowed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn allows(&mut self, question: &Question<'_>) -> bool {
        let Question { action, first, second, database } = *question;
        if self.purpose == Purpose::Shape
            && let Some(allowed) = self.allows_shape(question)
        {
            return allowed;
        }
        if database.is_some_and(|name| name != "main") {
            return false;
        }
        match action {
            ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
            ffi::SQLITE_FUNCTION => !named_in(second, &DENIED_FUNCTIONS),
            ffi::SQLITE_READ => {
                self.principal.owns(first)
                    || named_in(first, &TABLE_FUNCTIONS)
                    || self.follows_key(action, first, second)
            }
            ffi::SQLITE_INSERT => self.principal.owns(first),
            ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
                self.principal.owns(first) || self.follows_key(action, first, second)
            }
            _ => false,
        }
    }

    /// A foreign key's own access: to a table that the text does not name.
    fn follows_key(&self, action: i32, table: &str, column: &str) -> bool {
        let may_follow = if self.principal.is_core() {
            !table.to_ascii_lowercase().starts_with("sqlite_") && !is_table_function(table)
        } else {
            action == ffi::SQLITE_READ
                && named_in(table, &REFERABLE)
                && column.eq_ignore_ascii_case("id")
        };
        may_follow && !mentions(&self.text, table)
    }

    /// What migrations may do beyond rows; `None` leaves it to the rules for rows.
    fn allows_shape(&mut self, question: &Question<'_>) -> Option<bool> {
        let Question { action, first, second, database } = *question;
        let own = |name: &str| self.principal.owns(name);
        let shaping = match action {
            ffi::SQLITE_CREATE_TABLE
            | ffi::SQLITE_DROP_TABLE
            | ffi::SQLITE_CREATE_VIEW
            | ffi::SQLITE_DROP_VIEW => own(first),
            ffi::SQLITE_CREATE_INDEX | ffi::SQLITE_DROP_INDEX => {
                own(second) && (own(first) || first.starts_with("sqlite_autoindex_"))
            }
            ffi::SQLITE_CREATE_TRIGGER | ffi::SQLITE_DROP_TRIGGER => own(first) && own(second),
            ffi::SQLITE_CREATE_VTABLE | ffi::SQLITE_DROP_VTABLE => {
                own(first) && named_in(second, &MODULES)
            }
            ffi::SQLITE_ALTER_TABLE => first == "main" && own(second),
            ffi::SQLITE_REINDEX => own(first) || first.starts_with("sqlite_autoindex_"),
            // SQLite books each change of shape in these, and refuses an author's own writes to them.
            ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE if is_catalog(first) => {
                return Some(database == Some("main") || database.is_none() || self.shaping);
            }
            ffi::SQLITE_READ if is_catalog(first) => return Some(self.shaping),
            // Numbers of AUTOINCREMENT follow a table that is renamed or dropped.
            ffi::SQLITE_READ | ffi::SQLITE_DELETE if first == "sqlite_sequence" => {
                return Some(self.shaping);
            }
            // What `PRAGMA optimize` counted goes with the table or the index.
            ffi::SQLITE_READ | ffi::SQLITE_DELETE if is_statistics(first) => {
                return Some(self.shaping);
            }
            ffi::SQLITE_UPDATE if first == "sqlite_sequence" => {
                return Some(self.shaping && second == "name");
            }
            _ => return None,
        };
        let main = action == ffi::SQLITE_ALTER_TABLE || database.is_none_or(|name| name == "main");
        self.shaping |= shaping && main;
        Some(shaping && main)
    }
}

/// Whether `text` spells `name`.
pub(crate) fn mentions(text: &str, name: &str) -> bool {
    text.to_ascii_lowercase().contains(&name.to_ascii_lowercase())
}

fn named_in(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_catalog(table: &str) -> bool {
    named_in(table, &["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"])
}

fn is_statistics(table: &str) -> bool {
    named_in(table, &["sqlite_stat1", "sqlite_stat3", "sqlite_stat4"])
}

fn is_table_function(table: &str) -> bool {
    table.to_ascii_lowercase().starts_with("pragma_")
        || named_in(table, &["dbstat", "sqlite_stmt", "bytecode", "tables_used"])
}

/// What was denied, in words.
fn sentence(principal: &Principal, question: &Question<'_>) -> String {
    let Question { action, first, second, .. } = *question;
    let who = principal.described();
    let own = format!("its own tables begin with `{}`", principal.prefix());
    match action {
        ffi::SQLITE_READ if second.is_empty() => {
            format!("{who} may not read `{first}`: {own}, and the name of a WITH must begin so too")
        }
        ffi::SQLITE_READ => format!("{who} may not read `{first}.{second}`: {own}"),
        ffi::SQLITE_INSERT => format!("{who} may not insert into `{first}`: {own}"),
        ffi::SQLITE_UPDATE => format!("{who} may not update `{first}.{second}`: {own}"),
        ffi::SQLITE_DELETE => format!("{who} may not delete from `{first}`: {own}"),
        ffi::SQLITE_FUNCTION => format!("{who} may not call `{second}`"),
        ffi::SQLITE_PRAGMA => format!("{who} may not use PRAGMA {first}"),
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH => {
            format!("{who} may not attach or detach a database")
        }
        ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => {
            format!("{who} may not write {first} as text: use the connection's `transaction`")
        }
        _ => {
            // ALTER says the database first, and then the table.
            let target = if action == ffi::SQLITE_ALTER_TABLE { second } else { first };
            format!(
                "{who} may not create, alter or drop `{target}` here: migrations do that, \
                 for names that begin with `{}`",
                principal.prefix()
            )
        }
    }
}
