//! Queries of an extension beside the same queries over diesel's own connections.
//!
//! Both sides measure themselves inside one open job; what it takes to get there is a
//! figure of its own. Each side has a database of its own, with the same settings.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use diesel::{Connection as _, connection::SimpleConnection as _};
use powernode_plugin_api::db::RunError;
use powernode_tests::{
    library::{Build, Library, Package},
    postgres::Cluster,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    figure::Figure,
    load::{Ask, Clients},
    place::{self, Place},
    stable,
};

mod postgres;
#[expect(clippy::duplicate_mod, reason = "the same queries over another connection")]
mod sqlite;

const ROUNDS: usize = 25;
const HOPS: i64 = 400;
const SCALE_ROUNDS: usize = 12;

/// The work, its times in a round, whether it writes, and the figure on each database.
const CASES: [(&str, i64, bool, &str, &str); 4] = [
    ("pk", 2_000, false, "db_sqlite_pk", "db_pg_pk"),
    ("1000x8", 20, false, "db_sqlite_1000x8", "db_pg_1000x8"),
    ("insert_tx", 200, true, "db_sqlite_insert_tx", "db_pg_insert_tx"),
    ("batch500", 10, true, "db_sqlite_batch500", "db_pg_batch500"),
];

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let mut figures = on_sqlite()?;
    match Cluster::shared() {
        Some(cluster) => figures.extend(on_postgres(cluster)?),
        None => eprintln!("skipped: the figures on PostgreSQL"),
    }
    figures.extend(read_scale()?);
    Ok(figures)
}

fn on_sqlite() -> Result<Vec<Figure>> {
    stable::plans();
    let directory = TempDir::new()?;
    let file = directory.path().join("native.db");
    let mut native = diesel::SqliteConnection::establish(&file.to_string_lossy())?;
    // As the platform opens its own.
    native.batch_execute(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA foreign_keys = ON; PRAGMA case_sensitive_like = ON; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8000; PRAGMA trusted_schema = OFF;",
    )?;
    native.batch_execute(include_str!(
        "../../fixtures/queries/migrations/sqlite/2026-01-01-000000_rows/up.sql"
    ))?;
    let mut plugin = Plugin::on(&[])?;
    let mut figures = Vec::new();
    for (name, times, writes, figure, _) in CASES {
        let work = sqlite::work::find(name).context("no such work")?;
        let fill = sqlite::work::find("fill").context("no such work")?;
        let native = |run: bool| -> Result<()> {
            if run {
                work(&mut native, times)?
            } else {
                fill(&mut native, 0)?
            }
            Ok(())
        };
        figures.push(beside(figure, times, (name, writes), native, &mut plugin)?);
    }
    figures.push(hop(&mut plugin)?);
    Ok(figures)
}

/// A job that does nothing, of an extension beside one of the program itself: the way there and back.
fn hop(plugin: &mut Plugin) -> Result<Figure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let each = |nanoseconds: f64| nanoseconds / HOPS as f64 / 1e3;
    let mut pairs = Vec::new();
    for round in 0..=ROUNDS {
        let db = &plugin.place.booted.core.db;
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..HOPS {
                db.read(|_| Ok::<_, RunError>(())).await?;
            }
            Ok::<_, RunError>(())
        })?;
        let own = begun.elapsed().as_secs_f64() * 1e9;
        let across = plugin.took("GET", "hop", "", HOPS)?;
        if round > 0 {
            pairs.push((each(own), each(across)));
        }
    }
    Ok(Figure::beside("db_run_hop_us", "us", &pairs))
}

fn on_postgres(cluster: &Cluster) -> Result<Vec<Figure>> {
    let mut native = diesel::PgConnection::establish(&cluster.database()?)?;
    native.batch_execute(include_str!(
        "../../fixtures/queries/migrations/postgres/2026-01-01-000000_rows/up.sql"
    ))?;
    let mut plugin = Plugin::on(&[("database.url", &cluster.database()?)])?;
    let mut figures = Vec::new();
    for (name, times, writes, _, figure) in CASES {
        let work = postgres::work::find(name).context("no such work")?;
        let fill = postgres::work::find("fill").context("no such work")?;
        let native = |run: bool| -> Result<()> {
            if run {
                work(&mut native, times)?
            } else {
                fill(&mut native, 0)?
            }
            Ok(())
        };
        figures.push(beside(figure, times, (name, writes), native, &mut plugin)?);
    }
    Ok(figures)
}

/// Both sides in turn; each begins with the same rows, and the first round does not count.
fn beside(
    figure: &'static str,
    times: i64,
    (work, writes): (&str, bool),
    mut native: impl FnMut(bool) -> Result<()>,
    plugin: &mut Plugin,
) -> Result<Figure> {
    let (method, path) = if writes { ("POST", "write") } else { ("GET", "read") };
    let mut pairs = Vec::new();
    for round in 0..=ROUNDS {
        let mut took = (0.0, 0.0);
        // The side that goes first changes: A B, B A.
        for side in [round % 2, 1 - round % 2] {
            if side == 0 {
                native(false)?;
                let begun = Instant::now();
                native(true)?;
                took.0 = begun.elapsed().as_secs_f64() * 1e9;
            } else {
                plugin.took("POST", "write", "fill", 0)?;
                took.1 = plugin.took(method, path, work, times)?;
            }
        }
        if round > 0 {
            pairs.push((took.0 / times as f64 / 1e3, took.1 / times as f64 / 1e3));
        }
    }
    Ok(Figure::beside(figure, "us", &pairs).at_most(1.25))
}

/// Reads per second with one, two and four connections that read, in turn, each beside a steady writer.
fn read_scale() -> Result<Vec<Figure>> {
    let on = |readers| Plugin::on(&[("database.readers", readers)]);
    let mut plugins = [on("1")?, on("2")?, on("4")?];
    let mut rounds = Vec::new();
    for round in 0..=SCALE_ROUNDS {
        let mut rates = [0.0; 3];
        // The one that goes first changes.
        for turn in 0..plugins.len() {
            let which = (turn + round) % plugins.len();
            rates[which] = reads_per_second(&mut plugins[which])?;
        }
        if round > 0 {
            rounds.push(rates);
        }
    }
    let beside = |name, which: usize| {
        let pairs: Vec<_> = rounds.iter().map(|rates| (rates[0], rates[which])).collect();
        Figure::beside(name, "reads/s", &pairs)
    };
    let one: Vec<_> = rounds.iter().map(|rates| rates[0]).collect();
    Ok(vec![
        Figure::of("db_read_scale_1", "reads/s", &one),
        beside("db_read_scale_2", 1),
        beside("db_read_scale_4", 2),
        beside("db_read_scale", 2).with_note("four readers, beside one".to_owned()),
    ])
}

fn reads_per_second(plugin: &mut Plugin) -> Result<f64> {
    const READS: i64 = 200;
    const REQUESTS: usize = 320;
    let ask = |method, path: &str| Ask::new(method, path, &plugin.place.token, "");
    let read = ask("GET", &format!("/api/v1/fixture-000/read?work=pk&times={READS}"));
    let write = ask("POST", "/api/v1/fixture-000/write?work=insert_tx&times=1");
    let mut writer = Clients::connect(plugin.place.port)?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writes = scope.spawn(|| -> Result<()> {
            while !ended.load(Ordering::Relaxed) {
                writer.once(&write)?;
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let begun = Instant::now();
        let outcome = plugin.clients.ask(std::iter::repeat(&read), REQUESTS);
        let took = begun.elapsed();
        ended.store(true, Ordering::Relaxed);
        outcome?;
        writes.join().map_err(|_| anyhow!("the writer panicked"))??;
        Ok(REQUESTS as f64 * READS as f64 / took.as_secs_f64())
    })
}

/// The extension that runs the queries, and a client of it.
struct Plugin {
    place: Place,
    clients: Clients,
}

impl Plugin {
    /// Boots a platform with these settings.
    fn on(settings: &[(&str, &str)]) -> Result<Self> {
        let install = |extensions: PathBuf| -> Result<()> {
            let slug = place::slug(0);
            let library = Library::built("queries", Build::Optimized)?;
            Package::new(&slug, library.stamped(&slug)?).write(&extensions.join(&slug))
        };
        let place = Place::with(install, settings, |_| ())?;
        let clients = Clients::connect(place.port)?;
        let mut plugin = Self { place, clients };
        plugin.took("POST", "write", "fill", 0)?;
        Ok(plugin)
    }

    /// What the extension says that its work took, in nanoseconds.
    fn took(&mut self, method: &str, path: &str, work: &str, times: i64) -> Result<f64> {
        let path = format!("/api/v1/fixture-000/{path}?work={work}&times={times}");
        let answer = self.clients.once(&Ask::new(method, &path, &self.place.token, ""))?;
        let answer: Value = serde_json::from_str(&answer)?;
        answer["data"]["nanoseconds"].as_f64().with_context(|| answer.to_string())
    }
}
