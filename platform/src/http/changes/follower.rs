//! One follower, and what it gets.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use powernode_plugin_api::db::RunError;
use serde_json::json;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, interval},
};
use uuid::Uuid;

use crate::{
    changes::{self, Change, Heard},
    gate::{Actor, Extension},
    http::state::Platform,
};

/// How often it is looked whether the platform is about to end.
const PACE: Duration = Duration::from_millis(250);
/// How often the follower's token is looked at.
const TOKEN: Duration = Duration::from_secs(5);
/// How often something is said where nothing changes, so that both sides know that the other is there.
const ALIVE: Duration = Duration::from_secs(15);
/// How long a follower waits until it returns, in milliseconds.
const RETURN: u32 = 1_000;
/// Changes that are read at once.
const MOST: u32 = 200;

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Which extensions are on.
    Gates,
    /// Part of the list, for whoever holds the permission.
    List(String),
    /// A channel of an extension, while its gates are open.
    Channel(String, Extension),
}

/// One follower.
pub(super) struct Follower {
    pub(super) platform: Arc<Platform>,
    /// Who it is to the gates.
    pub(super) actor: Actor,
    /// Whose messages it sees.
    pub(super) account: Uuid,
    /// Its `Authorization`; none over the operator's socket.
    pub(super) header: Option<String>,
    /// What it follows still.
    pub(super) topics: Vec<Topic>,
    /// Where its messages go.
    pub(super) sender: mpsc::Sender<Result<Bytes, Infallible>>,
    /// The change that it saw last.
    pub(super) last: i64,
}

/// The follower is gone, or is to go.
struct Gone;

impl Follower {
    /// Sends what it missed, and then what comes, until either side ends.
    pub(super) async fn follow(mut self, heard: Heard, lost: bool, stays: bool) {
        // How it ended is of no interest to anybody.
        let _ = self.run(heard, lost, stays).await;
    }

    async fn run(&mut self, mut heard: Heard, lost: bool, stays: bool) -> Result<(), Gone> {
        let mut gates = self.platform.gate.changes();
        self.send(format!("retry: {RETURN}\n\n")).await?;
        if lost {
            self.say("lost", &json!({ "since": self.last }).to_string()).await?;
        }
        let mut open = self.open();
        self.say_gates(&open).await?;
        self.catch_up().await?;
        if !stays {
            return Ok(());
        }
        let (mut tick, mut checked, mut alive) = (interval(PACE), Instant::now(), Instant::now());
        loop {
            tokio::select! {
                // The gates come first: what an extension says does not pass one that is closed.
                biased;
                _ = gates.changed() => {
                    self.close().await?;
                    let now = self.open();
                    if now != open {
                        open = now;
                        self.say_gates(&open).await?;
                    }
                }
                change = heard.recv() => match change {
                    Ok(change) if change.id > self.last => {
                        self.pass_on(&change).await?;
                        alive = Instant::now();
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(Gone),
                },
                _ = tick.tick() => {
                    if self.platform.is_draining() {
                        return Err(Gone);
                    }
                    if checked.elapsed() >= TOKEN {
                        checked = Instant::now();
                        self.is_somebody().await?;
                    }
                    if alive.elapsed() >= ALIVE {
                        alive = Instant::now();
                        self.send(": alive\n\n".to_owned()).await?;
                    }
                }
                () = self.sender.closed() => return Err(Gone),
            }
        }
    }

    /// Sends what stands in the list after what it saw last.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let after = self.last;
            let next = self
                .platform
                .core
                .read(move |conn| changes::since(conn, after, MOST).map_err(RunError::from));
            let next = next.await.map_err(|_| Gone)?;
            for change in &next {
                self.pass_on(change).await?;
            }
            if next.len() < MOST as usize {
                return Ok(());
            }
        }
    }

    /// Sends a change, if it is followed.
    async fn pass_on(&mut self, change: &Change) -> Result<(), Gone> {
        self.last = change.id;
        let is_its = change.account.is_none_or(|it| it == self.account);
        let gate = &self.platform.gate;
        let follows = self.topics.iter().any(|topic| match topic {
            Topic::Gates => false,
            Topic::List(name) => *name == change.topic,
            Topic::Channel(name, extension) => {
                *name == change.topic && gate.is_open(*extension, Some(&self.actor))
            }
        });
        if is_its && follows {
            self.say(&change.topic, &change.data).await?;
        }
        Ok(())
    }

    /// Ends what an extension offers that was switched off; where nothing is left, all.
    async fn close(&mut self) -> Result<(), Gone> {
        let gate = self.platform.gate.clone();
        let is_open = |topic: &Topic| match topic {
            Topic::Channel(_, extension) => gate.is_open(*extension, Some(&self.actor)),
            _ => true,
        };
        let (left, closed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.topics).into_iter().partition(is_open);
        self.topics = left;
        for topic in closed {
            let Topic::Channel(name, _) = topic else { continue };
            self.say("closed", &json!({ "topic": name }).to_string()).await?;
        }
        if self.topics.is_empty() { Err(Gone) } else { Ok(()) }
    }

    /// Which extensions are on for it.
    fn open(&self) -> BTreeMap<String, bool> {
        let gate = &self.platform.gate;
        let entries = self.platform.registry.entries.iter();
        let on = |slug: &str| gate.find(slug).is_some_and(|it| gate.is_open(it, Some(&self.actor)));
        entries.map(|it| (it.slug.clone(), on(&it.slug))).collect()
    }

    async fn say_gates(&self, open: &BTreeMap<String, bool>) -> Result<(), Gone> {
        if !self.topics.contains(&Topic::Gates) {
            return Ok(());
        }
        self.say("gates", &json!({ "extensions": open }).to_string()).await
    }

    /// Whether its token holds still.
    async fn is_somebody(&self) -> Result<(), Gone> {
        let Some(header) = &self.header else { return Ok(()) };
        match self.platform.access.identify(Some(header)).await {
            Ok(Some(_)) => Ok(()),
            // A database that cannot be asked says nothing of the token.
            Err(crate::access::AccessError::Database(_)) => Ok(()),
            _ => {
                self.say("closed", &json!({ "reason": "the token is not valid" }).to_string())
                    .await?;
                Err(Gone)
            }
        }
    }

    async fn say(&self, event: &str, data: &str) -> Result<(), Gone> {
        self.send(format!("id: {}\nevent: {event}\ndata: {data}\n\n", self.last)).await
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        self.sender.send(Ok(Bytes::from(text))).await.map_err(|_| Gone)
    }
}
