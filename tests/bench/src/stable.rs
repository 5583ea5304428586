//! UNSAFE: hand-written. Makes diesel's own SQLite connections plan as the platform's do.

#![expect(unsafe_code, reason = "diesel has no way to set this option of a connection")]

use std::{
    ffi::{c_char, c_int},
    ptr,
};

use libsqlite3_sys as ffi;

/// From now on each SQLite connection of this process keeps a statement's plan, whatever is bound to it:
/// without, diesel's cached statements are prepared again for each value.
pub(crate) fn plans() {
    // SAFETY: SQLite calls `keep` with a connection that it just opened.
    unsafe { ffi::sqlite3_auto_extension(Some(keep)) };
}

unsafe extern "C" fn keep(
    db: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: `db` is SQLite's own; the option takes an int and the address of another, which may be null.
    unsafe {
        ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_ENABLE_QPSG, 1, ptr::null_mut::<c_int>())
    }
}
