//! How many requests a token and an address may send: fixed windows of a minute.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::config::Network;

/// Length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;
/// Senders that one shard remembers; beyond it, those of former windows are forgotten, then all.
const MOST: usize = 8_192;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The bearer of a token.
    Token(Uuid),
    /// An address.
    Address(IpAddr),
}

/// What a sender has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests of a window.
    pub limit: u32,
    /// Requests left in this one.
    pub remaining: u32,
    /// Seconds until the next.
    pub reset_in: u64,
    /// Whether this request is one too many.
    pub exceeded: bool,
}

/// Counts requests by sender.
#[derive(Debug)]
pub struct Limits {
    per_token: u32,
    per_address: u32,
    started: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<Sender, Count>>; SHARDS],
}

#[derive(Clone, Copy, Debug)]
struct Count {
    window: u64,
    requests: u32,
}

impl Limits {
    /// Limits of each window; 0 is no limit.
    pub fn new(per_token: u32, per_address: u32) -> Self {
        Self {
            per_token,
            per_address,
            started: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a request at `now`; nothing where there is no limit.
    pub fn count(&self, sender: Sender, now: Instant) -> Option<Quota> {
        let limit = match sender {
            Sender::Token(_) => self.per_token,
            Sender::Address(_) => self.per_address,
        };
        if limit == 0 {
            return None;
        }
        let elapsed = now.saturating_duration_since(self.started).as_secs();
        let (window, into) = (elapsed / WINDOW.as_secs(), elapsed % WINDOW.as_secs());
        let shard = self.hasher.hash_one(sender) as usize % SHARDS;
        let mut counts = self.shards.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&sender) {
            counts.retain(|_, it| it.window == window);
            if counts.len() >= MOST {
                counts.clear();
            }
        }
        let count = counts.entry(sender).or_insert(Count { window, requests: 0 });
        if count.window != window {
            *count = Count { window, requests: 0 };
        }
        count.requests = count.requests.saturating_add(1);
        Some(Quota {
            limit,
            remaining: limit.saturating_sub(count.requests),
            reset_in: WINDOW.as_secs() - into,
            exceeded: count.requests > limit,
        })
    }
}

impl Quota {
    /// Writes `X-RateLimit-*`, unless the handler wrote its own.
    pub fn write(&self, headers: &mut HeaderMap) {
        if headers.contains_key(LIMIT) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(now + self.reset_in));
    }
}

/// The sender's address: the nearest hop that is no trusted proxy, if the peer is one.
///
/// `hops` are those of `X-Forwarded-For`, the last one first.
pub fn address<'a>(
    peer: IpAddr,
    hops: impl Iterator<Item = &'a [u8]>,
    trusted: &[Network],
) -> IpAddr {
    let is_trusted = |it: IpAddr| trusted.iter().any(|network| network.contains(it));
    if !is_trusted(peer) {
        return peer;
    }
    let hops = hops.map(|it| std::str::from_utf8(it).ok()?.trim().parse::<IpAddr>().ok());
    for hop in hops {
        match hop {
            Some(hop) if is_trusted(hop) => {}
            Some(hop) => return hop,
            None => return peer,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_of_two_is_one_too_many_until_the_next_window() {
        let limits = Limits::new(0, 2);
        let sender = Sender::Address([10, 0, 0, 1].into());
        let at = |seconds| {
            let now = limits.started + Duration::from_secs(seconds);
            limits.count(sender, now).map(|it| (it.remaining, it.reset_in, it.exceeded))
        };
        assert_eq!(at(0), Some((1, 60, false)));
        assert_eq!(at(10), Some((0, 50, false)));
        assert_eq!(at(59), Some((0, 1, true)));
        assert_eq!(at(60), Some((1, 60, false)));
        assert_eq!(limits.count(Sender::Token(Uuid::nil()), limits.started), None);
    }

    #[test]
    fn a_flood_of_senders_stays_within_bounds() {
        let limits = Limits::new(0, 2);
        for number in 0..300_000_u32 {
            limits.count(Sender::Address(IpAddr::V4(number.into())), limits.started);
        }
        assert!(limits.shards.iter().all(|it| it.lock().unwrap().len() <= MOST));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |peer, forwarded: Option<&str>| {
            let hops = forwarded.into_iter().flat_map(|it| it.as_bytes().rsplit(|it| *it == b','));
            address(ip(peer), hops, &trusted)
        };
        assert_eq!(of("192.0.2.1", Some("198.51.100.7")), ip("192.0.2.1"));
        assert_eq!(of("10.0.0.1", Some("203.0.113.9, 198.51.100.7, 10.0.0.2")), ip("198.51.100.7"));
        assert_eq!(of("10.0.0.1", Some("junk")), ip("10.0.0.1"));
        assert_eq!(of("10.0.0.1", None), ip("10.0.0.1"));
    }
}
