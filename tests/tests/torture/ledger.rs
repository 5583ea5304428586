//! What must have happened, held against what did.

use std::collections::{BTreeMap, BTreeSet};

use powernode_tests::client::Client;
use serde_json::Value;

use crate::BASE;

/// A case: what, what should be, and what is.
pub(crate) type Case = (String, String, String);

/// What the rig knows without asking the platform.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Jobs whose transaction was acknowledged.
    acknowledged: BTreeSet<i64>,
    /// Runs that a crash was in the middle of: job, node, attempt.
    crashed: BTreeSet<(i64, String, i64)>,
}

/// What the platform and the handlers' marks say of one job.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    state: String,
    deaths: i64,
    began: usize,
    ended: usize,
}

/// How strictly runs are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// As often as crashes allow.
    ByCrashes,
    /// A closed gate ends runs before their end, so that they begin again.
    MayBeginAgain,
}

impl Ledger {
    pub(crate) fn acknowledge(&mut self, job: i64) {
        self.acknowledged.insert(job);
    }

    /// The jobs that ran on a process when it was killed, as the admin API shows them.
    pub(crate) fn crash(&mut self, running: &Value) {
        for job in running.as_array().into_iter().flatten() {
            let number = |name: &str| job[name].as_i64().unwrap_or(0);
            let node = job["node"].as_str().unwrap_or_default().to_owned();
            self.crashed.insert((number("id"), node, number("attempt")));
        }
    }

    /// How many runs crashes were in the middle of.
    pub(crate) fn crashes(&self) -> usize {
        self.crashed.len()
    }

    /// A case for each job: that it is done, and was not run oftener than crashes allow.
    pub(crate) fn cases(&self, fates: &BTreeMap<i64, Fate>, runs: Runs) -> Vec<Case> {
        let jobs: BTreeSet<i64> = self.acknowledged.iter().chain(fates.keys()).copied().collect();
        let case = |job: i64| {
            let got = match fates.get(&job) {
                None => "lost".to_owned(),
                Some(fate) => self.verdict(job, fate, runs),
            };
            (format!("job {job}"), "done".to_owned(), got)
        };
        jobs.into_iter().map(case).collect()
    }

    fn verdict(&self, job: i64, fate: &Fate, runs: Runs) -> String {
        let crashes = self.crashed.iter().filter(|it| it.0 == job).count();
        let Fate { state, deaths, began, ended } = fate;
        // Whatever takes its process down three times is not run again.
        if state == "dead" && *deaths >= 3 && crashes >= 3 {
            return "done".to_owned();
        }
        if state != "done" {
            return format!("{state} after {deaths} deaths");
        }
        let most = 1 + crashes;
        if *began == 0 || *ended == 0 {
            return format!("done, and began {began} times and ended {ended}");
        }
        if *ended > most || (runs == Runs::ByCrashes && *began > most) {
            return format!("began {began} times and ended {ended}, with {crashes} crashes");
        }
        "done".to_owned()
    }
}

/// All jobs, and what their marks say.
pub(crate) fn fates(operator: &Client, anyone: &Client) -> BTreeMap<i64, Fate> {
    let mut fates = BTreeMap::<i64, Fate>::new();
    let mut before = String::new();
    loop {
        let path = format!("/api/v1/admin/jobs?extension=fixture-000&per_page=100{before}");
        let jobs = operator.get(&path).unwrap().data();
        let jobs = jobs.as_array().unwrap();
        for job in jobs {
            let fate = fates.entry(job["id"].as_i64().unwrap()).or_default();
            fate.state = job["state"].as_str().unwrap().to_owned();
            fate.deaths = job["deaths"].as_i64().unwrap();
        }
        let Some(last) = jobs.last().filter(|_| jobs.len() == 100) else { break };
        before = format!("&before={}", last["id"]);
    }
    for mark in marks(anyone) {
        let Some(job) = mark["job"].as_i64() else { continue };
        let fate = fates.entry(job).or_default();
        match mark["word"].as_str() {
            Some("began") => fate.began += 1,
            Some("ended") => fate.ended += 1,
            _ => {}
        }
    }
    fates
}

/// All marks, in the order in which they were left.
pub(crate) fn marks(anyone: &Client) -> Vec<Value> {
    let mut marks = Vec::new();
    for page in 1.. {
        let found = anyone.get(&format!("{BASE}/marks?per_page=100&page={page}")).unwrap().data();
        let rows = found.as_array().cloned().unwrap_or_default();
        let last = rows.len() < 100;
        marks.extend(rows);
        if last {
            break;
        }
    }
    marks
}

/// Whether nothing waits or runs any more.
pub(crate) fn is_idle(operator: &Client) -> bool {
    let Ok(answer) = operator.get("/api/v1/admin/queues") else { return false };
    let queues = answer.data();
    let own = queues.as_array().into_iter().flatten().filter(|it| it["extension"] == "fixture-000");
    answer.status == 200
        && own.into_iter().all(|it| {
            ["scheduled", "ready", "running", "blocked"].iter().all(|state| it[state] == 0)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(fate: Option<(&str, i64, usize, usize)>, crashes: i64, expected: &str) {
        let mut ledger = Ledger::default();
        ledger.acknowledge(7);
        for attempt in 1..=crashes {
            ledger.crash(&json!([{ "id": 7, "node": "a", "attempt": attempt }]));
        }
        let fates = fate.map(|(state, deaths, began, ended)| {
            (7, Fate { state: state.to_owned(), deaths, began, ended })
        });
        let cases = ledger.cases(&fates.into_iter().collect(), Runs::ByCrashes);
        assert_eq!(cases[0].2, expected);
    }

    #[test]
    fn what_is_lost_or_done_twice_is_found() {
        check(Some(("done", 0, 1, 1)), 0, "done");
        check(Some(("done", 1, 2, 2)), 1, "done");
        check(Some(("dead", 3, 3, 0)), 3, "done");
        check(None, 0, "lost");
        check(Some(("ready", 0, 0, 0)), 0, "ready after 0 deaths");
        check(Some(("done", 0, 0, 0)), 0, "done, and began 0 times and ended 0");
        check(Some(("done", 0, 2, 1)), 0, "began 2 times and ended 1, with 0 crashes");
        check(Some(("done", 1, 3, 1)), 1, "began 3 times and ended 1, with 1 crashes");
        check(Some(("dead", 3, 3, 0)), 2, "dead after 3 deaths");
    }
}
