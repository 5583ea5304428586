//! An operator switches an extension off and on while requests run.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use powernode_tests::client::Client;
use powernode_tests::instance::{Instance, within};
use powernode_tests::report::{Report, cases};
use powernode_tests::setup::Setup;
use serde_json::json;

const OK: &str = "/api/v1/fixture-000/ok";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const SOON: Duration = Duration::from_secs(20);

/// How many clients ask all the time.
const CLIENTS: usize = 6;

/// How many requests must lie between two toggles, so that a toggle is tried at all.
const LEAST: usize = 20;

/// A request: when it was sent, when its answer was there, and the answer's status; 0 where none came.
#[derive(Clone, Copy, Debug)]
struct Asked {
    sent: Instant,
    answered: Instant,
    status: u16,
}

/// The time in which only one answer is right: from one change's acknowledgement to the next change's sending.
#[derive(Clone, Copy, Debug)]
struct Window {
    enabled: bool,
    acknowledged: Instant,
    next: Instant,
}

impl Window {
    /// The requests that lie in it as a whole.
    fn inside(&self, asked: &[Asked]) -> impl Iterator<Item = Asked> {
        asked.iter().copied().filter(|it| it.sent >= self.acknowledged && it.answered <= self.next)
    }

    /// In words, what was answered in it that should not have been.
    fn wrong(&self, asked: &[Asked]) -> String {
        let right = if self.enabled { 200 } else { 404 };
        let wrong: Vec<u16> =
            self.inside(asked).map(|it| it.status).filter(|it| *it != right).collect();
        match wrong.first() {
            None => "nothing".to_owned(),
            Some(first) => format!("{} answers, the first {first}", wrong.len()),
        }
    }
}

#[test]
fn not_one_request_gets_through_once_a_toggle_is_acknowledged() {
    let mut report = Report::begin("toggle_under_load");
    let instance = Setup::new()
        .unwrap()
        .with_fixture()
        .unwrap()
        .with_setting("limits.per_address", "1000000000")
        .with_setting("limits.per_token", "1000000000")
        .start()
        .unwrap();
    let process = began(&instance);
    let operator = instance.operator();
    let asked = Mutex::new(Vec::new());
    let ended = AtomicBool::new(false);
    let mut windows = Vec::new();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask(&instance.anonymous(), &asked, &ended));
        }
        for toggle in 0..cases(20) {
            for enabled in [false, true] {
                // A body that has begun before the toggle ends after it.
                let mut flight = instance.raw().unwrap();
                let head = "POST /api/v1/fixture-000/relay HTTP/1.1\r\nhost: x\r\n\
                            transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
                if !enabled {
                    flight.send(head).unwrap();
                    assert!(flight.has_received_within("first", SOON));
                }
                let answer = operator.put(FLAG, &json!({ "enabled": enabled })).unwrap();
                let acknowledged = Instant::now();
                assert_eq!(answer.status, 200, "{}", answer.text());
                let case = format!("{toggle}: {}", if enabled { "on" } else { "off" });
                let next = instance.anonymous().get(OK).unwrap().status;
                let right = if enabled { "200" } else { "404" };
                report.case(format!("{case}: the next request"), right, next.to_string());
                if !enabled {
                    flight.send("5\r\n last\r\n0\r\n\r\n").unwrap();
                    let answer = flight.answer(SOON).unwrap();
                    let said = format!("{} {}", answer.status, answer.text());
                    report.case(format!("{case}: in flight"), "200 first last", said);
                }
                let mut window = Window { enabled, acknowledged, next: acknowledged };
                let enough = || {
                    window.next = Instant::now();
                    window.inside(&asked.lock().unwrap()).count() >= LEAST
                };
                assert!(within(SOON, enough), "the clients do not ask");
                windows.push((case, window));
            }
        }
        ended.store(true, Ordering::SeqCst);
    });
    let asked = asked.into_inner().unwrap();
    for (case, window) in windows {
        report.case(format!("{case}: wrong"), "nothing", window.wrong(&asked));
    }
    let neither = asked.iter().filter(|it| !matches!(it.status, 200 | 404)).count();
    report.case("answers that are neither 200 nor 404", "0", neither.to_string());
    report.case("the process", process, began(&instance));
    report.finish();
}

/// Asks without a pause until it is told to end.
fn ask(client: &Client, asked: &Mutex<Vec<Asked>>, ended: &AtomicBool) {
    while !ended.load(Ordering::SeqCst) {
        let sent = Instant::now();
        let status = client.get(OK).map_or(0, |answer| answer.status);
        asked.lock().unwrap().push(Asked { sent, answered: Instant::now(), status });
    }
}

/// The process's id, and when it began, so that another process with its id is another.
fn began(instance: &Instance) -> String {
    let id = instance.id();
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    format!("{id} since {}", fields.split_whitespace().nth(19).unwrap())
}

#[test]
fn a_request_that_got_through_would_be_seen() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let window = Window { enabled: false, acknowledged: at(10), next: at(20) };
    let asked = |sent, answered, status| Asked { sent: at(sent), answered: at(answered), status };
    assert_eq!(
        window.wrong(&[asked(11, 12, 404), asked(5, 12, 200), asked(15, 25, 200)]),
        "nothing"
    );
    assert_eq!(window.wrong(&[asked(11, 12, 200)]), "1 answers, the first 200");
    assert_eq!(window.wrong(&[asked(11, 12, 503)]), "1 answers, the first 503");
}
