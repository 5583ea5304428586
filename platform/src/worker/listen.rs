//! Nodes tell each other that there is something to do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use powernode_abi::DbError;

use super::Wake;
use crate::db::{Channel, Engine};

/// How often it is looked whether somebody told something.
const PACE: Duration = Duration::from_millis(20);
/// Shortest time between two messages: each says as much as many, and the server has others to do.
const LEAST: Duration = Duration::from_millis(50);
/// How long a server is left alone that does not answer: meanwhile nodes look by themselves.
const PAUSE: Duration = Duration::from_secs(1);

/// As long as this is held, other nodes are told when the bell rings here, and it rings when they tell something.
#[derive(Debug)]
pub struct Listening {
    ended: Arc<AtomicBool>,
}

impl Listening {
    /// Begins; on SQLite there is nobody to tell.
    ///
    /// # Errors
    ///
    /// The system's, where it starts no thread.
    pub fn start(engine: &Engine, wake: &Wake) -> io::Result<Self> {
        let ended = Arc::<AtomicBool>::default();
        if engine.dialect() == powernode_abi::data::POSTGRES {
            let (engine, wake, until) = (engine.clone(), wake.clone(), ended.clone());
            let listen = move || listen(&engine, &wake, &until);
            thread::Builder::new().name("powernode-hear".into()).spawn(listen)?;
        }
        Ok(Self { ended })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

fn listen(engine: &Engine, wake: &Wake, ended: &AtomicBool) {
    let mut said = false;
    while !ended.load(Ordering::Acquire) {
        let answer = match engine.channel() {
            Ok(Some(channel)) => {
                said = false;
                // What was told before this listened.
                wake.ring_here();
                relay(channel, wake, ended)
            }
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            if !said {
                tracing::warn!(
                    "Other nodes hear of jobs within a second, and not at once: {error}"
                );
            }
            said = true;
            thread::sleep(PAUSE);
        }
    }
}

fn relay(mut channel: Channel, wake: &Wake, ended: &AtomicBool) -> Result<(), DbError> {
    let mut told = Instant::now();
    while !ended.load(Ordering::Acquire) {
        if channel.heard()? {
            wake.ring_here();
        }
        if told.elapsed() >= LEAST && wake.take_elsewhere() {
            told = Instant::now();
            channel.tell()?;
        }
        thread::sleep(PACE);
    }
    Ok(())
}
