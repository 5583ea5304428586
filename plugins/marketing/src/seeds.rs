//! Seeds: what a new account begins with, and something to look at.
//!
//! Each looks for its own row by the slug, which never changes: what is there is left alone.

use chrono::TimeDelta;
use diesel::prelude::*;
use powernode_plugin_api::{host::Account, prelude::*};
use serde_json::{Value, json};

use crate::{
    models::{Actor, Campaign, EmailList, metric::NewMetric},
    schema::{marketing_campaigns as campaign_rows, marketing_email_lists as list_rows},
    services::{analytics, audience, calendar, campaigns, contents, email_lists, subscribers},
};

/// Accounts that are asked for at once.
const AT_ONCE: u32 = 500;

/// Adds all of them.
pub fn add(seeds: &mut Seeds) {
    seeds.add(Tier::Baseline, "a newsletter for each account", |host| {
        each_account(host, newsletter)
    });
    seeds.add(Tier::Demo, "a campaign with contents, readers and figures", |host| {
        each_account(host, demo)
    });
}

/// Runs a seed for one account after the other, each in a transaction of its own.
async fn each_account(
    host: Host,
    seed: fn(&mut HostConnection, Actor) -> Result<usize>,
) -> Result<usize> {
    let (mut rows, mut after) = (0, None);
    loop {
        let accounts = host.accounts().all(after, AT_ONCE).await?;
        let Some(Account { id, .. }) = accounts.last() else { return Ok(rows) };
        after = Some(*id);
        for account in accounts {
            let actor = Actor { account: account.id, user: None, now: host.runtime().now() };
            rows += host.db().transaction(move |conn| seed(conn, actor)).await?;
        }
    }
}

fn newsletter(conn: &mut HostConnection, actor: Actor) -> Result<usize> {
    if has_list(conn, actor, "newsletter")? {
        return Ok(0);
    }
    let new = json!({
        "name": "Newsletter",
        "welcome_subject": "Welcome",
        "welcome_body": "Thank you for reading along.",
    });
    email_lists::create(conn, actor, read(new)?).map(|_| 1)
}

fn demo(conn: &mut HostConnection, actor: Actor) -> Result<usize> {
    let there = campaign_rows::table
        .filter(campaign_rows::account_id.eq(actor.account))
        .filter(campaign_rows::slug.eq("demo-spring-sale"));
    if diesel::select(diesel::dsl::exists(there)).get_result(conn)? {
        return Ok(0);
    }
    let new = json!({
        "name": "Demo: Spring Sale",
        "campaign_type": "email",
        "budget_cents": 250_000,
        "tags": ["demo"],
    });
    let campaign = campaigns::create(conn, actor, read(new)?)?.id;
    let mut rows = 1;
    for (variant, subject) in [("A", "Spring is here"), ("B", "20 % off until Sunday")] {
        let new = json!({
            "channel": "email", "variant_name": variant, "subject": subject,
            "body": "Have a look at what is new.",
        });
        contents::create(conn, actor, campaign, read(new)?)?;
        rows += 1;
    }
    rows += readers(conn, actor, campaign)?;
    let today = actor.now.date_naive();
    for (title, rule) in [("Demo: Sale begins", None), ("Demo: Newsletter", Some("FREQ=WEEKLY"))] {
        let new = json!({
            "title": title, "entry_type": "email", "scheduled_date": today,
            "recurrence_rule": rule, "campaign_id": campaign,
        });
        calendar::create(conn, actor, read(new)?)?;
        rows += 1;
    }
    for day in 1..=14_i64 {
        let new = json!({
            "channel": "email", "date": today - TimeDelta::days(day),
            "figures": {
                "sends": 1_000, "deliveries": 980 - day, "opens": 400 + 7 * day,
                "unique_opens": 300 + 5 * day, "clicks": 60 + day, "conversions": 6 + day % 4,
                "bounces": 20 + day, "revenue_cents": 40_000 + 900 * day, "cost_cents": 15_000,
            },
        });
        analytics::enter(conn, actor, campaign, read::<NewMetric>(new)?)?;
        rows += 1;
    }
    Ok(rows)
}

/// A list with subscribers, to which the campaign goes.
fn readers(conn: &mut HostConnection, actor: Actor, campaign: Id<Campaign>) -> Result<usize> {
    if has_list(conn, actor, "demo-readers")? {
        return Ok(0);
    }
    let new = json!({ "name": "Demo: Readers", "double_opt_in": false });
    let list: EmailList = email_lists::create(conn, actor, read(new)?)?.list;
    for name in ["Ann", "Ben", "Cleo"] {
        let email = format!("{}@example.com", name.to_lowercase());
        let new = json!({ "email": email, "first_name": name, "source": "demo" });
        subscribers::add(conn, actor, list.id, read(new)?)?;
    }
    audience::attach(conn, actor, (campaign, list.id))?;
    Ok(5)
}

fn has_list(conn: &mut HostConnection, actor: Actor, slug: &str) -> Result<bool> {
    let there = list_rows::table
        .filter(list_rows::account_id.eq(actor.account))
        .filter(list_rows::slug.eq(slug));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result(conn)?)
}

/// Reads what a client would send.
fn read<T: serde::de::DeserializeOwned>(new: Value) -> Result<T> {
    serde_json::from_value(new).map_err(Error::internal)
}
