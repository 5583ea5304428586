//! Slow clients: each is gone at its deadline, and whoever else asks does not notice them.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]
#![expect(clippy::print_stdout, reason = "a run tells what it does")]

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use powernode_tests::instance::{Instance, within};
use powernode_tests::raw::Raw;
use powernode_tests::report::{Report, cases};
use powernode_tests::setup::Setup;
use socket2::{Domain, Socket, Type};

const SECOND: Duration = Duration::from_secs(1);

/// What a slow client may take in this test's platform.
const DEADLINE: Duration = Duration::from_secs(4);

/// How long after its deadline a connection may still be there. The system asks a client that reads nothing ever
/// less often, and gives it up when it asks: after twice the time at most.
const GRACE: Duration = Duration::from_secs(7);

/// How often a figure is taken before it counts: other programs run on this machine too.
const ROUNDS: usize = 4;

/// How often the second client asks: a person's pace, so that the figure is of answers and not of a full machine.
const PACE: Duration = Duration::from_millis(2);

/// Below this a p99 says more of the machine than of the platform.
const NOISE: Duration = Duration::from_micros(500);

/// A way to be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    /// A head whose bytes come one by one.
    Headers,
    /// A head, and a body whose bytes come one by one.
    Bodies,
    /// An answer without end, of which nothing is read.
    Readers,
    /// What the platform must not allow itself: a request that keeps a worker for itself.
    Blocking,
}

impl Slow {
    /// Connects, and sends what comes before it gets slow.
    fn begin(self, port: u16) -> TcpStream {
        let first = match self {
            Slow::Headers => "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ",
            Slow::Bodies => {
                "POST /api/v1/fixture-000/raw HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx"
            }
            Slow::Readers => {
                "GET /api/v1/fixture-000/stream?parts=100000&size=100000 HTTP/1.1\r\nhost: x\r\n\r\n"
            }
            Slow::Blocking => {
                "GET /api/v1/fixture-000/block?ms=20 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            }
        };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Little fits on the way: so the platform soon notices that nobody reads.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(first.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// Sends one more byte, where it is one that sends.
    fn goes_on(self, stream: &mut TcpStream) {
        if matches!(self, Slow::Headers | Slow::Bodies)
            && let Err(error) = stream.write(b"x")
        {
            // Whether it is gone, the other side says.
            assert_ne!(error.kind(), ErrorKind::Interrupted);
        }
    }
}

/// A platform whose patience is as given.
fn platform(patience: Duration) -> Instance {
    let patience = format!("{}s", patience.as_secs());
    let setup = Setup::new().unwrap().with_fixture().unwrap();
    setup
        .with_setting("server.header_timeout", &patience)
        .with_setting("server.body_timeout", &patience)
        .with_setting("server.write_timeout", &patience)
        .with_setting("extensions.deadline", "60s")
        .with_setting("extensions.concurrency", "100000")
        .with_setting("limits.per_address", "1000000000")
        .start()
        .unwrap()
}

/// The ports of other sides to which a platform holds connections.
fn held(server: u16) -> BTreeSet<u16> {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let held = connections.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
        (port(local)? == server && state == "01").then(|| port(remote))?
    });
    held.collect()
}

/// Times answers of a second client, who asks once in [`PACE`] until it is told to end; sorted.
///
/// A question that had to wait for the answer before it counts from when it was due: else one long wait would be a
/// single slow answer, and the figure would be of the quick ones around it.
fn timed(instance: &Instance, ended: &AtomicBool) -> Vec<Duration> {
    let mut raw: Raw = instance.raw().unwrap();
    let mut times = Vec::new();
    let mut due = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let now = Instant::now();
        let asked = if now > due + PACE { due } else { now };
        raw.send("GET /api/v1/fixture-000/ok HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert_eq!(raw.answer(20 * SECOND).unwrap().status, 200);
        times.push(asked.elapsed());
        due += PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    times.sort();
    times
}

fn p99(times: &[Duration]) -> Duration {
    assert!(times.len() >= 100, "{} answers make no p99", times.len());
    times[times.len() * 99 / 100]
}

/// What a round found.
#[derive(Debug)]
struct Round {
    /// How many connections were held before the deadline, and how many after it.
    before: usize,
    after: usize,
    /// The second client's p99 without the slow ones, and beside them.
    without: Duration,
    beside: Duration,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.beside.as_secs_f64() / self.without.max(NOISE).as_secs_f64()
    }
}

/// Lets so many be slow, and a second client ask before and beside them.
fn round(instance: &Instance, slow: Slow, count: usize) -> Round {
    let ended = AtomicBool::new(false);
    let without = thread::scope(|scope| {
        let second = scope.spawn(|| timed(instance, &ended));
        within(2 * SECOND, || false);
        ended.store(true, Ordering::Relaxed);
        p99(&second.join().unwrap())
    });
    let mut streams: Vec<TcpStream> = (0..count).map(|_| slow.begin(instance.port())).collect();
    let begun = Instant::now();
    let ports: BTreeSet<u16> = streams.iter().map(|it| it.local_addr().unwrap().port()).collect();
    let left = || held(instance.port()).intersection(&ports).count();
    let before = left();
    let mut after = before;
    ended.store(false, Ordering::Relaxed);
    let beside = thread::scope(|scope| {
        let second = scope.spawn(|| timed(instance, &ended));
        while begun.elapsed() < DEADLINE + GRACE && after > 0 {
            streams.iter_mut().for_each(|it| slow.goes_on(it));
            within(SECOND / 2, || begun.elapsed() > DEADLINE && left() == 0);
            after = left();
        }
        ended.store(true, Ordering::Relaxed);
        p99(&second.join().unwrap())
    });
    Round { before, after, without, beside }
}

/// Both tests time answers, and neither may disturb the other.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn slow_clients_are_gone_at_their_deadline_and_nobody_else_notices_them() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::begin("slow_clients");
    let count = usize::try_from(cases(200)).unwrap();
    let instance = platform(DEADLINE);
    for slow in [Slow::Headers, Slow::Bodies, Slow::Readers] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(&instance, slow, count));
            if rounds.last().is_some_and(|it| it.ratio() < 2.0) {
                break;
            }
        }
        let what = format!("{count} slow {slow:?}");
        println!("{what}: {rounds:?}");
        for round in &rounds {
            report.case(format!("{what}: held"), count.to_string(), round.before.to_string());
            report.case(format!("{what}: held after the deadline"), "0", round.after.to_string());
        }
        let best = rounds.iter().map(Round::ratio).fold(f64::INFINITY, f64::min);
        let said = if best < 2.0 { "below 2".to_owned() } else { format!("{best:.2}") };
        report.case(format!("{what}: p99 over p99 without"), "below 2", said);
    }
    report.finish();
}

#[test]
fn a_platform_that_waits_too_long_and_one_that_is_kept_busy_are_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let patient = platform(60 * SECOND);
    for slow in [Slow::Headers, Slow::Bodies, Slow::Readers] {
        let found = round(&patient, slow, 20);
        assert_eq!((found.before, found.after), (20, 20), "{slow:?}");
    }
    let found = round(&patient, Slow::Blocking, 200);
    assert!(found.ratio() > 2.0, "{found:?}");
}
