//! The queue's promises, each on both engines.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use powernode_plugin_api::db::{Db, HostConnection, migration};
use powernode_tests::postgres::Cluster;

use super::*;
use crate::{
    db::{DatabaseSettings, Engine},
    migrator::{ExtensionMigrations, Migrator},
    services::MasterKey,
};

mod admin;
mod claims;
mod finishes;
mod gates;
mod measure;
mod plans;
mod schedules;
mod within;
mod writes;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ITEMS: &str = "CREATE TABLE shop_items (id BIGINT PRIMARY KEY, name TEXT NOT NULL);";

/// A database with the core's tables and those of the extension `shop`.
struct Fixture {
    engine: Engine,
    settings: DatabaseSettings,
    _folder: tempfile::TempDir,
}

/// Runs `test` on SQLite, and on PostgreSQL where that is installed.
fn on_both(test: impl Fn(&Fixture)) {
    let folder = tempfile::tempdir().unwrap();
    let settings = DatabaseSettings::sqlite(folder.path().join("powernode.db"));
    test(&Fixture::new(settings, folder));
    on_postgres(test);
}

fn on_postgres(test: impl Fn(&Fixture)) {
    let Some(cluster) = Cluster::shared() else { return };
    let settings = DatabaseSettings::postgres(cluster.database().unwrap());
    test(&Fixture::new(settings, tempfile::tempdir().unwrap()));
}

fn open(settings: &DatabaseSettings) -> Engine {
    let engine = Engine::open(settings).unwrap();
    engine.keep_with(Arc::new(MasterKey::parse(KEY).unwrap()));
    serve(&engine, || at(0), || {});
    engine
}

impl Fixture {
    fn new(settings: DatabaseSettings, folder: tempfile::TempDir) -> Self {
        let engine = open(&settings);
        let migrations = vec![migration("1_items", ITEMS, "SELECT 1", ITEMS, "SELECT 1")];
        let migrator = Migrator::new(&engine);
        let sources = [ExtensionMigrations { slug: "shop".to_owned(), migrations }];
        let plan = migrator.plan(&sources).unwrap();
        for outcome in migrator.run(&plan).unwrap() {
            outcome.result.unwrap();
        }
        Self { engine, settings, _folder: folder }
    }

    /// Runs `work` in a transaction of the core's.
    fn core<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HostConnection) -> Result<T, QueueError> + Send + 'static,
    ) -> T {
        block_on(self.engine.core().transaction(work)).unwrap()
    }

    fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<Option<i64>> {
        self.core(move |conn| enqueue(conn, "shop", &jobs, at(0)))
    }

    /// Enqueues one, and answers its number.
    fn put(&self, job: NewJob) -> i64 {
        self.enqueue(vec![job])[0].unwrap()
    }

    /// What node `n` claims of the queue `shop` at `seconds`.
    fn claim_at(&self, seconds: i64, slots: u32) -> Vec<Claimed> {
        self.claim_of(&[want("shop", "send", slots)], seconds)
    }

    fn claim_of(&self, wants: &[Want], seconds: i64) -> Vec<Claimed> {
        let wants = wants.to_vec();
        self.core(move |conn| Ok(claim(conn, "n", &wants, 100, at(seconds))?))
    }

    fn claim(&self, slots: u32) -> Vec<Claimed> {
        self.claim_at(0, slots)
    }

    fn finish_at(&self, seconds: i64, job: &Claimed, outcome: Outcome) -> Vec<Ended> {
        let finishes = [Finish::new(job, outcome)];
        self.core(move |conn| Ok(finish(conn, &finishes, at(seconds), &mut |_| 0)?))
    }

    fn finish(&self, job: &Claimed, outcome: Outcome) -> Vec<Ended> {
        self.finish_at(0, job, outcome)
    }

    fn stage_at(&self, seconds: i64) -> usize {
        self.core(move |conn| Ok(stage(conn, at(seconds), 1_000)?))
    }

    fn job(&self, id: i64) -> Job {
        self.core(move |conn| Ok(find(conn, id)?)).unwrap()
    }

    fn state(&self, id: i64) -> State {
        self.job(id).state
    }

    /// The tables as they are, behind the queue's back.
    fn meddle(&self, sql: &'static str) {
        self.core(move |conn| Ok(diesel::sql_query(sql).execute(conn)?));
    }
}

/// So many seconds after an arbitrary moment.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn job() -> NewJob {
    NewJob::new("send", "{}")
}

fn want(queue: &str, handler: &str, slots: u32) -> Want {
    Want { queue: queue.to_owned(), handlers: vec![handler.to_owned()], slots }
}

fn ids(jobs: &[Claimed]) -> Vec<i64> {
    jobs.iter().map(|it| it.fence.id).collect()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
