//! One platform whose database gets one fault.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use powernode_tests::{
    client::Answer,
    instance::{Instance, within},
};
use serde_json::json;

pub(crate) const NOTES: &str = "/api/v1/fixture-000/notes";
/// How soon the platform must know, and how soon after the fault it must work again.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A case: what, what should have been, and what was.
pub(crate) type Case = (String, String, String);

/// A fault, by its name: sets a platform up, and tries it.
pub(crate) type Fault = (&'static str, fn(&str) -> Vec<Case>);

/// What clients and operators should hear while the fault lasts.
#[derive(Clone, Copy)]
pub(crate) struct Heard {
    /// To a write: `503 DATABASE_UNAVAILABLE`.
    pub(crate) write: &'static str,
    /// To a read.
    pub(crate) read: &'static str,
    /// The reason that `/readyz` gives.
    pub(crate) reason: &'static str,
    /// What the log says of the way back.
    pub(crate) way_back: &'static str,
}

/// A platform, what it acknowledged, and what was found.
pub(crate) struct Rig {
    pub(crate) instance: Instance,
    acknowledged: Vec<String>,
    cases: Vec<Case>,
}

impl Rig {
    pub(crate) fn new(instance: Instance) -> Self {
        let mut rig = Self { instance, acknowledged: Vec::new(), cases: Vec::new() };
        for _ in 0..5 {
            let said = rig.write();
            assert_eq!(said, "201", "{}", rig.instance.log());
        }
        rig
    }

    /// The whole way of a fault that ends: `begin` lets it happen, `end` takes it away.
    pub(crate) fn passes(
        mut self,
        heard: Heard,
        begin: impl FnOnce(&Instance),
        end: impl FnOnce(),
    ) -> Vec<Case> {
        let process = self.instance.id();
        begin(&self.instance);
        self.hears(heard);
        end();
        self.goes_on();
        self.case("the process", process.to_string(), self.instance.id().to_string());
        self.finish()
    }

    /// What clients and operators hear while the fault lasts.
    pub(crate) fn hears(&mut self, heard: Heard) {
        let told = Instant::now();
        let write = self.write();
        let took = told.elapsed();
        self.case("a write", heard.write, write);
        let quick = if took < SOON { "within 10 s".to_owned() } else { format!("{took:?}") };
        self.case("the answer came", "within 10 s", quick);
        let read = said(&self.instance.anonymous().get(NOTES).unwrap());
        self.case("a read", heard.read, read);
        let mut ready = String::new();
        within(SOON, || {
            ready = self.ready();
            ready.starts_with("503")
        });
        self.case("/readyz", format!("503 {}", heard.reason), ready);
        let log = self.instance.log();
        let named = if log.contains(heard.way_back) { heard.way_back.to_owned() } else { log };
        self.case("the way back", heard.way_back, named);
        // Of what is tried meanwhile, some may get through: it counts as well.
        for _ in 0..3 {
            self.write();
        }
    }

    /// It works again, without a restart.
    pub(crate) fn goes_on(&mut self) {
        let ended = Instant::now();
        let works = within(SOON, || self.write() == "201");
        let took = ended.elapsed();
        println!(
            "{}: works again after {took:?}",
            std::thread::current().name().unwrap_or_default()
        );
        self.case("a write afterwards", "true", works.to_string());
        let mut ready = String::new();
        within(SOON, || {
            ready = self.ready();
            ready == "200"
        });
        self.case("/readyz afterwards", "200", ready);
    }

    /// Looks whether all that was acknowledged is there.
    pub(crate) fn finish(mut self) -> Vec<Case> {
        let there = notes(&self.instance);
        let lost = self.acknowledged.iter().filter(|id| !there.contains(id)).count();
        self.case("acknowledged and lost", "0", lost.to_string());
        self.cases
    }

    /// Takes over what another platform acknowledged on the same database.
    pub(crate) fn restarted(self, start: impl FnOnce(Instance) -> Instance) -> Self {
        Self { instance: start(self.instance), ..self }
    }

    /// Lets others write until [`Rig::joined`].
    pub(crate) fn writers(&self, count: usize) -> Writers {
        let ends = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let (client, ends) = (self.instance.anonymous(), ends.clone());
            thread::spawn(move || {
                let mut heard = Heeded::default();
                while !ends.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    match client.post(NOTES, &json!({ "text": "x".repeat(500) })) {
                        Ok(answer) if answer.status == 201 => {
                            heard.acknowledged.extend(id_of(&answer));
                        }
                        Ok(answer) if [503, 504].contains(&answer.status) => {}
                        Ok(answer) => heard.odd = answer.text(),
                        Err(error) => heard.odd = format!("{error:#}"),
                    }
                    if begun.elapsed() > SOON {
                        heard.odd = format!("an answer after {:?}", begun.elapsed());
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                heard
            })
        };
        let threads = (0..count).map(one).collect();
        Writers { ends, threads }
    }

    /// Ends the writers: what was acknowledged to them must be there too, and they heard 201, 503 or 504, in time.
    pub(crate) fn joined(&mut self, writers: Writers) {
        writers.ends.store(true, Ordering::Relaxed);
        let mut odd = String::new();
        for heard in writers.threads.into_iter().map(|it| it.join().unwrap()) {
            self.acknowledged.extend(heard.acknowledged);
            odd.push_str(&heard.odd);
        }
        self.case("writers heard of success or of the fault alone", "", odd);
    }

    /// How many notes were acknowledged here.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn case(&mut self, case: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.cases.push((case.to_owned(), expected.into(), got.into()));
    }

    /// Writes a note; an acknowledged one is remembered.
    pub(crate) fn write(&mut self) -> String {
        let answer = self.instance.anonymous().post(NOTES, &json!({ "text": "x".repeat(4000) }));
        let answer = answer.unwrap();
        if answer.status == 201 {
            self.acknowledged.extend(id_of(&answer));
        }
        said(&answer)
    }

    /// What `/readyz` says: its status, and the reason.
    pub(crate) fn ready(&self) -> String {
        let Ok(answer) = self.instance.anonymous().get("/readyz") else {
            return "nobody answers".to_owned();
        };
        let json = answer.json();
        let reason = json["reason"].as_str().unwrap_or_default();
        format!("{} {reason}", answer.status).trim_end().to_owned()
    }
}

/// Those who write meanwhile.
pub(crate) struct Writers {
    ends: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Heeded>>,
}

/// What one of them heard.
#[derive(Default)]
struct Heeded {
    acknowledged: Vec<String>,
    odd: String,
}

fn id_of(answer: &Answer) -> Option<String> {
    answer.data()["id"].as_str().map(str::to_owned)
}

fn said(answer: &Answer) -> String {
    match answer.status {
        status @ 200..=299 => status.to_string(),
        503 if answer.header("retry-after").is_none() => {
            format!("{} without retry-after", answer.text())
        }
        status => format!("{status} {}", answer.code()),
    }
}

/// The ids of all notes.
fn notes(instance: &Instance) -> Vec<String> {
    let mut ids = Vec::new();
    for page in 1.. {
        let answer =
            instance.anonymous().get(&format!("{NOTES}?per_page=100&page={page}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let data = answer.data();
        let rows = data.as_array().unwrap();
        if rows.is_empty() {
            break;
        }
        ids.extend(rows.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
    }
    ids
}
