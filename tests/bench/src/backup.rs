//! What requests pay while a backup of a hundred megabytes is made.

use std::{process::Stdio, time::Instant};

use anyhow::{Context as _, Result, ensure};
use diesel::{Connection as _, connection::SimpleConnection as _};
use powernode_tests::{
    client::Client,
    instance::Instance,
    library::{Build, Library, Package},
    setup::Setup,
};

use crate::{figure::Figure, lists::p99, place};

const ROWS: u32 = 100_000;
const ROUNDS: usize = 10;
const REQUESTS: usize = 500;
const ROUTE: &str = "/api/v1/fixture-000/read?work=pk&times=1";

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let instance = started()?;
    let client = instance.operator();
    let (mut pairs, mut seconds) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let quiet = (0..REQUESTS).map(|_| asked(&client)).collect::<Result<Vec<_>>>()?;
        let to = instance.setup().data().join(format!("backup-{round}"));
        let begun = Instant::now();
        let mut backup = instance.setup().command();
        backup.args(["backup", "create", "--to"]).arg(&to).stdout(Stdio::null());
        let mut backup = backup.stderr(Stdio::null()).spawn()?;
        let mut beside = Vec::new();
        let ended = loop {
            beside.push(asked(&client)?);
            if let Some(ended) = backup.try_wait()? {
                break ended;
            }
        };
        ensure!(ended.success(), "the backup failed: {ended}");
        ensure!(to.exists(), "there is no backup");
        if round > 0 {
            pairs.push((p99(quiet), p99(beside)));
            seconds.push(begun.elapsed().as_secs_f64());
        }
        std::fs::remove_dir_all(&to)?;
    }
    Ok(vec![
        Figure::beside("backup_100mb", "ms", &pairs).at_most(2.0),
        Figure::of("backup_100mb_time", "s", &seconds),
    ])
}

fn asked(client: &Client) -> Result<f64> {
    let begun = Instant::now();
    let answer = client.get(ROUTE)?;
    let took = begun.elapsed();
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(took.as_secs_f64() * 1e3)
}

/// Starts a platform whose extension holds rows of a kilobyte each.
fn started() -> Result<Instance> {
    let setup = Setup::new()?
        .with_setting("limits.per_address", "1000000000")
        .with_setting("limits.per_token", "1000000000");
    let slug = place::slug(0);
    let library = Library::built("queries", Build::Optimized)?;
    Package::new(&slug, library.stamped(&slug)?).write(&setup.extensions().join(&slug))?;
    let instance = setup.start()?;
    let file = instance.setup().data().join("powernode.db");
    let mut conn = diesel::SqliteConnection::establish(&file.to_string_lossy())?;
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 20000;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
         INSERT INTO fixture_000_rows
           SELECT n, n % 10, hex(randomblob(512)), 'a@example.com', 'subscribed', n, n / 8.0, 1 FROM n;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))
    .context("cannot fill the table")?;
    let size = std::fs::metadata(&file)?.len();
    ensure!(size > 100 << 20, "the database has {size} bytes only");
    Ok(instance)
}
