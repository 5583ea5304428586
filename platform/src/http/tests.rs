//! The whole of the core's HTTP in process: zero extensions, a database of its own.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    body::to_bytes,
    http::{Method, header::HeaderMap},
    rt::Runtime,
    test::{TestRequest, call_service, init_service},
    web::Data,
};
use chrono::Utc;
use diesel::prelude::*;
use powernode_plugin_api::db::RunError;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Platform, app};
use crate::{
    access::Clock,
    audit::By,
    boot::{self, Booted, serve},
    config::{Settings, Sources},
    db::schema::core_deliveries,
    events::{self, NewEvent, NewSubscription, Pattern},
    queue::{self, Missed, NewJob, Schedule},
};

mod accounts;
mod audit;
mod extensions;
mod flags;
mod limits;
mod openapi;
mod order;
mod tokens;

/// A platform that is asked without a socket.
struct House {
    platform: Data<Platform>,
    operator: String,
    ahead: Arc<AtomicU64>,
    serving: Runtime,
    // Dropped last: what runs there works in the directory.
    booted: Booted,
    _background: tokio::runtime::Runtime,
    directory: TempDir,
}

/// What it answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl House {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        Self::boot(tempfile::tempdir().unwrap(), settings)
    }

    /// With these extensions, as far as they are directories with a manifest.
    fn having(slugs: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        slugs.iter().for_each(|slug| install(directory.path(), slug, json!({})));
        Self::boot(directory, &[])
    }

    fn boot(directory: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::start(directory, settings, None)
    }

    /// The next start over the same directory.
    fn restart(self) -> Self {
        let Self { operator, directory, .. } = self;
        Self::start(directory, &[], Some(operator))
    }

    fn start(directory: TempDir, settings: &[(&str, &str)], operator: Option<String>) -> Self {
        let place = |name: &str| directory.path().join(name).display().to_string();
        std::fs::create_dir_all(place("extensions")).unwrap();
        let places = [
            ("data", place("data")),
            ("extensions.dir", place("extensions")),
            ("extensions.state_file", place("extensions.json")),
        ];
        let given = settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let flags = places.into_iter().chain(given);
        let settings = Settings::load(Sources {
            flags: flags.map(|(key, value)| (key.to_owned(), value)).collect(),
            ..Sources::default()
        })
        .unwrap();
        let background = tokio::runtime::Runtime::new().unwrap();
        let core = boot::core(&settings, background.handle()).unwrap();
        let booted = boot::extensions(core, &settings, background.handle()).unwrap();
        let mut platform = serve::platform(&booted, &settings, background.handle()).unwrap();
        let ahead = Arc::<AtomicU64>::default();
        platform.access = platform.access.with_clock(clock(&ahead));
        let by = By::new("test", Utc::now());
        let made = background.block_on(platform.access.bootstrap(by)).unwrap();
        Self {
            platform: Data::new(platform),
            operator: operator.or(made.map(|it| it.text)).unwrap(),
            ahead,
            serving: Runtime::new().unwrap(),
            booted,
            _background: background,
            directory,
        }
    }

    /// Writes a job of an extension's, and a schedule of that name; answers the job's number.
    fn job(&self, slug: &'static str, handler: &'static str) -> i64 {
        let written = self.platform.core.transaction(move |conn| {
            queue::ensure(conn, slug, &[])?;
            let now = Utc::now();
            let schedule = Schedule {
                name: format!("{slug}/{handler}"),
                extension: slug.to_owned(),
                expression: "0 4 * * *".to_owned(),
                zone: "Europe/Berlin".to_owned(),
                job: NewJob::new(handler, "{}"),
                missed: Missed::Once,
                next_at: now,
                last_at: None,
                skipped: 0,
                vanished_at: None,
            };
            queue::sync(conn, slug, &[schedule], now)?;
            let subscription = NewSubscription {
                handler: handler.to_owned(),
                pattern: Pattern::parse("*.*.*").unwrap(),
                ordered: false,
                queue: slug.to_owned(),
                priority: 5,
                max_attempts: 1,
                timeout_ms: None,
            };
            events::sync(conn, slug, &[subscription], now)?;
            let event = NewEvent {
                topic: format!("{slug}.order.paid"),
                payload: "{}".to_owned(),
                version: 1,
                key: None,
                account_id: None,
                uid: None,
            };
            events::publish(conn, slug, &[event], now)?;
            queue::enqueue(conn, slug, &[NewJob::new(handler, "{}")], now)
        });
        self.serving.block_on(written).unwrap()[0].unwrap()
    }

    /// Says that a delivery failed for good.
    fn ended(&self, delivery: &str) {
        let id: uuid::Uuid = delivery.parse().unwrap();
        let ended = self.platform.core.transaction(move |conn| {
            diesel::update(core_deliveries::table.find(id))
                .set(core_deliveries::state.eq("failed"))
                .execute(conn)
                .map_err(RunError::from)
        });
        assert_eq!(self.serving.block_on(ended).unwrap(), 1);
    }

    /// Lets time pass, as far as tokens and limits know.
    fn pass(&self, time: Duration) {
        self.ahead.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    /// The answer; it is as the description of the API says.
    #[track_caller]
    fn answer(&self, request: TestRequest) -> Answer {
        let (answer, asked) = self.answered(request);
        openapi::conforms(&asked, &answer);
        answer
    }

    fn answered(&self, request: TestRequest) -> (Answer, (Method, String)) {
        let request = request.to_request();
        let asked = (request.method().clone(), request.path().to_owned());
        let answer = self.serving.block_on(async {
            let app = init_service(app(self.platform.clone(), |_| ())).await;
            let response = call_service(&app, request).await;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = to_bytes(response.into_body()).await;
            let body = body.map_err(|_| "the body broke off").unwrap().to_vec();
            Answer { status, headers, body }
        });
        (answer, asked)
    }

    /// `GET /path`, or `POST /path <- body`, by the bearer of `token`; by nobody where that is empty.
    #[track_caller]
    fn ask(&self, token: &str, request: &str) -> Answer {
        let (head, body) = request.split_once(" <- ").unwrap_or((request, ""));
        let (method, path) = head.split_once(' ').unwrap();
        let mut request = TestRequest::with_uri(path).method(method.parse::<Method>().unwrap());
        if !token.is_empty() {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        if !body.is_empty() {
            request = request.insert_header(("content-type", "application/json"));
            request = request.set_payload(body.to_owned());
        }
        self.answer(request)
    }

    /// What the operator is answered; it must succeed.
    #[track_caller]
    fn operator(&self, request: &str) -> Value {
        let answer = self.ask(&self.operator, request);
        assert!(answer.status < 300, "{request}: {} {}", answer.status, answer.text());
        answer.json()["data"].take()
    }

    #[track_caller]
    fn refuses(&self, token: &str, request: &str, expected: &str) {
        assert_eq!(self.ask(token, request).failure(), expected, "{request}");
    }

    /// A token with these scopes, in the operator's account: its text and its id.
    #[track_caller]
    fn token(&self, scopes: &[&str]) -> (String, String) {
        let body = json!({ "name": "some", "scopes": scopes });
        let mut made = self.operator(&format!("POST /api/v1/admin/tokens <- {body}"));
        (text(made["token"].take()), text(made["details"]["id"].take()))
    }

    /// Rows of the audit log that name an action, newest first.
    #[track_caller]
    fn audited(&self, action: &str) -> Vec<Value> {
        let listed = self.operator(&format!("GET /api/v1/admin/audit?action={action}"));
        listed.as_array().unwrap().clone()
    }
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Status and code, where the whole envelope is there.
    #[track_caller]
    fn failure(&self) -> String {
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        assert_eq!(self.header("x-request-id"), body["request_id"].as_str(), "{body}");
        format!("{} {}", self.status, body["code"].as_str().unwrap_or_default())
    }

    /// The fields that a refusal names.
    #[track_caller]
    fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.into_iter().map(|mut it| text(it["field"].take())).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|it| it.to_str().ok())
    }
}

#[track_caller]
fn text(value: Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A clock that runs ahead by so many milliseconds.
fn clock(ahead: &Arc<AtomicU64>) -> Clock {
    let (ahead, begun, since) = (ahead.clone(), Utc::now(), Instant::now());
    Clock::new(move || {
        let passed = Duration::from_millis(ahead.load(Ordering::SeqCst));
        (begun + passed, since + passed)
    })
}

/// Puts a manifest below `extensions/`, with `change` in it.
fn install(root: &Path, slug: &str, change: Value) {
    let place = root.join("extensions").join(slug);
    let mut manifest = json!({ "name": slug, "slug": slug, "version": "1.0.0" });
    change.as_object().into_iter().flatten().for_each(|(key, value)| {
        manifest[key] = value.clone();
    });
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("extension.json"), manifest.to_string()).unwrap();
}

/// An address that no other request of this process has.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SocketAddr::from(([192, 0, high, low], 1000))
}
