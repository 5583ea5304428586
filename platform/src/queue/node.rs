//! The processes that run jobs, and whether they live.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
};
use powernode_plugin_api::db::HostConnection;

use super::{Dead, Ended, millis, moment, rescue};
use crate::db::Sql;

/// A process that begins to run jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// A new id for each start of a process: one that comes back is another node.
    pub id: String,
    /// The machine's name, for people.
    pub host: String,
    /// The process, for people.
    pub pid: u32,
    /// The platform's version.
    pub version: String,
}

/// A node as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The platform's version.
    pub version: String,
    /// When it began, by its own clock.
    pub started_at: DateTime<Utc>,
    /// Counts up as long as it lives.
    pub beat: i64,
    /// When it counted last, by its own clock.
    pub beat_at: DateTime<Utc>,
    /// How many jobs it runs.
    pub running: u32,
}

/// What a node learns when it counts up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It is known, and somebody wants these jobs of its cancelled.
    Alive(Vec<i64>),
    /// Others took it for dead, and gave its jobs back: it stops them, and joins again under another id.
    Lost,
}

/// Makes a node known.
///
/// # Errors
///
/// The database's.
pub fn join(conn: &mut HostConnection, node: &NewNode, now: DateTime<Utc>) -> QueryResult<()> {
    const JOIN: &str = "INSERT INTO core_nodes (id, host, pid, version, started_at, beat_at) \
        VALUES ($1, $2, $3, $4, $5, $5)";
    Sql::<()>::both(JOIN)
        .text(node.id.as_str())
        .text(node.host.as_str())
        .number(i64::from(node.pid))
        .text(node.version.as_str())
        .number(millis(now))
        .execute(conn)
        .map(drop)
}

/// Counts a node up: it lives.
///
/// # Errors
///
/// The database's.
pub fn beat(conn: &mut HostConnection, node: &str, now: DateTime<Utc>) -> QueryResult<Beat> {
    const BEAT: &str = "UPDATE core_nodes SET beat = beat + 1, beat_at = $2 WHERE id = $1";
    const CANCEL: &str =
        "SELECT id FROM core_jobs WHERE state = 2 AND node_id = $1 AND cancel_at IS NOT NULL";
    if Sql::<()>::both(BEAT).text(node).number(millis(now)).execute(conn)? == 0 {
        return Ok(Beat::Lost);
    }
    Ok(Beat::Alive(Sql::<BigInt>::both(CANCEL).text(node).load(conn)?))
}

/// Ends a node: what it still runs is ready again, and the attempts do not count. Call it in a
/// transaction.
///
/// # Errors
///
/// The database's.
pub fn leave(conn: &mut HostConnection, node: &str, now: DateTime<Utc>) -> QueryResult<Vec<Ended>> {
    let given_back = rescue::release(conn, node, now)?;
    Sql::<()>::both("DELETE FROM core_nodes WHERE id = $1").text(node).execute(conn)?;
    Ok(given_back)
}

/// All nodes, in the order in which they began.
///
/// # Errors
///
/// The database's.
pub fn nodes(conn: &mut HostConnection) -> QueryResult<Vec<Node>> {
    const NODES: &str = "SELECT id, host, pid, version, started_at, beat, beat_at, \
        (SELECT count(*) FROM core_jobs j WHERE j.state = 2 AND j.node_id = core_nodes.id) \
        FROM core_nodes ORDER BY started_at, id";
    type Row = (String, String, i64, String, i64, i64, i64, i64);
    let node = |(id, host, pid, version, started_at, beat, beat_at, running): Row| Node {
        id,
        host,
        pid: super::claim::count(pid),
        version,
        started_at: moment(started_at),
        beat,
        beat_at: moment(beat_at),
        running: super::claim::count(running),
    };
    let rows = Sql::<(Text, Text, BigInt, Text, BigInt, BigInt, BigInt, BigInt)>::both(NODES)
        .load::<Row>(conn)?;
    Ok(rows.into_iter().map(node).collect())
}

/// Watches whether the other nodes count up, by this process's own clock: what theirs say does not matter.
#[derive(Debug)]
pub struct Watch {
    patience: Duration,
    seen: HashMap<String, (i64, Instant)>,
}

impl Watch {
    /// A node that has not counted up for `patience` is dead.
    pub fn new(patience: Duration) -> Self {
        Self { patience, seen: HashMap::new() }
    }

    /// The nodes that are dead now, but for `me`.
    pub fn dead(&mut self, me: &str, nodes: &[Node], now: Instant) -> Vec<Dead> {
        self.seen.retain(|id, _| nodes.iter().any(|it| it.id == *id));
        let mut dead = Vec::new();
        for node in nodes.iter().filter(|it| it.id != me) {
            let (beat, since) = self.seen.entry(node.id.clone()).or_insert((node.beat, now));
            if *beat != node.beat {
                (*beat, *since) = (node.beat, now);
            }
            if now.saturating_duration_since(*since) >= self.patience {
                dead.push(Dead { node: node.id.clone(), beat: node.beat });
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, beat: i64) -> Node {
        let (at, empty) = (DateTime::UNIX_EPOCH, String::new);
        Node {
            id: id.to_owned(),
            host: empty(),
            pid: 1,
            version: empty(),
            started_at: at,
            beat,
            beat_at: at,
            running: 0,
        }
    }

    #[test]
    fn who_does_not_count_up_is_dead_after_a_while() {
        let mut watch = Watch::new(Duration::from_secs(20));
        let begun = Instant::now();
        let mut at = |seconds, beat| {
            let now = begun + Duration::from_secs(seconds);
            let dead = watch.dead("me", &[node("me", 0), node("other", beat)], now);
            dead.into_iter().map(|it| format!("{} {}", it.node, it.beat)).collect::<String>()
        };
        assert_eq!(at(0, 7), "");
        assert_eq!(at(19, 7), "");
        assert_eq!(at(20, 8), "", "it counted");
        assert_eq!(at(39, 8), "");
        assert_eq!(at(40, 8), "other 8");
    }
}
