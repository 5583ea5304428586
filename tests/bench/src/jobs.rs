//! Jobs: how fast a library's run, how soon they begin, what it costs to ask for one, and what finished rows add.

use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{SubsecRound as _, Utc};
use diesel::{RunQueryDsl as _, sql_types::BigInt};
use powernode::{
    queue::{self, Limits, NewJob, QueueError, State},
    worker::{Worker, WorkerSettings, Workshop},
};
use powernode_plugin_api::db::RunError;
use powernode_tests::{
    library::{Build, Library, Package},
    postgres::Cluster,
};
use tokio::runtime::Runtime;

use crate::{
    figure::{Figure, quantile},
    place::{self, Place},
};

/// Whose jobs they are.
const SLUG: &str = "fixture-000";
/// Jobs of a drain, and how often one is measured.
const JOBS: usize = 10_000;
const ROUNDS: usize = 5;
/// Jobs that run at once in a drain.
const AT_ONCE: u32 = 256;
/// Jobs of one call in bulk.
const BULK: usize = 1_000;
/// Jobs asked for one by one.
const SINGLES: usize = 500;
/// Finished rows at first, and in the end.
const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The figures of one database.
struct Names {
    drain: &'static str,
    one: &'static str,
    bulk: &'static str,
    latency: &'static str,
    growth: &'static str,
}

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let names = Names {
        drain: "jobs_sqlite_drain",
        one: "jobs_enqueue_one",
        bulk: "jobs_enqueue_bulk",
        latency: "jobs_latency_ms",
        growth: "jobs_growth",
    };
    let mut figures = on(&[], &names)?;
    match Cluster::shared() {
        Some(cluster) => {
            let names = Names {
                drain: "jobs_pg_drain",
                one: "jobs_pg_enqueue_one",
                bulk: "jobs_pg_enqueue_bulk",
                latency: "jobs_pg_latency_ms",
                growth: "jobs_pg_growth",
            };
            figures.extend(on(&[("database.url", &cluster.database()?)], &names)?);
        }
        None => eprintln!("skipped: the figures on PostgreSQL"),
    }
    Ok(figures)
}

fn on(settings: &[(&str, &str)], names: &Names) -> Result<Vec<Figure>> {
    let shop = Shop::new(settings)?;
    let (mut one, mut bulk) = (Vec::new(), Vec::new());
    let mut drained = Vec::new();
    for round in 0..=ROUNDS {
        let (singly, together) = (shop.singly()?, shop.enqueue(JOBS)?);
        let rate = shop.drain()?;
        // The first round finds everything cold.
        if round > 0 {
            one.push(singly);
            bulk.push(together);
            drained.push(rate);
        }
    }
    let late = shop.latency()?;
    let p99 = quantile(&late, 0.99);
    let note =
        format!("the median, in whole ms from before the commit; p99 {p99:.0} ms of {SINGLES}");
    let growth = shop.growth()?;
    Ok(vec![
        Figure::of(names.drain, "jobs/s", &drained).at_least(5_000.0),
        Figure::of(names.one, "us", &one),
        Figure::of(names.bulk, "us", &bulk),
        Figure::of(names.latency, "ms", &late).with_note(note),
        Figure::beside(names.growth, "s", &growth).at_most(1.2),
    ])
}

/// A platform whose extension's jobs do nothing.
struct Shop {
    place: Place,
    runtime: Runtime,
}

impl Shop {
    fn new(settings: &[(&str, &str)]) -> Result<Self> {
        let install = |extensions: PathBuf| -> Result<()> {
            let slug = place::slug(0);
            let library = Library::built("worker", Build::Optimized)?;
            Package::new(&slug, library.stamped(&slug)?).write(&extensions.join(&slug))
        };
        let place = Place::with(install, settings, |_| ())?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let shop = Self { place, runtime };
        let db = &shop.place.booted.core.db;
        let limits = Limits { max_per_node: Some(AT_ONCE), ..Limits::default() };
        let set = db
            .transaction(move |conn| queue::set_limits(conn, SLUG, limits).map_err(RunError::from));
        ensure!(shop.runtime.block_on(set)?, "there is no queue `{SLUG}`");
        Ok(shop)
    }

    /// Asks for jobs in bulk; answers what one of them took, in microseconds.
    fn enqueue(&self, jobs: usize) -> Result<f64> {
        let begun = Instant::now();
        for _ in 0..jobs.div_ceil(BULK) {
            let bulk = vec![NewJob::new("ok", "null"); BULK];
            self.write(bulk)?;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / jobs as f64)
    }

    /// Asks for jobs one by one, each in a transaction of its own; answers what one took, in microseconds.
    fn singly(&self) -> Result<f64> {
        let begun = Instant::now();
        for _ in 0..SINGLES {
            self.write(vec![NewJob::new("ok", "null")])?;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / SINGLES as f64)
    }

    fn write(&self, jobs: Vec<NewJob>) -> Result<Option<i64>> {
        let db = &self.place.booted.core.db;
        let written = db.transaction(move |conn| queue::enqueue(conn, SLUG, &jobs, Utc::now()));
        Ok(self.runtime.block_on(written)?.pop().flatten())
    }

    /// Runs all that waits; answers how many a second.
    fn drain(&self) -> Result<f64> {
        let jobs = self.waiting()?;
        let begun = Instant::now();
        let worker = self.work()?;
        // What ends last is booked last: then the queue is empty.
        while !self.is_empty()? {
            ensure!(begun.elapsed() < PATIENCE, "{jobs} jobs take longer than {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
        let seconds = begun.elapsed().as_secs_f64();
        worker.stop();
        Ok(jobs as f64 / seconds)
    }

    fn work(&self) -> Result<Worker> {
        let booted = &self.place.booted;
        let workshop = Workshop {
            engine: booted.core.engine.clone(),
            gate: booted.core.gate.clone(),
            crew: booted.crew.clone(),
            clock: Arc::new(Utc::now),
            wake: booted.core.wake.clone(),
            meters: booted.job_meters.clone(),
            lock: std::env::temp_dir().join(format!("powernode-bench-{}.lock", std::process::id())),
        };
        let settings = WorkerSettings { concurrency: AT_ONCE, ..WorkerSettings::default() };
        Worker::start(workshop, settings).context("cannot start the threads of jobs")
    }

    /// How long a job waits until it begins, alone, in milliseconds as the tables count them.
    fn latency(&self) -> Result<Vec<f64>> {
        let worker = self.work()?;
        let mut waited = Vec::new();
        for _ in 0..SINGLES {
            let asked = Utc::now().trunc_subsecs(3);
            let id = self.write(vec![NewJob::new("ok", "null")])?.context("no number")?;
            self.place.booted.core.wake.ring();
            let began = self.began(id)?;
            waited.push((began - asked).num_milliseconds() as f64);
        }
        worker.stop();
        Ok(waited)
    }

    /// When a job began, once it has ended.
    fn began(&self, id: i64) -> Result<chrono::DateTime<Utc>> {
        let begun = Instant::now();
        loop {
            let db = &self.place.booted.core.db;
            let found = db.read(move |conn| Ok::<_, QueueError>(queue::find(conn, id)?));
            let job = self.runtime.block_on(found)?.context("the job is gone")?;
            if let (State::Done, Some(at)) = (job.state, job.started_at) {
                return Ok(at);
            }
            ensure!(begun.elapsed() < PATIENCE, "job {id} is {:?}", job.state);
        }
    }

    /// The time of a drain beside few finished rows and beside many, in turn.
    fn growth(&self) -> Result<Vec<(f64, f64)>> {
        let mut pairs = Vec::new();
        for round in 0..=ROUNDS {
            let mut took = [0.0; 2];
            for (which, rows) in [(0, FEW), (1, MANY)] {
                self.finished(rows)?;
                self.enqueue(JOBS)?;
                took[which] = JOBS as f64 / self.drain()?;
            }
            if round > 0 {
                pairs.push((took[0], took[1]));
            }
        }
        Ok(pairs)
    }

    /// Leaves so many finished jobs in the table, and no others.
    fn finished(&self, rows: i64) -> Result<()> {
        self.run("DELETE FROM core_jobs")?;
        self.run(&format!(
            "INSERT INTO core_jobs (queue, extension, handler, args, state, priority, run_at, attempt, max_attempts, \
             created_at, finished_at, prune_at) \
             WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             SELECT '{SLUG}', '{SLUG}', 'ok', 'null', 4, 5, i, 1, 26, i, i, 99999999999999 FROM n"
        ))
    }

    fn run(&self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        let work = move |conn: &mut _| {
            diesel::sql_query(sql).execute(conn).map(drop).map_err(RunError::from)
        };
        Ok(self.runtime.block_on(self.place.booted.core.db.transaction(work))?)
    }

    /// Whether nothing waits and nothing runs, by the indexes that the platform itself asks: beside a million finished
    /// rows a plain count would be what is measured.
    fn is_empty(&self) -> Result<bool> {
        let db = &self.place.booted.core.db;
        let sizes = db.read(|conn| queue::sizes(conn, Utc::now()).map_err(RunError::from));
        let sizes = self.runtime.block_on(sizes)?;
        Ok(sizes.iter().all(|it| it.scheduled + it.ready + it.running + it.blocked == 0))
    }

    fn waiting(&self) -> Result<i64> {
        #[derive(diesel::QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            jobs: i64,
        }
        let work = |conn: &mut _| {
            let all = "SELECT count(*) AS jobs FROM core_jobs WHERE state < 4";
            diesel::sql_query(all).get_result::<Count>(conn).map_err(RunError::from)
        };
        Ok(self.runtime.block_on(self.place.booted.core.db.read(work))?.jobs)
    }
}
