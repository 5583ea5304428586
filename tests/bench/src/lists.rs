//! The first page of an account's campaigns, whatever the number of rows of others.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, ensure};
use diesel::{Connection as _, connection::SimpleConnection as _};
use powernode_tests::{
    artefacts::{plugin, root},
    client::Client,
    instance::Instance,
    setup::Setup,
};
use serde_json::{Value, json};

use crate::figure::Figure;

const CAMPAIGNS: &str = "/api/v1/marketing/campaigns";
/// What each account holds.
const OWN: u64 = 1_000;
/// Accounts beside the one that asks.
const OTHERS: u64 = 999;
const ROUNDS: usize = 10;
const REQUESTS: usize = 300;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let (small, large) = (started(0)?, started(OTHERS)?);
    let (small, large) = (small.operator(), large.operator());
    let mut pairs = Vec::new();
    for round in 0..=ROUNDS {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for _ in 0..REQUESTS {
            one.push(asked(&small)?);
            other.push(asked(&large)?);
        }
        if round > 0 {
            pairs.push((p99(one), p99(other)));
        }
    }
    Ok(vec![Figure::beside("list_endpoint_p99", "ms", &pairs).at_most(2.0)])
}

/// Milliseconds until the first page is there.
fn asked(client: &Client) -> Result<f64> {
    let begun = Instant::now();
    let answer = client.get(CAMPAIGNS)?;
    let took = begun.elapsed();
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(took.as_secs_f64() * 1e3)
}

/// The time that one of a hundred exceeds.
pub(crate) fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}

/// Starts a platform whose operator holds 1,000 campaigns, beside so many accounts that hold as many.
fn started(others: u64) -> Result<Instance> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    let setup = Setup::new()?
        .with_setting("limits.per_address", "1000000000")
        .with_setting("limits.per_token", "1000000000")
        .with_extension(&plugin("powernode-marketing")?, &manifest)?;
    let instance = setup.start()?;
    let operator = instance.operator();
    let new = json!({ "name": "The first", "campaign_type": "email", "channels": ["email"] });
    let created = operator.post(CAMPAIGNS, &new)?;
    ensure!(created.status == 201, "{}", created.text());
    fill(&instance, others)?;
    let page = operator.get(CAMPAIGNS)?.json();
    let total = page["meta"]["pagination"]["total_count"].as_u64();
    ensure!(total == Some(OWN), "{page}");
    Ok(instance)
}

/// Copies the one campaign that there is, past the API: a million requests would take an hour.
fn fill(instance: &Instance, others: u64) -> Result<()> {
    let file = instance.setup().data().join("powernode.db");
    let mut conn = diesel::SqliteConnection::establish(&file.to_string_lossy())?;
    let account = "(SELECT account_id FROM marketing_campaigns LIMIT 1)";
    let columns = "description, campaign_type, status, channels, budget_cents, currency,
        target_audience, tags, settings, created_at, updated_at";
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 20000;
         BEGIN IMMEDIATE;
         CREATE TEMP TABLE holder AS
           WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {others})
           SELECT unhex(printf('0190000000007000a000%012x', n)) AS id, {OWN} AS campaigns
             FROM n WHERE {others} > 0;
         INSERT INTO core_accounts (id, name, created_at)
           SELECT h.id, 'Account ' || hex(h.id), a.created_at FROM holder h, core_accounts a
             WHERE a.id = {account};
         INSERT INTO holder VALUES ({account}, {OWN} - 1);
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {OWN})
         INSERT INTO marketing_campaigns (id, account_id, user_id, name, slug, {columns})
           SELECT unhex(printf('0190000000007000b000%012x', h.rowid * 100000 + n.n)), h.id, c.user_id,
                  'Campaign ' || n.n, 'campaign-' || n.n, {columns}
             FROM holder h, n, (SELECT * FROM marketing_campaigns LIMIT 1) c
             WHERE n.n <= h.campaigns;
         COMMIT;
         ANALYZE;"
    ))
    .context("cannot fill the tables")
}
