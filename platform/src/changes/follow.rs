//! Handing the end of the list round, in each process that somebody follows.

use std::{fmt, sync::Arc, time::Duration};

use chrono::Utc;
use powernode_plugin_api::{Db, db::RunError};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, timeout},
};

use super::{
    Change,
    list::{current, prune, since},
};

/// How often the list's end is looked at, for what other nodes wrote.
const PACE: Duration = Duration::from_millis(200);
/// How often old changes are deleted.
const PRUNE: Duration = Duration::from_secs(300);
/// Changes that are read at once.
const MOST: u32 = 500;
/// Changes that a follower may be behind; then it reads the list itself.
const BEHIND: usize = 1_024;

/// The changes, as this process hands them round; shared.
#[derive(Clone)]
pub struct Changes(Arc<Inner>);

struct Inner {
    core: Db,
    heard: broadcast::Sender<Arc<Change>>,
    written: Notify,
}

/// What a follower hears, from when it began to.
pub type Heard = broadcast::Receiver<Arc<Change>>;

impl Changes {
    /// Those of the core's tables.
    pub fn new(core: Db) -> Self {
        let (heard, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Inner { core, heard, written: Notify::new() }))
    }

    /// Follows from now on.
    pub fn heard(&self) -> Heard {
        let heard = self.0.heard.subscribe();
        self.written();
        heard
    }

    /// Something was written here: followers of this process hear of it at once.
    pub fn written(&self) {
        self.0.written.notify_one();
    }

    /// Hands changes round, and deletes old ones, until it is dropped.
    pub async fn follow(&self) {
        let mut last = None;
        let mut pruned = Instant::now();
        loop {
            // Woken at once, or when it is time to look.
            let _ = timeout(PACE, self.0.written.notified()).await;
            if pruned.elapsed() >= PRUNE {
                pruned = Instant::now();
                let old = |conn: &mut _| prune(conn, Utc::now()).map_err(RunError::from);
                if let Err(error) = self.0.core.transaction(old).await {
                    tracing::debug!("Cannot delete old changes: {error}");
                }
            }
            if self.0.heard.receiver_count() == 0 {
                last = None;
                continue;
            }
            let Some(after) = last else {
                // Whoever came reads up to here by itself.
                last = self.0.core.read(|conn| current(conn).map_err(RunError::from)).await.ok();
                continue;
            };
            let next =
                self.0.core.read(move |conn| since(conn, after, MOST).map_err(RunError::from));
            // A database that cannot be asked is asked again soon.
            for change in next.await.unwrap_or_default() {
                last = Some(change.id);
                // Nobody may be left to hear it.
                let _ = self.0.heard.send(Arc::new(change));
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}
