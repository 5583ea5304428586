//! How many requests a token and an address may send: fixed windows of a minute, and a bucket for what comes at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::config::Network;

/// Length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_MS: u64 = 60_000;
const SHARDS: usize = 16;
/// Senders that one shard remembers.
const MOST: usize = 8_192;
/// How many of them it forgets at once when it is full, so that a flood does not look for one each time.
const FORGET: usize = MOST / 8;
/// What one request takes from a bucket: one that gets `n` in a window of `m` milliseconds fills by `n` in each.
const COST: u64 = WINDOW_MS;

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
    burst: Option<u32>,
    started: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<Sender, Count>>; SHARDS],
}

#[derive(Clone, Copy, Debug)]
struct Count {
    window: u64,
    requests: u32,
    /// What the bucket holds, in [`COST`]s of a request.
    level: u64,
    /// When the last request came, in milliseconds.
    last: u64,
}

impl Limits {
    /// Limits of each window; 0 is no limit.
    pub fn new(per_token: u32, per_address: u32) -> Self {
        Self {
            per_token,
            per_address,
            burst: None,
            started: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// So many requests may come at once; more wait for the even pace of the window. Nothing is all of a window.
    pub fn with_burst(self, burst: Option<u32>) -> Self {
        Self { burst, ..self }
    }

    /// Counts a request at `now`; nothing where there is no limit.
    pub fn count(&self, sender: Sender, now: Instant) -> Option<Quota> {
        let (sender, limit) = match sender {
            Sender::Token(_) => (sender, self.per_token),
            Sender::Address(it) => (Sender::Address(network(it)), self.per_address),
        };
        if limit == 0 {
            return None;
        }
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let (window, into) = (now / WINDOW_MS, now % WINDOW_MS);
        let burst = self.burst.unwrap_or(limit).min(limit);
        let full = u64::from(burst) * COST;
        let shard = self.hasher.hash_one(sender) as usize % SHARDS;
        let mut counts = self.shards.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&sender) {
            make_room(&mut counts, window);
        }
        let new = Count { window, requests: 0, level: full, last: now };
        let count = counts.entry(sender).or_insert(new);
        if count.window != window {
            *count = Count { window, requests: 0, ..*count };
        }
        let filled = now.saturating_sub(count.last).saturating_mul(u64::from(limit));
        count.level = count.level.saturating_add(filled).min(full);
        count.last = now;
        count.requests = count.requests.saturating_add(1);
        let window_left = limit.saturating_sub(count.requests);
        let window_ends = (WINDOW_MS - into).div_ceil(1000);
        if self.burst.is_none() || count.requests > limit {
            let exceeded = count.requests > limit;
            return Some(Quota { limit, remaining: window_left, reset_in: window_ends, exceeded });
        }
        let Some(level) = count.level.checked_sub(COST) else {
            // A request that is refused for its pace takes nothing of the window.
            count.requests -= 1;
            let wait = (COST - count.level).div_ceil(u64::from(limit)).div_ceil(1000);
            return Some(Quota { limit, remaining: 0, reset_in: wait.max(1), exceeded: true });
        };
        count.level = level;
        let at_once = u32::try_from(level / COST).unwrap_or(u32::MAX);
        let remaining = window_left.min(at_once);
        // Where the bucket is what bounds, it has its next one earlier than the window ends.
        let fills = (COST - level % COST).div_ceil(u64::from(limit)).div_ceil(1000).max(1);
        let reset_in = if at_once < window_left { fills.min(window_ends) } else { window_ends };
        Some(Quota { limit, remaining, reset_in, exceeded: false })
    }
}

/// An address as it is counted: a site has 2^64 of IPv6 to choose from, and IPv4 may be written as IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() >> 64 << 64)),
        it @ IpAddr::V4(_) => it,
    }
}

/// Forgets those of former windows; where all are of this one, those that sent least, and of them the oldest.
fn make_room(counts: &mut HashMap<Sender, Count>, window: u64) {
    counts.retain(|_, it| it.window == window);
    if counts.len() + FORGET <= MOST {
        return;
    }
    let mut ranks: Vec<_> =
        counts.iter().map(|(it, count)| (count.requests, count.last, *it)).collect();
    let at = FORGET.min(ranks.len().saturating_sub(1));
    ranks.select_nth_unstable_by_key(at, |(requests, last, _)| (*requests, *last));
    for (_, _, sender) in ranks.iter().take(FORGET) {
        counts.remove(sender);
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
    let peer = peer.to_canonical();
    let is_trusted = |it: IpAddr| trusted.iter().any(|network| network.contains(it));
    if !is_trusted(peer) {
        return peer;
    }
    let hops = hops.map(|it| std::str::from_utf8(it).ok()?.trim().parse::<IpAddr>().ok());
    let hops = hops.map(|it| it.map(|it| it.to_canonical()));
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
    fn a_site_of_ipv6_is_one_sender_and_so_is_ipv4_however_it_is_written() {
        let limits = Limits::new(0, 9);
        let left = |text: &str| {
            let sender = Sender::Address(text.parse().unwrap());
            limits.count(sender, limits.started).map(|it| it.remaining)
        };
        assert_eq!((left("2001:db8:0:1::1"), left("2001:db8:0:1:ffff::2")), (Some(8), Some(7)));
        assert_eq!(left("2001:db8:0:2::1"), Some(8), "the next site");
        assert_eq!((left("192.0.2.1"), left("::ffff:192.0.2.1")), (Some(8), Some(7)));
        assert_eq!(left("::ffff:192.0.2.2"), Some(8), "another host");
    }

    #[test]
    fn a_flood_of_senders_stays_within_bounds_and_frees_nobody_who_sent_much() {
        let limits = Limits::new(0, 2);
        let busy = Sender::Address([192, 0, 2, 1].into());
        let count = |sender, seconds| {
            limits.count(sender, limits.started + Duration::from_secs(seconds)).unwrap()
        };
        for _ in 0..3 {
            count(busy, 0);
        }
        for number in 0..300_000_u32 {
            count(Sender::Address(IpAddr::V4(number.into())), 1);
        }
        assert!(limits.shards.iter().all(|it| it.lock().unwrap().len() <= MOST));
        assert!(count(busy, 2).exceeded, "its count was not forgotten");
        assert!(!count(busy, 60).exceeded);
    }

    #[test]
    fn a_full_shard_forgets_former_windows_first_and_then_who_sent_least_and_longest_ago() {
        let token = |number: usize| Sender::Token(Uuid::from_u128(number as u128));
        let count = |window, requests, last| Count { window, requests, level: 0, last };
        let mut counts: HashMap<_, _> =
            (0..MOST).map(|it| (token(it), count(it as u64 / 4096, 9, 0))).collect();
        make_room(&mut counts, 1);
        assert!(counts.len() == 4096 && counts.values().all(|it| it.window == 1));

        let mut counts: HashMap<_, _> =
            (0..MOST).map(|it| (token(it), count(1, 1 + (it % 2) as u32, it as u64))).collect();
        make_room(&mut counts, 1);
        let forgotten: Vec<_> = (0..MOST).filter(|it| !counts.contains_key(&token(*it))).collect();
        assert_eq!(forgotten, (0..2 * FORGET).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_burst_is_bounded_and_fills_up_again_at_the_windows_pace() {
        let limits = Limits::new(0, 60).with_burst(Some(2));
        let sender = Sender::Address([10, 0, 0, 1].into());
        let at = |milliseconds| {
            let now = limits.started + Duration::from_millis(milliseconds);
            limits.count(sender, now).map(|it| (it.remaining, it.reset_in, it.exceeded))
        };
        assert_eq!(at(0), Some((1, 1, false)));
        assert_eq!(at(0), Some((0, 1, false)));
        assert_eq!(at(500), Some((0, 1, true)));
        assert_eq!(at(1_000), Some((0, 1, false)));
        assert_eq!(at(1_100), Some((0, 1, true)));
        assert_eq!(at(10_000), Some((1, 1, false)), "no more than the burst is saved");
        let served = (11_000..59_000).step_by(100).filter(|it| at(*it).is_some_and(|it| !it.2));
        assert_eq!(served.count(), 49, "one a second, and the one that was saved");
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
