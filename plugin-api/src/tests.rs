//! What an extension contributes, called through the objects that cross the boundary.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use expect_test::{Expect, expect};
use powernode_abi::{PluginObject, RunOutcome, jobs::cancelled};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    events::NewEvent,
    export,
    host::{HttpError, JobState},
    jobs::{Cancelled, JobId, Missed, Once, Unique},
    played::{NO_METHOD, Played, REFUSED, Run, done},
    prelude::*,
    providers::{
        Charge, Demand, Entitlements, Feature, Mail, Mailbox, Money, Notification, Usage, Verdict,
    },
};

struct Shop;

#[derive(Deserialize)]
struct Letter {
    to: String,
    times: u32,
}

impl Extension for Shop {
    fn new(_: &Host) -> Result<Self> {
        Ok(Self)
    }

    fn jobs(jobs: &mut Jobs<Self>) {
        jobs.add("deliver", deliver).queue("mail").attempts(5).timeout(Duration::from_secs(60));
        jobs.add("sweep", sweep).priority(9).concurrency(2);
        jobs.add("judge", judge);
        jobs.cron("nightly", "0 3 * * *", "Europe/Berlin", "sweep").missed(Missed::All);
        jobs.every("often", Duration::from_millis(300_500), NewJob::new("deliver", &json!({})));
    }

    fn events(events: &mut Events<Self>) {
        events.on("blog.post.written", read).attempts(4).ordered();
        events.on("blog.*.removed", forget).named("forget");
    }

    fn providers(providers: &mut Providers<Self>) {
        providers.entitlements().provide(
            "shop.tax",
            &["rate"],
            |host, method, argument| async move {
                Ok(format!("\"{} {method} {argument}\"", host.slug()))
            },
        );
    }
}

async fn deliver(job: Job<Shop>, letter: Letter) -> Result<()> {
    job.progress(&json!({ "to": letter.to }))?;
    assert!(letter.to != "nobody", "nobody gets a letter");
    if job.attempt() <= letter.times {
        return Err(Error::conflict("the box is full"));
    }
    Ok(())
}

async fn sweep(job: Job<Shop>) -> Result<Outcome> {
    let forever = std::future::pending::<()>();
    match job.unless_cancelled(forever).await? {
        Ok(()) => Ok(Outcome::Done),
        Err(Cancelled::Closed) => Ok(Cancelled::Closed.into()),
        Err(other) => Ok(Outcome::dead(format!("{other:?}"))),
    }
}

async fn judge(_: Job<Shop>, how: String) -> Result<Outcome> {
    Ok(match how.as_str() {
        "discard" => Outcome::discard("old"),
        "dead" => Outcome::dead("broken"),
        "retry_in" => Outcome::retry_in(Duration::from_secs(2), "later"),
        "snooze" => Outcome::snooze(Duration::from_millis(1_500)),
        _ => Outcome::Done,
    })
}

async fn read(event: Event<Shop>, title: String) -> Result<Outcome> {
    Ok(Outcome::discard(format!("{} {title} {:?}", event.topic(), event.key())))
}

async fn forget(event: Event<Shop>) -> Result<()> {
    Err(Error::conflict(format!("{} was {}", event.uid(), event.version())))
}

impl Entitlements for Shop {
    async fn check(&self, _: &Host, demand: Demand) -> Result<Verdict> {
        match demand.resource.as_str() {
            "users" if demand.current + demand.amount > 2 => Ok(Verdict::denied("two users")),
            "users" => Ok(Verdict::within(2)),
            other => Err(Error::not_found(other)),
        }
    }

    async fn feature(&self, _: &Host, _: Feature) -> Result<Verdict> {
        panic!("asked on purpose")
    }
}

fn plugin(played: &Played) -> PluginObject {
    export::made::<Shop>(played.host(), "shop", "1.0.0").unwrap()
}

/// Runs a job by a handler's name.
fn run_of(name: &str, run: Run) -> Result<RunOutcome, String> {
    let handlers = plugin(&Played::default()).handlers().unwrap();
    let handler = handlers.iter().find(|it| it.name == name).unwrap();
    let ran = done(handler.handler.run(run.object()));
    ran.map_err(|panic| format!("panicked: {panic}"))?.into_result().map_err(|it| it.to_string())
}

#[track_caller]
fn check_run(name: &str, run: Run, outcome: Expect) {
    let said = match run_of(name, run) {
        Ok(it) => format!("{} {} {}", it.kind, it.number, it.text),
        Err(error) => error,
    };
    outcome.assert_eq(said.trim());
}

/// Runs `work` on a connection, and answers what was asked of the platform, and what came of it.
fn on_conn<T: std::fmt::Debug + Send + 'static>(
    played: &Played,
    work: impl FnOnce(&mut HostConnection) -> diesel::QueryResult<T> + Send + 'static,
) -> String {
    drop(plugin(played));
    let host = Host::new(&played.host());
    let answer = done(host.db().transaction(move |conn| Ok::<_, Error>(work(conn)?)));
    let answer = answer.map_or_else(|error| error.to_string(), |it| format!("{it:?}"));
    format!("{}\n{answer}", played.notes().join("\n"))
}

#[test]
fn handlers_schedules_and_subscriptions_cross_as_they_were_said() {
    let plugin = plugin(&Played::default());
    let handlers = plugin.handlers().unwrap();
    let handlers: Vec<_> =
        handlers.iter().map(|it| format!("{} {}", it.name, it.options)).collect();
    expect![[r#"
        deliver {"queue":"mail","timeout_ms":60000,"max_attempts":5}
        sweep {"priority":9,"concurrency":2}
        judge {}
        on:blog.post.written {"max_attempts":4}
        forget {}"#]]
    .assert_eq(&handlers.join("\n"));
    let schedules: Value = serde_json::from_str(&plugin.schedules().unwrap()).unwrap();
    let nightly = json!({
        "name": "nightly", "expression": "0 3 * * *", "zone": "Europe/Berlin", "missed": "all",
        "job": { "handler": "sweep", "args": "null", "priority": 9 },
    });
    let often = json!({
        "name": "often", "expression": "every 300s", "zone": "UTC", "missed": "once",
        "job": {
            "handler": "deliver", "args": "{}", "queue": "mail", "timeout_ms": 60_000,
            "max_attempts": 5,
        },
    });
    assert_eq!(schedules, json!([nightly, often]));
    expect![[r#"[{"handler":"on:blog.post.written","pattern":"blog.post.written","ordered":true},{"handler":"forget","pattern":"blog.*.removed","ordered":false}]"#]]
    .assert_eq(&plugin.subscriptions().unwrap());
    let providers = plugin.providers().unwrap();
    let providers: Vec<_> =
        providers.iter().map(|it| format!("{} {}", it.key, it.contract)).collect();
    expect![[r#"
        entitlements {"version":1,"methods":["check","feature"]}
        shop.tax {"version":1,"methods":["rate"]}"#]]
    .assert_eq(&providers.join("\n"));
}

#[test]
fn a_run_ends_as_its_handler_says() {
    let letter = |to: &str| Run::new(&json!({ "to": to, "times": 1 }).to_string());
    check_run("deliver", Run { attempt: 2, ..letter("ada") }, expect!["0 0"]);
    check_run("deliver", letter("ada"), expect!["1 0 the box is full"]);
    check_run("deliver", letter("nobody"), expect!["panicked: nobody gets a letter"]);
    check_run(
        "deliver",
        Run::new(r#"{"to":"ada","times":"x"}"#),
        expect![[
            r#"1 0 the arguments do not fit: times: invalid type: string "x", expected u32 at line 1 column 23"#
        ]],
    );
    check_run("judge", Run::new(r#""discard""#), expect!["3 0 old"]);
    check_run("judge", Run::new(r#""dead""#), expect!["4 0 broken"]);
    check_run("judge", Run::new(r#""retry_in""#), expect!["2 2000 later"]);
    check_run("judge", Run::new(r#""snooze""#), expect!["5 1500"]);
}

#[test]
fn a_run_learns_that_it_should_end() {
    let told = |cancelled| Run { cancelled, ..Run::new("null") };
    check_run("sweep", told(cancelled::CLOSED), expect!["5 0"]);
    check_run("sweep", told(cancelled::ASKED), expect!["4 0 Asked"]);
    check_run("sweep", told(99), expect!["4 0 Asked"]);
}

#[test]
fn a_job_tells_what_the_platform_says_of_it() {
    let shared = Arc::new(crate::request::Shared {
        host: Host::new(&Played::default().host()),
        extension: Shop,
    });
    let meta = r#"{"tick":"2026-01-02T03:00:00Z","account":"a"}"#.to_owned();
    let run = Run { meta: Some(meta), attempt: 3, ..Run::new("null") };
    let progress = run.progress.clone();
    let job = Job::new(run.object(), shared);
    assert_eq!((job.id(), job.queue(), job.idempotency_key()), (JobId(7), "shop:mail", "job:7:1"));
    assert_eq!(job.tick().map(|it| it.to_rfc3339()).as_deref(), Some("2026-01-02T03:00:00+00:00"));
    assert_eq!(job.meta::<String>("account").as_deref(), Some("a"));
    assert_eq!(job.meta::<u32>("account"), None);
    assert_eq!(job.created_at(), DateTime::<Utc>::from_timestamp(1, 0).unwrap());
    assert_eq!(job.due_at(), DateTime::<Utc>::from_timestamp(2, 0).unwrap());
    assert_eq!(job.time_left(), Duration::from_millis(500));
    assert!(job.is_last_attempt() && job.cancelled().is_none());
    job.progress(&json!({ "done": 1 })).unwrap();
    assert_eq!(*progress.lock().unwrap(), [r#"{"done":1}"#]);
}

#[test]
fn a_job_is_written_with_what_its_handler_says() {
    let played = Played::default();
    played.answer("SELECT core_enqueue($1)", "[4]");
    let asked = on_conn(&played, |conn| enqueue(conn, NewJob::new("deliver", &json!({ "a": 1 }))));
    expect![[r#"
        SELECT core_enqueue($1) [{"handler":"deliver","args":"{\"a\":1}","queue":"mail","timeout_ms":60000,"max_attempts":5}]
        Some(JobId(4))"#]]
    .assert_eq(&asked);
    let moment = DateTime::<Utc>::from_timestamp(60, 0).unwrap();
    let own = NewJob::new("deliver", &0)
        .queue("slow")
        .attempts(1)
        .priority(0)
        .timeout(Duration::from_millis(5))
        .at(moment)
        .serial("s")
        .unique(Unique::Period { key: "k".to_owned(), period_ms: 9 })
        .meta(&json!({ "account": "a" }));
    played.answer("SELECT core_enqueue($1)", "[null]");
    expect![[r#"
        SELECT core_enqueue($1) [{"handler":"deliver","args":"0","queue":"slow","priority":0,"run_at":"1970-01-01T00:01:00Z","timeout_ms":5,"max_attempts":1,"unique":{"period":{"key":"k","period_ms":9}},"serial":"s","meta":"{\"account\":\"a\"}"}]
        None"#]]
    .assert_eq(&on_conn(&played, |conn| enqueue(conn, own)));
}

#[test]
fn what_cannot_be_written_is_refused_before_it_is_sent() {
    let played = Played::default();
    let asked = on_conn(&played, |conn| enqueue(conn, "sleep"));
    assert!(
        asked.contains("job `sleep`: there is no such handler, but for deliver, judge, sweep"),
        "{asked}"
    );
    let broken = std::collections::BTreeMap::from([((1, 2), 3)]);
    let asked = on_conn(&played, move |conn| enqueue(conn, NewJob::new("judge", &broken)));
    assert!(
        asked.contains("job `judge` cannot be written as JSON: key must be a string"),
        "{asked}"
    );
    played.fail("SELECT core_enqueue($1)", 0, "job `judge`: priority 10");
    let asked = on_conn(&played, |conn| enqueue(conn, NewJob::from("judge").priority(10)));
    assert!(asked.contains("job `judge`: priority 10"), "{asked}");
}

#[test]
fn many_jobs_are_sent_in_parts() {
    let played = Played::default();
    played.answer("SELECT core_enqueue($1)", "[1,2]");
    drop(plugin(&played));
    let host = Host::new(&played.host());
    let jobs = (0..5_001).map(|it| NewJob::new("judge", &it));
    let jobs: Vec<_> = jobs.collect();
    let numbers = done(host.db().transaction(|conn| Ok::<_, Error>(enqueue_all(conn, jobs)?)));
    assert_eq!(numbers.unwrap().len(), 4);
    let counts: Vec<_> =
        played.notes().iter().map(|it| it.matches(r#""handler""#).count()).collect();
    assert_eq!(counts, [5_000, 1]);
}

#[test]
fn jobs_are_asked_for_outside_transactions() {
    let played = Played::default();
    drop(plugin(&played));
    let host = Host::new(&played.host());
    played.answer("jobs.enqueue", "[9]");
    assert_eq!(done(host.jobs().enqueue("judge")).unwrap(), Some(JobId(9)));
    assert!(done(host.jobs().find(JobId(1))).unwrap().is_none());
    let job = json!({
        "id": 9, "queue": "shop", "extension": "shop", "handler": "judge", "args": "null",
        "state": "ready", "priority": 5, "run_at": "2026-01-01T00:00:00Z", "attempt": 0,
        "max_attempts": 26, "progress": "{\"step\":1}", "later": true,
    });
    played.answer("jobs.find", &job.to_string());
    let found = done(host.jobs().find(JobId(9))).unwrap().unwrap();
    assert_eq!((found.state, found.id), (JobState::Ready, JobId(9)));
    assert_eq!(found.progress::<Value>().unwrap().unwrap()["step"], 1);
    played.answer("jobs.cancel", "true");
    assert!(done(host.jobs().cancel(JobId(9))).unwrap());
    expect![[r#"
        jobs.enqueue [{"handler":"judge","args":"null"}]
        jobs.find 1
        jobs.find 9
        jobs.cancel 9"#]]
    .assert_eq(&played.notes().join("\n"));
}

#[test]
fn a_delivery_is_a_run_with_the_event_in_hand() {
    let event = json!({
        "id": 3, "uid": "evt_1", "topic": "blog.post.written", "key": "p1", "version": 2,
        "payload": "Hello", "published_at": "2026-01-01T00:00:00Z",
    });
    let run = || Run::new(&event.to_string());
    check_run(
        "on:blog.post.written",
        run(),
        expect![[r#"3 0 blog.post.written Hello Some("p1")"#]],
    );
    check_run("forget", run(), expect!["1 0 evt_1 was 2"]);
    check_run(
        "forget",
        Run::new("{}"),
        expect!["1 0 the arguments do not fit: missing field `id` at line 1 column 2"],
    );
}

#[test]
fn events_are_published_in_the_transaction() {
    let played = Played::default();
    played.answer("SELECT core_publish($1)", "[12]");
    let event = NewEvent::new("shop.order.paid", &json!({ "total": 5 }))
        .key(8)
        .account(Uuid::nil())
        .version(2)
        .uid("evt_x");
    expect![[r#"
        SELECT core_publish($1) [{"topic":"shop.order.paid","payload":"{\"total\":5}","version":2,"key":"8","account_id":"00000000-0000-0000-0000-000000000000","uid":"evt_x"}]
        Some(EventId(12))"#]]
    .assert_eq(&on_conn(&played, |conn| publish(conn, event)));
    played.answer("SELECT core_once($1)", "false");
    expect![[r#"
        SELECT core_once($1) {"key":"k"}
        false"#]]
    .assert_eq(&on_conn(&played, |conn| Once::new("k").is_first(conn)));
}

#[track_caller]
fn check_provider(key: &str, method: &str, argument: Value, answer: Expect) {
    let providers = plugin(&Played::default()).providers().unwrap();
    let provider = providers.iter().find(|it| it.key == key).unwrap();
    let argument = argument.to_string();
    let said = done(provider.provider.call(method.into(), argument.as_str().into()).flat());
    answer.assert_eq(&said.map_or_else(|it| format!("{} {it}", it.code), String::from));
}

#[test]
fn a_provider_answers_by_its_contract() {
    let demand = |resource: &str, current: u64| json!({ "account_id": Uuid::nil(), "resource": resource, "current": current, "amount": 1 });
    check_provider(
        "entitlements",
        "check",
        demand("users", 1),
        expect![[r#"{"allowed":true,"limit":2,"reason":null}"#]],
    );
    check_provider(
        "entitlements",
        "check",
        demand("users", 2),
        expect![[r#"{"allowed":false,"limit":null,"reason":"two users"}"#]],
    );
    check_provider("entitlements", "check", demand("keys", 2), expect!["0 keys not found"]);
    check_provider(
        "entitlements",
        "check",
        json!({}),
        expect![
            "0 `check` was asked with no such thing: missing field `account_id` at line 1 column 2"
        ],
    );
    check_provider("entitlements", "later", json!({}), expect!["2 the other side has no `later`"]);
    check_provider(
        "entitlements",
        "feature",
        json!({ "account_id": Uuid::nil(), "feature": "x" }),
        expect!["1 asked on purpose"],
    );
    check_provider("shop.tax", "rate", json!(7), expect![[r#""shop rate 7""#]]);
    check_provider("shop.tax", "tare", json!(7), expect!["2 the other side has no `tare`"]);
}

#[test]
fn who_asks_gets_what_the_contract_says() {
    let played = Played::default();
    let host = Host::new(&played.host());
    let providers = host.providers();
    let check = || done(providers.entitlements().check(Uuid::nil(), "users", 1, 1));
    assert_eq!(check(), Verdict::allowed());
    played.answer("entitlements.check", r#"{"allowed":true,"limit":3}"#);
    assert_eq!(check(), Verdict::within(3));
    played.fail("entitlements.check", NO_METHOD, "no such method");
    assert_eq!(check(), Verdict::allowed());
    played.fail("entitlements.check", 0, "down");
    assert_eq!(
        check(),
        Verdict::denied("what the plan allows cannot be asked now; try again later")
    );
    played.answer("entitlements.check", "[]");
    assert!(!check().allowed);

    let usage = Usage {
        account_id: Uuid::nil(),
        meter: "emails".to_owned(),
        quantity: 2,
        key: "k".to_owned(),
        at: DateTime::UNIX_EPOCH,
    };
    let meter = || done(providers.metering().record(&usage));
    assert_eq!(meter().reason.as_deref(), Some("nobody meters"));
    played.fail("metering.record", 0, "down");
    assert_eq!(meter().reason.as_deref(), Some("the meter failed"));
    played.answer("metering.record", r#"{"recorded":true}"#);
    assert!(meter().recorded);

    let charge = Charge {
        account_id: Uuid::nil(),
        amount: Money { minor: 100, currency: "EUR".to_owned() },
        key: "k".to_owned(),
        description: String::new(),
        method: None,
    };
    assert_eq!(done(providers.payments().charge(&charge)).unwrap(), None);
    played.fail("payments.charge", 0, "down");
    assert!(done(providers.payments().charge(&charge)).is_err());

    let mail = Mail {
        account_id: None,
        key: "k".to_owned(),
        from: None,
        to: Mailbox { email: "ada@example.com".to_owned(), name: None },
        subject: String::new(),
        text: String::new(),
        html: None,
        headers: std::collections::BTreeMap::new(),
    };
    assert!(!done(providers.mailer().send(&mail)).unwrap().accepted);
    let notification = Notification {
        account_id: Uuid::nil(),
        user_id: None,
        kind: "shop.sold".to_owned(),
        key: "k".to_owned(),
        title: String::new(),
        body: None,
        link: None,
    };
    assert!(!done(providers.notifications().notify(&notification)).delivered);
}

#[test]
fn requests_cross_with_head_and_body() {
    let played = Played::default();
    let host = Host::new(&played.host());
    played.answer("http.send", r#"{"ok":true}"#);
    let request = host.http().post("https://a.example/x").json(&json!({ "n": 1 }));
    let request = request.timeout(Duration::from_secs(2)).max_bytes(10).redirects(1);
    let answer = done(request.send()).unwrap();
    assert_eq!((answer.status(), answer.is_success()), (201, true));
    assert_eq!(answer.header("x-seen"), Some("yes"));
    assert_eq!(answer.json::<Value>().unwrap()["ok"], true);
    expect![[r#"http.send {"method":"POST","url":"https://a.example/x","headers":[["content-type","application/json"]],"timeout_ms":2000,"max_bytes":10,"redirects":1} {"n":1}"#]]
    .assert_eq(&played.notes().join("\n"));
    played.fail("http.send", REFUSED, "10.0.0.1 is not public");
    let refused = done(host.http().get("http://inside/").send());
    assert!(matches!(refused, Err(HttpError::Refused(text)) if text == "10.0.0.1 is not public"));
}

#[test]
fn a_token_goes_to_this_platform_alone() {
    let played = Played::default();
    let host = Host::new(&played.host());
    played.answer("http.token", r#"{"token":"t","expires_at":"2026-01-01T00:00:00Z"}"#);
    played.answer("http.send", "");
    let api = done(host.http().api(Uuid::nil(), &["shop.read"], Duration::from_secs(60))).unwrap();
    done(api.request("GET", "/api/v1/shop/orders").unwrap().send()).unwrap();
    expect![[r#"
        http.token {"account_id":"00000000-0000-0000-0000-000000000000","permissions":["shop.read"],"lifetime_ms":60000}
        http.send {"method":"GET","url":"/api/v1/shop/orders","headers":[["authorization","Bearer t"]],"timeout_ms":null,"max_bytes":null,"redirects":0}"#]]
    .assert_eq(&played.notes().join("\n"));
    assert!(api.request("GET", "https://elsewhere.example/").is_err());
    assert!(api.request("GET", "//elsewhere.example/").is_err());
    assert!(!format!("{api:?}").contains("Bearer"));
}

#[test]
fn a_platform_of_1_0_says_what_it_has_not() {
    let host = Host::new(&Played::old().host());
    let error = done(host.jobs().enqueue("judge")).unwrap_err().to_string();
    assert!(
        error.contains("this platform's interface is 1.0, and the service of jobs came with 1.1"),
        "{error}"
    );
    assert!(!host.providers().present("entitlements"));
    assert!(done(host.providers().entitlements().feature(Uuid::nil(), "x")).allowed);
    let error = done(host.http().get("https://a.example/").send()).unwrap_err().to_string();
    assert!(error.contains("the HTTP client came with 1.1"), "{error}");
}
