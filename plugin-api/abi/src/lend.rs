//! A lent connection without a lifetime in its type.
//!
//! UNSAFE: hand-written. A job is handed a connection for the time of one call,
//! while diesel's connections are types without a lifetime. The lifetime is
//! erased here, and the connection is taken back before the call returns, so
//! that whoever keeps a [`LentConn`] keeps an error and not a dangling pointer.

#![expect(unsafe_code, reason = "the lifetime of a lent connection is erased")]

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use abi_stable::std_types::RResult;

use crate::data::{ConnMut, DbError, Query, RowBatch, kind};

/// Lends `conn` to `body`; afterwards every method of the [`LentConn`] answers an error.
pub fn lend<R>(conn: ConnMut<'_>, body: impl FnOnce(LentConn) -> R) -> R {
    // SAFETY: only the lifetime changes. The connection is reached under the lock of
    // `slot` alone, never leaves it, and `Recall` empties the slot before this
    // function returns, also where `body` panics.
    let conn = unsafe { mem::transmute::<ConnMut<'_>, ConnMut<'static>>(conn) };
    let slot = Arc::new(Mutex::new(Some(conn)));
    let recall = Recall(slot);
    body(LentConn { slot: Arc::clone(&recall.0) })
}

type Slot = Mutex<Option<ConnMut<'static>>>;

struct Recall(Arc<Slot>);

impl Drop for Recall {
    fn drop(&mut self) {
        let conn = lock(&self.0).take();
        drop(conn);
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<ConnMut<'static>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lent connection; good for the time of [`lend`].
pub struct LentConn {
    slot: Arc<Slot>,
}

impl LentConn {
    fn with<T>(
        &self,
        call: impl FnOnce(&mut ConnMut<'static>) -> RResult<T, DbError>,
    ) -> Result<T, Box<DbError>> {
        match &mut *lock(&self.slot) {
            Some(conn) => call(conn).into_result().map_err(Box::new),
            None => Err(Box::new(DbError::new(
                kind::CLOSED,
                "the connection was lent to a job that has ended; run another job",
            ))),
        }
    }

    /// [`SQLITE`](crate::data::SQLITE) or [`POSTGRES`](crate::data::POSTGRES).
    ///
    /// # Errors
    ///
    /// [`kind::CLOSED`] after the job ended.
    pub fn dialect(&self) -> Result<u32, Box<DbError>> {
        self.with(|conn| RResult::ROk(conn.dialect()))
    }

    /// Runs a statement; answers the number of rows it touched.
    ///
    /// # Errors
    ///
    /// What the platform answers, or [`kind::CLOSED`] after the job ended.
    pub fn execute(&mut self, query: Query<'_>) -> Result<u64, Box<DbError>> {
        self.with(|conn| conn.execute(query))
    }

    /// Runs a statement, and answers its rows.
    ///
    /// # Errors
    ///
    /// What the platform answers, or [`kind::CLOSED`] after the job ended.
    pub fn query(&mut self, query: Query<'_>) -> Result<RowBatch, Box<DbError>> {
        let mut rows = RowBatch::default();
        self.with(|conn| conn.query(query, &mut rows))?;
        Ok(rows)
    }

    /// Begins, commits or rolls back, at `depth` before the operation.
    ///
    /// # Errors
    ///
    /// What the platform answers, or [`kind::CLOSED`] after the job ended.
    pub fn tx(&mut self, op: u32, depth: u32) -> Result<(), Box<DbError>> {
        self.with(|conn| conn.tx(op, depth))
    }

    /// Whether the caller gave up, or the job ended.
    pub fn cancelled(&self) -> bool {
        self.with(|conn| RResult::ROk(conn.cancelled())).unwrap_or(true)
    }
}

impl fmt::Debug for LentConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LentConn")
    }
}

#[cfg(test)]
mod tests {
    use abi_stable::{RMut, sabi_trait::TD_Opaque};

    use super::*;
    use crate::data::{RawConn, RawConn_TO, SQLITE};

    struct Counting(u64);

    impl RawConn for Counting {
        fn dialect(&self) -> u32 {
            SQLITE
        }
        fn execute(&mut self, _: Query<'_>) -> RResult<u64, DbError> {
            self.0 += 1;
            RResult::ROk(self.0)
        }
        fn query(&mut self, _: Query<'_>, out: &mut RowBatch) -> RResult<(), DbError> {
            out.cols = 1;
            RResult::ROk(())
        }
        fn tx(&mut self, _: u32, _: u32) -> RResult<(), DbError> {
            RResult::ROk(())
        }
        fn cancelled(&self) -> bool {
            false
        }
    }

    fn query() -> Query<'static> {
        Query { sql: "SELECT 1".into(), params: (&[][..]).into(), flags: 0 }
    }

    fn lent(conn: &mut Counting) -> ConnMut<'_> {
        RawConn_TO::from_ptr(RMut::new(conn), TD_Opaque)
    }

    #[test]
    fn calls_reach_the_connection() {
        let mut conn = Counting(0);
        lend(lent(&mut conn), |mut lent| {
            assert_eq!(lent.execute(query()).unwrap(), 1);
            assert_eq!(lent.query(query()).unwrap().cols, 1);
            assert!(!lent.cancelled());
        });
        assert_eq!(conn.0, 1);
    }

    #[test]
    fn a_kept_connection_is_closed() {
        let mut conn = Counting(0);
        let mut kept = lend(lent(&mut conn), |lent| lent);
        assert_eq!(kept.execute(query()).unwrap_err().kind, kind::CLOSED);
        assert!(kept.cancelled());
        assert_eq!(conn.0, 0);
    }

    #[test]
    fn a_panic_closes_it_too() {
        let mut conn = Counting(0);
        let mut kept = None;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lend(lent(&mut conn), |lent| {
                kept = Some(lent);
                panic!("on purpose")
            })
        }));
        assert!(outcome.is_err());
        assert_eq!(kept.unwrap().tx(0, 0).unwrap_err().kind, kind::CLOSED);
    }
}
