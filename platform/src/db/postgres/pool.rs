//! Open connections: a few for each role, made when they are needed, and a bound for all together.
//!
//! Who comes here has a permit, so that fewer are in use than the bound allows: where the bound is reached,
//! one lies idle, and the one that did so longest makes room. A pool for each role could not do that.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Connection, Unopened};

/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(60);
/// How old a connection may become: its server keeps what was prepared on it.
const LIFE: Duration = Duration::from_secs(1_800);

/// The connections of all roles.
#[derive(Debug)]
pub(super) struct Pool {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were given back.
    idle: Vec<Idle>,
    open: usize,
}

#[derive(Debug)]
struct Idle {
    role: Arc<str>,
    since: Instant,
    connection: Connection,
}

impl Pool {
    /// Keeps at most `most` connections open, beyond those that hold no permit.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// A connection of `role`'s, an idle one or what `open` answers.
    pub(super) fn take(
        self: &Arc<Self>,
        role: &Arc<str>,
        open: impl FnOnce() -> Result<Connection, Unopened>,
    ) -> Result<Lease, Unopened> {
        let (found, ended) = self.find(role);
        // Closing waits for the network: not while others wait for the state.
        drop(ended);
        let connection = match found {
            Some(connection) => connection,
            None => open().inspect_err(|_| self.state().open -= 1)?,
        };
        Ok(Lease { pool: Arc::clone(self), role: Arc::clone(role), connection: Some(connection) })
    }

    /// An idle connection of `role`'s, or room for one that will be opened; and those that end.
    fn find(&self, role: &Arc<str>) -> (Option<Connection>, Vec<Idle>) {
        let mut state = self.state();
        let mut ended: Vec<Idle> = state
            .idle
            .extract_if(.., |it| it.since.elapsed() > IDLE || it.connection.age() > LIFE)
            .collect();
        state.open -= ended.len();
        // The one that was used last, so that the others may end.
        if let Some(at) = state.idle.iter().rposition(|it| it.role == *role) {
            return (Some(state.idle.remove(at).connection), ended);
        }
        if state.open >= self.most && !state.idle.is_empty() {
            ended.push(state.idle.remove(0));
            state.open -= 1;
        }
        state.open += 1;
        (None, ended)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use; it goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    role: Arc<str>,
    // None only while it is dropped.
    connection: Option<Connection>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut state = self.pool.state();
        if connection.is_broken() {
            state.open -= 1;
            return;
        }
        state.idle.push(Idle { role: Arc::clone(&self.role), since: Instant::now(), connection });
    }
}

const TAKEN: &str = "a connection is taken out of its lease while that is dropped, and not before";

#[expect(clippy::expect_used, reason = "nothing but `drop` takes the connection out")]
impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect(TAKEN)
    }
}

#[expect(clippy::expect_used, reason = "nothing but `drop` takes the connection out")]
impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect(TAKEN)
    }
}
