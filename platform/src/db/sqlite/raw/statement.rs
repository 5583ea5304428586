//! A prepared statement: what is bound to it, and the rows it answers.
//!
//! UNSAFE: hand-written. A statement is finalized before its connection closes, since
//! [`Raw`](super::Raw) drops it first.

use std::{ffi::c_int, ptr::NonNull, sync::Arc};

use libsqlite3_sys as ffi;
use powernode_abi::{Param, data::tag};

use super::{
    super::storage::{self, Stored},
    Failure, Open, text_of,
};
use crate::db::rows::{Rows, TooLarge};

/// A prepared statement of one connection.
pub(super) struct Statement {
    text: Arc<str>,
    pointer: NonNull<ffi::sqlite3_stmt>,
    /// Which parameter stands in each slot, from 1.
    slots: Vec<usize>,
    reads_only: bool,
    /// When it ran last, by the connection's own clock.
    pub(super) used: u64,
}

impl Statement {
    /// Takes over what was prepared from `text`.
    pub(super) fn new(
        pointer: NonNull<ffi::sqlite3_stmt>,
        text: Arc<str>,
    ) -> Result<Self, Failure> {
        let mut statement = Self { text, pointer, slots: Vec::new(), reads_only: false, used: 0 };
        // SAFETY: the statement is alive.
        statement.reads_only = unsafe { ffi::sqlite3_stmt_readonly(pointer.as_ptr()) != 0 };
        // SAFETY: the statement is alive.
        let count = unsafe { ffi::sqlite3_bind_parameter_count(pointer.as_ptr()) };
        for slot in 1..=count {
            // SAFETY: the statement is alive, and has this slot.
            let name = unsafe { ffi::sqlite3_bind_parameter_name(pointer.as_ptr(), slot) };
            // SAFETY: a name is null, or ends with a NUL and lives as long as the statement.
            let number = match unsafe { text_of(name) } {
                None => usize::try_from(slot).ok(),
                Some(name) => name.get(1..).and_then(|digits| digits.parse().ok()),
            };
            match number {
                Some(number @ 1..) => statement.slots.push(number),
                _ => {
                    let message = "parameters are written `?` or `$1`, numbered from 1";
                    return Err(Failure::Statement(message.to_owned()));
                }
            }
        }
        Ok(statement)
    }

    /// Its text.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Runs it; answers the rows it touched, and fills `out` with those it answers.
    pub(super) fn run(
        &self,
        open: &Open,
        params: &[Param<'_>],
        mut out: Option<&mut Rows>,
    ) -> Result<u64, Failure> {
        let running = Running(self.pointer);
        self.bind_all(open, params)?;
        if let Some(rows) = out.as_deref_mut() {
            rows.begin(self.column_names());
        }
        loop {
            // SAFETY: the statement is alive, and belongs to this connection.
            let code = unsafe { ffi::sqlite3_step(self.pointer.as_ptr()) };
            match code {
                ffi::SQLITE_ROW => {
                    if let Some(rows) = out.as_deref_mut() {
                        self.read_row(rows).map_err(Failure::TooLarge)?;
                    }
                }
                ffi::SQLITE_DONE => break,
                _ => return Err(open.failure()),
            }
        }
        let touched = if self.reads_only { 0 } else { open.changes() };
        drop(running);
        Ok(touched)
    }

    fn bind_all(&self, open: &Open, params: &[Param<'_>]) -> Result<(), Failure> {
        let wanted = self.slots.iter().copied().max().unwrap_or(0);
        if wanted != params.len() {
            return Err(Failure::Statement(format!(
                "the statement has {wanted} parameters, {} were given",
                params.len()
            )));
        }
        for (slot, number) in (1..).zip(&self.slots) {
            let Some(param) = number.checked_sub(1).and_then(|index| params.get(index)) else {
                continue;
            };
            let stored = storage::stored(param)
                .map_err(|reason| Failure::Statement(format!("parameter {number}: {reason}")))?;
            if self.bind(slot, &stored) != ffi::SQLITE_OK {
                return Err(open.failure());
            }
        }
        Ok(())
    }

    fn bind(&self, slot: c_int, stored: &Stored<'_>) -> c_int {
        let pointer = self.pointer.as_ptr();
        match stored {
            // SAFETY: the statement is alive; SQLite checks the slot.
            Stored::Null => unsafe { ffi::sqlite3_bind_null(pointer, slot) },
            // SAFETY: the statement is alive; SQLite checks the slot.
            Stored::Integer(value) => unsafe { ffi::sqlite3_bind_int64(pointer, slot, *value) },
            // SAFETY: the statement is alive; SQLite checks the slot.
            Stored::Real(value) => unsafe { ffi::sqlite3_bind_double(pointer, slot, *value) },
            Stored::Text(text) => self.bind_text(slot, text, ffi::SQLITE_STATIC()),
            Stored::Owned(text) => self.bind_text(slot, text, ffi::SQLITE_TRANSIENT()),
            Stored::Blob(bytes) => {
                let (begin, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                // SAFETY: the bytes outlive the run, after which bindings are cleared.
                unsafe {
                    ffi::sqlite3_bind_blob64(pointer, slot, begin, length, ffi::SQLITE_STATIC())
                }
            }
        }
    }

    /// `lifetime` is static for text that outlives the run, transient for text that is copied.
    fn bind_text(&self, slot: c_int, text: &str, lifetime: ffi::sqlite3_destructor_type) -> c_int {
        let (begin, length) = (text.as_ptr().cast(), text.len() as u64);
        let utf8 = ffi::SQLITE_UTF8 as u8;
        // SAFETY: the statement is alive, `length` bytes are, and `lifetime` says for how long.
        unsafe {
            ffi::sqlite3_bind_text64(self.pointer.as_ptr(), slot, begin, length, lifetime, utf8)
        }
    }

    fn columns(&self) -> c_int {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_count(self.pointer.as_ptr()) }
    }

    fn column_names(&self) -> impl ExactSizeIterator<Item = String> + '_ {
        (0..self.columns()).map(|column| {
            // SAFETY: the statement is alive, and has this column.
            let name = unsafe { ffi::sqlite3_column_name(self.pointer.as_ptr(), column) };
            // SAFETY: a name is null, or ends with a NUL and lives until the next call for it.
            unsafe { text_of(name) }.unwrap_or_default().to_owned()
        })
    }

    /// Appends the row on which the statement stands.
    fn read_row(&self, rows: &mut Rows) -> Result<(), TooLarge> {
        for column in 0..self.columns() {
            // One look for each column: its value is read without SQLite's lock.
            // SAFETY: the statement stands on a row, and has this column.
            let value = unsafe { ffi::sqlite3_column_value(self.pointer.as_ptr(), column) };
            // SAFETY: the value lives until the statement moves on, and this thread alone has the connection.
            match unsafe { ffi::sqlite3_value_type(value) } {
                ffi::SQLITE_INTEGER => {
                    // SAFETY: as above.
                    let number = unsafe { ffi::sqlite3_value_int64(value) };
                    rows.push_number(tag::BIGINT, number as u64);
                }
                ffi::SQLITE_FLOAT => {
                    // SAFETY: as above.
                    let number = unsafe { ffi::sqlite3_value_double(value) };
                    rows.push_number(tag::DOUBLE, number.to_bits());
                }
                kind @ (ffi::SQLITE_TEXT | ffi::SQLITE_BLOB) => {
                    let tag = if kind == ffi::SQLITE_TEXT { tag::TEXT } else { tag::BINARY };
                    // SAFETY: as above; the bytes are copied before the statement moves on.
                    rows.push_bytes(tag, unsafe { bytes_of(value) })?;
                }
                _ => rows.push_null(),
            }
        }
        rows.end_row()
    }
}

/// # Safety
///
/// `value` is text or a blob, of a row that outlives `'a`.
unsafe fn bytes_of<'a>(value: *mut ffi::sqlite3_value) -> &'a [u8] {
    // SAFETY: passed on; text is UTF-8 there, so that nothing is converted.
    let begin = unsafe { ffi::sqlite3_value_blob(value) };
    // SAFETY: as above; asked after the pointer, as SQLite wants it.
    let length = unsafe { ffi::sqlite3_value_bytes(value) };
    match (begin.is_null(), usize::try_from(length)) {
        // SAFETY: SQLite keeps so many bytes for the value.
        (false, Ok(length)) => unsafe { std::slice::from_raw_parts(begin.cast(), length) },
        _ => &[],
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the statement is alive, and nobody else holds it.
        unsafe { ffi::sqlite3_finalize(self.pointer.as_ptr()) };
    }
}

/// Resets a statement when its run ended, however it did.
struct Running(NonNull<ffi::sqlite3_stmt>);

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the statement outlives its run.
        unsafe { ffi::sqlite3_reset(self.0.as_ptr()) };
        // SAFETY: as above; what was bound is borrowed, and ends with the run.
        unsafe { ffi::sqlite3_clear_bindings(self.0.as_ptr()) };
    }
}
