//! Bad input of every kind gets the envelope, and the right status.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use powernode_tests::instance::{Instance, within};
use powernode_tests::setup::Setup;

const SOON: Duration = Duration::from_secs(10);

/// One platform for all that run at a time, with a fixture, small limits and short times.
fn instance() -> Arc<Instance> {
    static INSTANCE: Mutex<Weak<Instance>> = Mutex::new(Weak::new());
    let mut shared = INSTANCE.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let setup = Setup::new().unwrap().with_fixture().unwrap();
        let instance = setup
            .with_setting("server.body_limit", "2000")
            .with_setting("server.body_timeout", "300ms")
            .with_setting("server.header_timeout", "500ms")
            .with_setting("server.write_timeout", "1s")
            .start();
        let instance = Arc::new(instance.unwrap());
        *shared = Arc::downgrade(&instance);
        instance
    })
}

/// What the operator's request is answered with; a body is sent as JSON.
#[track_caller]
fn operator(instance: &Instance, request: &str, expected: &str) {
    let (head, body) = request.split_once(" <- ").unwrap_or((request, ""));
    let (method, path) = head.split_once(' ').unwrap();
    let headers = [("content-type", "application/json")];
    let headers = if body.is_empty() { &[] } else { &headers[..] };
    let client = instance.operator();
    let answer = client.send(method, path, headers, body.as_bytes().to_vec()).unwrap();
    assert_eq!(answer.failure(), expected, "{request}");
}

#[test]
fn an_unknown_path_is_404() {
    let instance = instance();
    operator(&instance, "GET /nowhere", "404 NOT_FOUND");
    operator(&instance, "GET /api/v1/nowhere/at/all", "404 NOT_FOUND");
    operator(&instance, "GET /api/v1/fixture-000/nowhere", "404 NOT_FOUND");
    operator(&instance, "GET /%ff%fe", "404 NOT_FOUND");
}

/// Both kinds of route read a path by one rule.
#[test]
fn an_escaped_path_and_a_slash_at_its_end_are_as_good_as_the_plain_one() {
    let instance = instance();
    let status = |path: &str| instance.operator().get(path).unwrap().status;
    for path in [
        ["/api/v1/config", "/api/v1/fixture-000/ok"],
        ["/api/v1/config/", "/api/v1/fixture-000/ok/"],
        ["/%61pi/v1/c%6Fnfig", "/api/v1/fixture%2D000/%6fk"],
        ["/api/v1/admin/flags/", "/api/v1/fixture-000/notes/?page=1"],
        ["/api/v1/admin/flags/fixture%5F000_mode/", "/api/v1/fixture%2d000/notes/"],
    ]
    .concat()
    {
        assert_eq!(status(path), 200, "{path}");
    }
    for path in [
        ["/api/v1/config//", "/api/v1/fixture-000/ok//"],
        ["/api/v1%2Fconfig", "/api/v1/fixture-000%2Fok"],
        ["/api/v1/config%2F", "/api/v1/fixture-000/ok%2F"],
        ["/api/v1/conf%69", "/api/v1/fixture-000/%6fkk"],
        ["/api/v1/config%", "/api/v1/fixture-000/ok%"],
        ["/api/v1/c%zznfig", "/api/v1/fixture-000/o%zz"],
        ["/api/v1/admin/flags/%ff", "/api/v1/fixture-000/%ff"],
        ["/api/v1/admin/flags/a%00b", "/api/v1/fixture-000/%00"],
    ]
    .concat()
    {
        operator(&instance, &format!("GET {path}"), "404 NOT_FOUND");
    }
}

#[test]
fn a_wrong_method_is_405_and_names_the_right_ones() {
    let instance = instance();
    operator(&instance, "POST /api/v1/fixture-000/ok", "405 METHOD_NOT_ALLOWED");
    operator(&instance, "POST /healthz", "405 METHOD_NOT_ALLOWED");
    assert_eq!(instance.anonymous().send("HEAD", "/healthz", &[], Vec::new()).unwrap().status, 200);
    let answer = instance.operator().delete("/api/v1/fixture-000/orders").unwrap();
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[test]
fn bad_json_is_400_and_a_wrong_type_is_422() {
    let instance = instance();
    let orders = "POST /api/v1/fixture-000/orders";
    operator(&instance, &format!("{orders} <- {{"), "400 INVALID_JSON");
    operator(
        &instance,
        &format!("{orders} <- {{\"name\":\"x\",\"amount\":\"many\"}}"),
        "422 VALIDATION_FAILED",
    );
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let instance = instance();
    let body = format!("{{\"enabled\":true,\"more\":\"{}\"}}", "x".repeat(3000));
    operator(&instance, &format!("POST /api/v1/fixture-000/raw <- {body}"), "413 BODY_TOO_LARGE");
    operator(
        &instance,
        &format!("POST /api/v1/fixture-000/orders <- {body}"),
        "413 BODY_TOO_LARGE",
    );
}

#[test]
fn a_body_that_is_too_slow_is_408() {
    let instance = instance();
    for path in ["/api/v1/fixture-000/orders", "/api/v1/fixture-000/raw"] {
        let mut raw = instance.raw().unwrap();
        let token = instance.token().unwrap();
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        ))
        .unwrap();
        let answer = raw.answer(SOON).unwrap();
        assert_eq!(answer.failure(), "408 BODY_TOO_SLOW", "{path}");
    }
}

/// Core and extension, with a token and for anybody; in one piece, after the head, and after a good chunk.
#[test]
fn a_body_in_chunks_that_are_none_is_400() {
    let instance = instance();
    let routes = [
        "PUT /api/v1/admin/extensions/fixture-000/flag",
        "POST /api/v1/admin/tokens",
        "POST /api/v1/fixture-000/orders",
        "POST /api/v1/fixture-000/raw",
        "POST /api/v1/fixture-000/chunks",
    ];
    let bodies = [
        "zz\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}x\r\n",
        "2 x\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n",
        "\r\n{}\r\n",
        "2\n{}\n0\n\n",
    ];
    for route in routes {
        for body in bodies {
            for pieces in 0..3 {
                let case = format!("{route} <- {body:?} in {pieces}");
                let id = format!("chunks-{pieces}");
                let mut raw = instance.raw().unwrap();
                let token = instance.token().unwrap();
                let head = format!(
                    "{route} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                     x-request-id: {id}\r\ncontent-type: application/json\r\n\
                     transfer-encoding: chunked\r\n\r\n"
                );
                match pieces {
                    0 => raw.send(head + body).unwrap(),
                    1 => {
                        raw.send(head).unwrap();
                        raw.send(body).unwrap();
                    }
                    _ => {
                        raw.send(head + "1\r\n \r\n").unwrap();
                        raw.send(body).unwrap();
                    }
                }
                let answer = raw.answer(SOON).map_err(|error| format!("{case}: {error}")).unwrap();
                assert_eq!(answer.failure(), "400 BODY_MALFORMED", "{case}");
                assert_eq!(answer.header("x-request-id"), Some(id.as_str()), "{case}");
                assert_eq!(answer.json()["request_id"], id, "{case}");
                assert!(raw.is_closed_within(SOON), "{case}");
            }
        }
    }
    assert_eq!(instance.anonymous().get("/api/v1/fixture-000/ok").unwrap().status, 200);
}

#[test]
fn a_body_in_good_chunks_arrives_whole_however_it_is_cut() {
    let instance = instance();
    let body = "x".repeat(1500);
    let (first, rest) = body.split_at(700);
    let chunked = format!("2bc\r\n{first}\r\n320;note=1\r\n{rest}\r\n0\r\n\r\n");
    for size in [1, 7, 500, 5000] {
        let mut raw = instance.raw().unwrap();
        let head = "POST /api/v1/fixture-000/relay HTTP/1.1\r\nhost: x\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        raw.send(head).unwrap();
        for piece in chunked.as_bytes().chunks(size) {
            raw.send(piece).unwrap();
        }
        assert_eq!(raw.answer(SOON).unwrap().text(), body, "in pieces of {size}");
    }
}

#[test]
fn a_head_that_is_too_slow_ends_the_connection() {
    let instance = instance();
    let mut raw = instance.raw().unwrap();
    raw.send("GET /healthz HTTP/1.1\r\nhost:").unwrap();
    assert!(raw.is_closed_within(SOON));
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let instance = instance();
    let mut raw = instance.raw().unwrap();
    let stream = "/api/v1/fixture-000/stream?parts=100000&size=100000";
    raw.send(format!("GET {stream} HTTP/1.1\r\nhost: x\r\n\r\n")).unwrap();
    assert!(raw.has_received_within("200 OK", SOON));
    let (server, client) = (instance.port(), raw.port().unwrap());
    let begun = Instant::now();
    assert!(within(SOON, || !is_connected(server, client)), "it still holds the connection");
    assert!(begun.elapsed() > Duration::from_millis(500), "it was not given its time");
}

/// Whether the system holds a connection between two ports of this machine, from the first one's side.
fn is_connected(from: u16, to: u16) -> bool {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (from, to) = (format!(":{from:04X}"), format!(":{to:04X}"));
    connections.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        local.ends_with(&from) && remote.ends_with(&to) && words.next() == Some("01")
    })
}

/// What is no request never reaches the platform: the parser answers with a bare status, and closes.
#[test]
fn what_is_no_request_is_answered_with_a_bare_status() {
    let instance = instance();
    let long = "x".repeat(200_000);
    let many = "x: y\r\n".repeat(200);
    let chunked = "transfer-encoding: chunked\r\n";
    for (request, expected) in [
        ("\u{16}\u{3}\u{1} this is no request\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET /healthz\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431),
        (format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n{chunked}\r\n"), 400),
        (format!("POST /a HTTP/1.1\r\nhost: x\r\n{chunked}{chunked}\r\n"), 400),
        (
            "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n".to_owned(), 400),
    ] {
        let case: String = request.chars().take(80).collect();
        let mut raw = instance.raw().unwrap();
        raw.send(&request).unwrap();
        let answer = raw.answer(SOON).map_err(|error| format!("{case}: {error}")).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (expected, ""), "{case}");
        assert!(raw.is_closed_within(SOON), "{case}");
    }
    // A long path that is still a request has the envelope.
    let long = "x".repeat(20_000);
    operator(&instance, &format!("GET /{long}"), "404 NOT_FOUND");
    assert_eq!(instance.anonymous().get("/healthz").unwrap().status, 200);
}

#[test]
fn two_requests_on_one_connection_are_answered_in_turn() {
    let instance = instance();
    let mut raw = instance.raw().unwrap();
    let request = |path| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    raw.send(request("/healthz") + &request("/nowhere")).unwrap();
    assert_eq!(raw.answer(SOON).unwrap().status, 200);
    assert_eq!(raw.answer(SOON).unwrap().failure(), "404 NOT_FOUND");
}

#[test]
fn without_a_token_it_is_401() {
    let instance = instance();
    let guarded = ["/api/v1/fixture-000/guarded", "/api/v1/me"];
    for path in guarded {
        let answer = instance.anonymous().get(path).unwrap();
        assert_eq!(answer.failure(), "401 UNAUTHORIZED", "{path}");
        assert!(answer.header("www-authenticate").is_some(), "{path}");
    }
    let broken = ["", "x", "pn_00000000_0000000000000000000000000000000000000000000", "pn_"];
    for token in broken {
        for path in guarded {
            let answer = instance.client(token).get(path).unwrap();
            assert_eq!(answer.failure(), "401 UNAUTHORIZED", "{path} with `{token}`");
        }
    }
}

#[test]
fn without_the_right_it_is_403() {
    let instance = instance();
    let words = ["tokens", "create", "--scope", "nothing.read", "--json"];
    let made = instance.cli(&words).unwrap().json().unwrap();
    let client = instance.client(made["token"].as_str().unwrap());
    let answer = client.get("/api/v1/fixture-000/guarded").unwrap();
    assert_eq!(answer.failure(), "403 FORBIDDEN");
}

#[test]
fn a_page_that_is_no_number_is_422() {
    let instance = instance();
    operator(&instance, "GET /api/v1/fixture-000/notes?page=abc", "422 VALIDATION_FAILED");
}

#[test]
fn a_page_that_is_too_long_is_clamped() {
    let instance = instance();
    let answer = instance.operator().get("/api/v1/fixture-000/notes?per_page=1000").unwrap();
    let per_page = answer.json()["meta"]["pagination"]["per_page"].as_u64();
    assert_eq!((answer.status, per_page), (200, Some(100)));
}

#[test]
fn every_answer_has_a_request_id() {
    let instance = instance();
    for path in ["/healthz", "/api/v1/config", "/nowhere", "/api/v1/fixture-000/ok"] {
        let answer = instance.anonymous().get(path).unwrap();
        assert!(
            answer.header("x-request-id").is_some_and(|id| !id.is_empty()),
            "{path}: {answer:?}"
        );
    }
}
