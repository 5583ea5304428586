//! What the dispatcher promises, each on both engines.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32},
    },
    time::Instant,
};

use diesel::prelude::*;
use powernode_plugin_api::{
    Db,
    db::{HostConnection, migration},
};
use powernode_tests::postgres::Cluster;

use super::*;
use crate::{
    db::DatabaseSettings,
    gate::{Flag, FlagSet, Gates, Groups, Installed},
    migrator::{ExtensionMigrations, Migrator},
    queue::{self, Job, NewJob, Outcome, QueueError, State},
    services::MasterKey,
};

mod duties;
mod gates;
mod measure;
mod nodes;
mod runs;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ITEMS: &str = "CREATE TABLE shop_items (id BIGINT PRIMARY KEY);";
/// How long something may take that is expected to happen.
const SOON: Duration = Duration::from_secs(20);

/// A database with the core's tables, the gate of the extension `shop`, and a clock that can be set.
struct Fixture {
    engine: Engine,
    settings: DatabaseSettings,
    gate: Arc<Gate>,
    epoch: AtomicI64,
    /// Milliseconds that the clock is ahead.
    ahead: Arc<AtomicI64>,
    wake: Wake,
    folder: tempfile::TempDir,
}

/// Runs `test` on SQLite, and on PostgreSQL where that is installed.
fn on_both(test: impl Fn(&Fixture)) {
    on_sqlite(&test);
    on_postgres(&test);
}

fn on_sqlite(test: impl Fn(&Fixture)) {
    let folder = tempfile::tempdir().unwrap();
    let settings = DatabaseSettings::sqlite(folder.path().join("powernode.db"));
    test(&Fixture::new(settings, folder));
}

fn on_postgres(test: impl Fn(&Fixture)) {
    let Some(cluster) = Cluster::shared() else { return };
    let settings = DatabaseSettings::postgres(cluster.database().unwrap());
    test(&Fixture::new(settings, tempfile::tempdir().unwrap()));
}

impl Fixture {
    fn new(settings: DatabaseSettings, folder: tempfile::TempDir) -> Self {
        let engine = Engine::open(&settings).unwrap();
        engine.keep_with(Arc::new(MasterKey::parse(KEY).unwrap()));
        let migrations = vec![migration("1_items", ITEMS, "SELECT 1", ITEMS, "SELECT 1")];
        let sources = [ExtensionMigrations { slug: "shop".to_owned(), migrations }];
        let migrator = Migrator::new(&engine);
        for outcome in migrator.run(&migrator.plan(&sources).unwrap()).unwrap() {
            outcome.result.unwrap();
        }
        let gate = Arc::new(Gate::new(Groups::standard()));
        gate.install(vec![Installed {
            slug: "shop".to_owned(),
            flag: "shop_mode".to_owned(),
            loaded: Ok(()),
            state_disabled: false,
            quarantined: None,
            capabilities: Vec::new(),
            dependencies: Vec::new(),
        }]);
        let (ahead, wake) = (Arc::<AtomicI64>::default(), Wake::default());
        let (clock, rung) = (clock(&ahead), wake.clone());
        queue::serve(&engine, move || clock(), move || rung.ring());
        let it = Self { engine, settings, gate, epoch: AtomicI64::new(0), ahead, wake, folder };
        it.switch(true);
        it.core(|conn| Ok(queue::ensure(conn, "shop", &[])?));
        it
    }

    fn switch(&self, on: bool) {
        let flag = Flag {
            name: "shop_mode".into(),
            description: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            chosen: true,
            gates: Gates { boolean: on, ..Gates::default() },
            changed: None,
        };
        self.gate.publish(FlagSet::new(self.epoch.fetch_add(1, Ordering::SeqCst), [flag]));
    }

    fn workshop(&self, handler: impl Handler) -> Workshop {
        let mut crew = Crew::default();
        assert!(crew.register("shop", "send", Options::default(), handler));
        Workshop {
            engine: self.engine.clone(),
            gate: self.gate.clone(),
            crew: Arc::new(crew),
            clock: clock(&self.ahead),
            wake: self.wake.clone(),
            meters: JobMeters::default(),
            lock: self.folder.path().join("jobs.lock"),
        }
    }

    fn work(&self, handler: impl Handler) -> Worker {
        Worker::start(self.workshop(handler), settings()).unwrap()
    }

    /// Another process, as far as the job lock, the bell and the database's connections go.
    fn other(&self, name: &str, handler: impl Handler) -> Worker {
        let lock = self.folder.path().join(name);
        let shop = self.workshop(handler);
        let engine = Engine::open(&self.settings).unwrap();
        Worker::start(Workshop { lock, engine, wake: Wake::default(), ..shop }, settings()).unwrap()
    }

    /// Runs `work` in a transaction of the core's.
    fn core<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HostConnection) -> Result<T, QueueError> + Send + 'static,
    ) -> T {
        block_on(self.engine.core().transaction(work)).unwrap()
    }

    /// Enqueues as an extension does, in a transaction of its own.
    fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<i64> {
        let shop = Db::new(self.engine.for_extension("shop"));
        let written = shop.transaction(move |conn| {
            let text = serde_json::to_string(&jobs).unwrap();
            let call = diesel::sql_query("SELECT core_enqueue($1)")
                .bind::<diesel::sql_types::Text, _>(text);
            Ok::<_, QueueError>(call.get_result::<Answer>(conn)?.answer)
        });
        let numbers: Vec<Option<i64>> = serde_json::from_str(&block_on(written).unwrap()).unwrap();
        numbers.into_iter().flatten().collect()
    }

    fn put(&self, job: NewJob) -> i64 {
        self.enqueue(vec![job])[0]
    }

    fn job(&self, id: i64) -> Job {
        self.core(move |conn| Ok(queue::find(conn, id)?)).unwrap()
    }

    #[track_caller]
    fn until(&self, id: i64, state: State) -> Job {
        until(
            || Some(self.job(id)).filter(|it| it.state == state),
            || format!("{:?}", self.job(id)),
        )
    }

    /// The tables as they are, behind the queue's back.
    fn meddle(&self, sql: &'static str) {
        self.core(move |conn| Ok(diesel::sql_query(sql).execute(conn)?));
    }
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = diesel::sql_types::Text)]
    answer: String,
}

fn clock(ahead: &Arc<AtomicI64>) -> Clock {
    let ahead = ahead.clone();
    Arc::new(move || Utc::now() + chrono::TimeDelta::milliseconds(ahead.load(Ordering::SeqCst)))
}

/// Nothing is noticed by chance: what must be noticed at once rings or closes.
fn settings() -> WorkerSettings {
    WorkerSettings {
        grace: Duration::from_secs(1),
        rescue_after: Duration::from_secs(1),
        poll: Duration::from_secs(60),
        ..WorkerSettings::default()
    }
}

fn job() -> NewJob {
    NewJob::new("send", "{}")
}

async fn done(_: Task) -> Outcome {
    Outcome::Done
}

/// Waits for what `look` answers, and says what was there instead.
#[track_caller]
fn until<T>(look: impl Fn() -> Option<T>, instead: impl Fn() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "it did not happen: {}", instead());
        thread::sleep(Duration::from_millis(5));
    }
}

/// What handlers note down.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[track_caller]
    fn until(&self, expected: &[&str]) {
        until(|| (self.all() == expected).then_some(()), || format!("{:?}", self.all()));
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
