//! Two accounts never see or change each other's rows: over every route that the merged OpenAPI has of marketing.
//!
//! The cases are made from the description: each path with ids of the other account in every mixture with one's own,
//! each id in a body or a query, each list and each sum before and after the other account wrote. Then the same with
//! the stranger taken for the owner, as a platform that forgets to ask would: each case must see that.

mod description;
mod world;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    artefacts::{plugin, root},
    client::Client,
    instance::Instance,
    postgres::Cluster,
    report::{Failure, Report},
    setup::Setup,
};
use serde_json::{Value, json};

use crate::{
    description::{Route, routes},
    world::World,
};

#[test]
fn two_accounts_never_see_or_change_each_others_rows() -> Result<()> {
    let mut report = Report::begin("account_isolation");
    judge(&started(setup()?)?, "sqlite", &mut report)?;
    if let Some(cluster) = Cluster::shared() {
        let setup = setup()?.with_setting("database.url", &cluster.database()?);
        judge(&started(setup)?, "postgres", &mut report).context("on PostgreSQL")?;
    }
    report.finish();
    Ok(())
}

fn setup() -> Result<Setup> {
    Ok(Setup::new()?
        .with_setting("limits.per_address", "100000000")
        .with_setting("limits.per_token", "100000000")
        .with_setting("extension.marketing.social_adapter", "dry_run")
        .with_setting("extension.marketing.transport", "file")
        .with_setting("extension.marketing.mail_folder", "data/outbox")
        .with_setting("extension.marketing.from", "news@example.com")
        .with_setting("extension.marketing.public_url", "https://example.com"))
}

fn started(setup: Setup) -> Result<Instance> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    setup.with_extension(&plugin("powernode-marketing")?, &manifest)?.start()
}

/// Runs the cases of every route, with a stranger and with one who is taken for the owner.
fn judge(instance: &Instance, engine: &str, report: &mut Report) -> Result<()> {
    let routes = routes(&instance.operator().get("/api/openapi.json")?.json())?;
    ensure!(routes.len() >= 50, "the description has {} routes of marketing alone", routes.len());
    let (owner, stranger) = (account(instance, "Owner")?, account(instance, "Stranger")?);
    let (of_installation, of_accounts): (Vec<_>, Vec<_>) =
        routes.iter().partition(|it| it.is_of_installation());
    for route in of_installation {
        let refused = route.send(&stranger, &[], None)?;
        report.case(format!("{engine}: {}", route.name()), "404", refused.status.to_string());
    }
    for route in of_accounts {
        let mut count = 0;
        for (case, found) in cases(route, &routes, &owner, &stranger)? {
            count += 1;
            let case = format!("{engine}: {case}");
            report.count(found.map_err(|(expected, got)| Failure { case, expected, got }));
        }
        ensure!(count > 0 || route.is_for_links(), "{} has no case", route.name());
        for (case, found) in cases(route, &routes, &owner, &owner)? {
            let seen = if found.is_err() { "seen" } else { "not seen" };
            report.case(format!("{engine}: planted: {case}"), "seen", seen);
        }
    }
    let links = routes.iter().filter(|it| it.is_for_links()).count();
    ensure!(links == 6, "{links} routes are for links, whose account is the actor; there were 6");
    Ok(())
}

fn account(instance: &Instance, name: &str) -> Result<Client> {
    let account = instance.cli(&["--json", "accounts", "create", name])?.json()?;
    let id = account["id"].as_str().context("no account")?.to_owned();
    let said =
        instance.cli(&["--json", "tokens", "create", "--account", &id, "--scope", "*"])?.json()?;
    Ok(instance.client(said["token"].as_str().context("no token")?))
}

/// What should have been, and what was.
type Found = Result<(), (String, String)>;

/// The cases of one route, on rows of their own.
fn cases(
    route: &Route,
    routes: &[Route],
    owner: &Client,
    stranger: &Client,
) -> Result<Vec<(String, Found)>> {
    if route.is_for_links() {
        return Ok(Vec::new());
    }
    let same = std::ptr::eq(owner, stranger);
    let mine = if same { None } else { Some(World::fill(stranger, "Mine")?) };
    // What the stranger sees of a whole must not depend on what the owner writes.
    let before = route.is_whole().then(|| see(route, stranger)).transpose()?;
    let owner_before = route.is_whole().then(|| see(route, owner)).transpose()?;
    let theirs = World::fill(owner, "Theirs")?;
    let mine = mine.as_ref().unwrap_or(&theirs);
    let mut found = Vec::new();
    if let (Some(before), Some(owner_before)) = (before, owner_before) {
        ensure!(owner_before != see(route, owner)?, "{} shows the owner nothing", route.name());
        let after = see(route, stranger)?;
        let held = if before == after { Ok(()) } else { Err((before, after)) };
        found.push((format!("{} whole", route.name()), held));
    }

    let fingerprint = theirs.fingerprint(routes)?;
    let mut attacks = Vec::new();
    // Taken for the owner, all ids are one's own: there is one mixture then.
    let all = (1_usize << route.kinds.len()) - 1;
    for mixture in (1..=all).filter(|it| !same || *it == all) {
        let ids = route.kinds.iter().enumerate();
        let ids: Vec<_> = ids
            .map(|(at, kind)| if mixture >> at & 1 == 1 { theirs.id(kind) } else { mine.id(kind) })
            .collect::<Result<_>>()?;
        let case = format!("{} with ids {mixture:b}", route.name());
        attacks.push((case, ids, None));
    }
    let own: Vec<_> = route.kinds.iter().map(|it| mine.id(it)).collect::<Result<_>>()?;
    for (field, kind) in &route.fields {
        let case = format!("{} with {field}", route.name());
        attacks.push((case, own.clone(), Some((field, theirs.id(kind)?))));
    }
    for (case, ids, field) in attacks {
        let nested = field.map(|(name, id)| (name.as_str(), id));
        let answer = route.send(stranger, &ids, nested)?;
        let unasked = if route.is_read() { Some(route.send(stranger, &own, None)?) } else { None };
        // A filter that another account's id does not narrow gives nothing away either.
        let ignored = nested.is_some()
            && !same
            && unasked.is_some_and(|it| it.status == 200 && it.body == answer.body);
        let held = answer.failure() == "404 NOT_FOUND" || ignored;
        let got = format!("{} {}", answer.status, answer.text());
        found.push((case, if held { Ok(()) } else { Err(("404 NOT_FOUND".to_owned(), got)) }));
    }
    if route.creates() {
        // Also with the owner's own words: what is unique is so within an account.
        let answer = route.send(stranger, &[], None)?;
        let after = theirs.fingerprint(routes)?;
        ensure!((200..300).contains(&answer.status), "{}: {}", route.name(), answer.text());
        let held = if after == fingerprint { Ok(()) } else { Err((fingerprint.clone(), after)) };
        found.push((format!("{} beside", route.name()), held));
    } else if !same && !route.is_read() {
        let after = theirs.fingerprint(routes)?;
        let held = if after == fingerprint { Ok(()) } else { Err((fingerprint.clone(), after)) };
        found.push((format!("{} changed nothing", route.name()), held));
    }
    if !same && !route.kinds.is_empty() {
        // The request itself is fine: it is the account that it fails for.
        let ids: Vec<_> = route.kinds.iter().map(|it| theirs.id(it)).collect::<Result<_>>()?;
        let answer = route.send(owner, &ids, None)?;
        ensure!(answer.status != 404, "{} is not there for its owner", route.name());
        ensure!(
            [200, 201, 204].contains(&answer.status) || answer.code() == "ILLEGAL_TRANSITION",
            "{} is no valid request: {}",
            route.name(),
            answer.text()
        );
    }
    Ok(found)
}

/// What a client reads of a whole: a list, a sum.
fn see(route: &Route, client: &Client) -> Result<String> {
    let answer = route.send(client, &[], None)?;
    ensure!(answer.status == 200, "{}: {}", route.name(), answer.text());
    Ok(answer.text())
}
