//! The raw handle of diesel's SQLite connection.
//!
//! UNSAFE: hand-written. diesel opens and closes the connection; SQLite tells us
//! the handle while it opens (an automatic extension). Statements never leave
//! [`Raw`], which finalizes them before diesel closes; see `raw/statement.rs`.

#![expect(unsafe_code, reason = "SQLite's C interface")]

use std::{
    cell::Cell as StdCell,
    collections::HashMap,
    ffi::{CStr, c_char, c_int, c_void},
    ptr::{self, NonNull},
    sync::{Arc, Mutex, Once, PoisonError},
};

use diesel::{Connection as _, SqliteConnection};
use libsqlite3_sys as ffi;
use powernode_abi::{Param, data::tag};

use super::authorizer::{Authorizer, Question};
use crate::db::rows::{Rows, TooLarge};

mod statement;

use self::statement::Statement;

/// Prepared statements that one principal keeps on one connection.
const KEPT_STATEMENTS: usize = 256;

thread_local! {
    static LAST_OPENED: StdCell<*mut ffi::sqlite3> = const { StdCell::new(ptr::null_mut()) };
}

/// What SQLite answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawError {
    /// The extended code; 0 where the platform refused.
    pub(super) code: i32,
    /// The operating system's error number, or 0.
    pub(super) errno: i32,
    /// The words.
    pub(super) message: String,
}

/// Why a statement did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// SQLite refused.
    Sqlite(RawError),
    /// The authorizer denied it.
    Denied(String),
    /// The text or its parameters cannot be run.
    Statement(String),
    /// The answer is larger than allowed.
    TooLarge(TooLarge),
}

/// An open connection.
pub(super) struct Raw {
    // Finalized first, closed second; the authorizer outlives both.
    kept: HashMap<Arc<str>, HashMap<Arc<str>, Statement>>,
    clock: u64,
    interrupter: Interrupter,
    diesel: SqliteConnection,
    open: Open,
}

// SAFETY: SQLite is built with SQLITE_THREADSAFE=1, and `&mut self` guards each use; `diesel` is Send itself.
unsafe impl Send for Raw {}

impl Raw {
    /// Opens the database at `path`, and creates it.
    pub(super) fn open(path: &str) -> diesel::ConnectionResult<Self> {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // SAFETY: `on_open` has the signature that SQLite calls, and lives as long as the program.
            unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
        });
        LAST_OPENED.set(ptr::null_mut());
        let diesel = SqliteConnection::establish(path)?;
        let Some(db) = NonNull::new(LAST_OPENED.replace(ptr::null_mut())) else {
            return Err(diesel::ConnectionError::BadConnection(
                "SQLite did not announce the connection".to_owned(),
            ));
        };
        let authorizer = Box::new(Authorizer::new());
        let context = ptr::from_ref::<Authorizer>(&authorizer).cast_mut().cast();
        // SAFETY: `db` is open; the boxed authorizer outlives it, and is only read through `&`.
        unsafe { ffi::sqlite3_set_authorizer(db.as_ptr(), Some(on_question), context) };
        for option in [ffi::SQLITE_DBCONFIG_ENABLE_QPSG, ffi::SQLITE_DBCONFIG_DEFENSIVE] {
            // SAFETY: `db` is open; these options take an int and a pointer to one, or null.
            unsafe {
                ffi::sqlite3_db_config(db.as_ptr(), option, 1 as c_int, ptr::null_mut::<c_int>())
            };
        }
        // SAFETY: `db` is open.
        unsafe { ffi::sqlite3_limit(db.as_ptr(), ffi::SQLITE_LIMIT_ATTACHED, 0) };
        // SAFETY: `db` is open.
        unsafe { ffi::sqlite3_extended_result_codes(db.as_ptr(), 1) };
        let interrupter = Interrupter(Arc::new(Mutex::new(Some(Handle(db)))));
        let open = Open { db, authorizer };
        Ok(Self { kept: HashMap::new(), clock: 0, interrupter, diesel, open })
    }

    /// diesel's view of the same connection.
    pub(super) fn diesel(&mut self) -> &mut SqliteConnection {
        &mut self.diesel
    }

    /// Who may do what on it.
    pub(super) fn authorizer(&self) -> &Authorizer {
        &self.open.authorizer
    }

    /// What stops a running statement from another thread.
    pub(super) fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Whether no transaction is open.
    pub(super) fn is_autocommit(&self) -> bool {
        // SAFETY: the connection is open as long as `self`.
        unsafe { ffi::sqlite3_get_autocommit(self.open.db.as_ptr()) != 0 }
    }

    /// Runs one statement; answers the rows it touched, and fills `out` with those it answers.
    ///
    /// Statements are kept for `owner`, whom the authorizer is set to.
    pub(super) fn run(
        &mut self,
        owner: &Arc<str>,
        sql: &str,
        params: &[Param<'_>],
        keep: bool,
        out: Option<&mut Rows>,
    ) -> Result<u64, Failure> {
        self.clock += 1;
        if let Some(kept) = self.kept.get_mut(owner)
            && let Some(statement) = kept.get_mut(sql)
        {
            self.open.authorizer.begin_statement(statement.text());
            statement.used = self.clock;
            return statement.run(&self.open, params, out);
        }
        let text: Arc<str> = sql.into();
        let mut statement = self.prepare_single(&text, keep)?;
        let answer = statement.run(&self.open, params, out);
        if keep {
            statement.used = self.clock;
            let kept = self.kept.entry(Arc::clone(owner)).or_default();
            if kept.len() >= KEPT_STATEMENTS {
                let oldest = kept.iter().min_by_key(|(_, statement)| statement.used);
                if let Some(oldest) = oldest.map(|(text, _)| Arc::clone(text)) {
                    kept.remove(&oldest);
                }
            }
            kept.insert(text, statement);
        }
        answer
    }

    /// Writes a whole copy of the database, as this connection sees it, to the file `to`, which is not there yet.
    pub(super) fn copy_to(&mut self, to: &str) -> Result<(), Failure> {
        // The copy is attached while it is written; nothing else ever is.
        self.limit_attached(1);
        let path = Param { tag: tag::TEXT, null: 0, num: 0, bytes: to.as_bytes().into() };
        let copied = self.run(&"".into(), "VACUUM INTO ?", &[path], false, None);
        self.limit_attached(0);
        copied.map(drop)
    }

    fn limit_attached(&self, most: c_int) {
        // SAFETY: the connection is open as long as `self`.
        unsafe { ffi::sqlite3_limit(self.open.db.as_ptr(), ffi::SQLITE_LIMIT_ATTACHED, most) };
    }

    /// Runs the statements of a script, one after the other.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), Failure> {
        let mut rest = sql;
        while !rest.is_empty() {
            // The first look finds the statement's end, the second judges it by its own text alone.
            let was = self.open.authorizer.set_host(true);
            let looked = self.prepare(&rest.into(), false);
            self.open.authorizer.set_host(was);
            let (_, length) = looked?;
            let (text, others) = rest.split_at_checked(length).unwrap_or((rest, ""));
            if let (Some(statement), _) = self.prepare(&text.into(), false)? {
                statement.run(&self.open, &[], None)?;
            }
            rest = others;
        }
        Ok(())
    }

    fn prepare_single(&self, text: &Arc<str>, keep: bool) -> Result<Statement, Failure> {
        let (statement, length) = self.prepare(text, keep)?;
        let statement =
            statement.ok_or_else(|| Failure::Statement("the statement is empty".to_owned()))?;
        let mut rest = text.get(length..).unwrap_or_default();
        while !rest.trim().is_empty() {
            let (next, length) = self.prepare(&rest.into(), false)?;
            if next.is_some() {
                let message = "one statement at a time: there is text after the first `;`";
                return Err(Failure::Denied(message.to_owned()));
            }
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
        Ok(statement)
    }

    /// Prepares the first statement of `text`; answers how much of it that was.
    fn prepare(&self, text: &Arc<str>, keep: bool) -> Result<(Option<Statement>, usize), Failure> {
        if text.contains('\0') {
            return Err(Failure::Statement("the statement contains a NUL".to_owned()));
        }
        self.open.authorizer.begin_statement(text);
        let length = c_int::try_from(text.len())
            .map_err(|_| Failure::Statement("the statement is longer than 2 GiB".to_owned()))?;
        let flags = if keep { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let begin = text.as_ptr().cast::<c_char>();
        let mut statement = ptr::null_mut();
        let mut end = ptr::null();
        // SAFETY: the connection is open, `length` bytes of text are alive, and both results are ours.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                self.open.db.as_ptr(),
                begin,
                length,
                flags,
                &mut statement,
                &mut end,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(self.open.failure());
        }
        let used = (end as usize).saturating_sub(begin as usize);
        match NonNull::new(statement) {
            Some(statement) => Ok((Some(Statement::new(statement, Arc::clone(text))?), used)),
            None => Ok((None, used)),
        }
    }
}

/// The open connection, as its statements need it.
struct Open {
    db: NonNull<ffi::sqlite3>,
    authorizer: Box<Authorizer>,
}

impl Open {
    fn changes(&self) -> u64 {
        // SAFETY: the connection is open as long as its `Raw`.
        let changes = unsafe { ffi::sqlite3_changes64(self.db.as_ptr()) };
        u64::try_from(changes).unwrap_or(0)
    }

    fn failure(&self) -> Failure {
        if let Some(denial) = self.authorizer.take_denial() {
            return Failure::Denied(denial);
        }
        // SAFETY: the connection is open as long as its `Raw`.
        let code = unsafe { ffi::sqlite3_extended_errcode(self.db.as_ptr()) };
        // SAFETY: the connection is open as long as its `Raw`.
        let errno = unsafe { ffi::sqlite3_system_errno(self.db.as_ptr()) };
        // SAFETY: the connection is open as long as its `Raw`.
        let message = unsafe { ffi::sqlite3_errmsg(self.db.as_ptr()) };
        // SAFETY: SQLite's message ends with a NUL, and lives until the next call.
        let message = unsafe { text_of(message) }.unwrap_or_default().to_owned();
        Failure::Sqlite(RawError { code, errno, message })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.interrupter.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Stops what a connection runs, from any thread; does nothing once it is closed.
#[derive(Clone)]
pub(super) struct Interrupter(Arc<Mutex<Option<Handle>>>);

struct Handle(NonNull<ffi::sqlite3>);

// SAFETY: the handle is only used for `sqlite3_interrupt`, which any thread may call while the connection is open.
unsafe impl Send for Handle {}

impl Interrupter {
    /// The running statement ends with an error.
    pub(super) fn interrupt(&self) {
        if let Some(handle) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: `Raw` takes the handle away before it closes the connection, under the same lock.
            unsafe { ffi::sqlite3_interrupt(handle.0.as_ptr()) };
        }
    }
}

unsafe extern "C" fn on_open(
    db: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    LAST_OPENED.set(db);
    ffi::SQLITE_OK
}

unsafe extern "C" fn on_question(
    context: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    _: *const c_char,
) -> c_int {
    // SAFETY: `context` is the boxed authorizer that `Raw::open` registered, which outlives the connection.
    let authorizer = unsafe { &*context.cast::<Authorizer>() };
    // SAFETY: SQLite passes null, or text that ends with a NUL and outlives the call.
    let first = unsafe { text_of(first) }.unwrap_or_default();
    // SAFETY: as above.
    let second = unsafe { text_of(second) }.unwrap_or_default();
    // SAFETY: as above.
    let database = unsafe { text_of(database) };
    match authorizer.allows(Question { action, first, second, database }) {
        true => ffi::SQLITE_OK,
        false => ffi::SQLITE_DENY,
    }
}

/// # Safety
///
/// `text` is null, or ends with a NUL and lives for `'a`.
unsafe fn text_of<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: passed on.
    let text = unsafe { CStr::from_ptr(text) };
    // A name that is no UTF-8 belongs to nobody.
    Some(text.to_str().unwrap_or("\u{fffd}"))
}
