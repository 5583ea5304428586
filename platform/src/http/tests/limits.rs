use actix_web::test::TestRequest;

use super::*;

/// What an address with these `X-Forwarded-For` lines is answered.
fn from(house: &House, peer: SocketAddr, lines: &[&str]) -> Answer {
    let mut request = TestRequest::with_uri("/api/v1/config").peer_addr(peer);
    for line in lines {
        request = request.append_header(("x-forwarded-for", *line));
    }
    house.answer(request)
}

#[test]
fn an_address_has_its_minute_and_then_429() {
    let house = House::with(&[("limits.per_address", "2")]);
    let peer = address();
    let seen: Vec<_> = (0..3).map(|_| from(&house, peer, &[])).collect();
    assert_eq!(seen.iter().map(|it| it.status).collect::<Vec<_>>(), [200, 200, 429]);
    let remaining: Vec<_> = seen.iter().map(|it| it.header("x-ratelimit-remaining")).collect();
    assert_eq!(remaining, [Some("1"), Some("0"), Some("0")]);
    assert_eq!(seen[2].failure(), "429 RATE_LIMITED");
    assert_eq!(seen[2].header("x-ratelimit-limit"), Some("2"));
    let wait: u64 = seen[2].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(from(&house, address(), &[]).status, 200, "another address has its own");
    house.pass(Duration::from_secs(59));
    let last = from(&house, peer, &[]);
    assert_eq!((last.status, last.header("retry-after")), (429, Some("1")));
    let reset: u64 = last.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!(reset.abs_diff(Utc::now().timestamp() as u64) <= 3, "{reset}");
    house.pass(Duration::from_secs(1));
    let next = from(&house, peer, &[]);
    assert_eq!((next.status, next.header("x-ratelimit-remaining")), (200, Some("1")));
}

#[test]
fn what_a_limit_refuses_is_measured() {
    let house = House::with(&[("limits.per_address", "1")]);
    let peer = address();
    from(&house, peer, &[]);
    from(&house, peer, &[]);
    let metrics = house.ask("", "GET /metrics").text();
    assert!(metrics.contains(r#"{extension="core",status="4xx"} 1"#), "{metrics}");
}

#[test]
fn a_line_of_the_clients_own_does_not_hide_its_address() {
    let settings = [("limits.per_address", "2"), ("server.trusted_proxies", "192.0.0.0/16")];
    let house = House::with(&settings);
    let peer = address();
    let statuses: Vec<_> = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
        .iter()
        .map(|forged| from(&house, peer, &[forged, "198.51.100.7"]).status)
        .collect();
    assert_eq!(statuses, [200, 200, 429], "the proxy's line comes last, and counts");
}

#[test]
fn a_token_has_its_own_limit_and_shows_it() {
    let house = House::with(&[("limits.per_token", "2"), ("limits.per_address", "100")]);
    let ask = || {
        let bearer = format!("Bearer {}", house.operator);
        let request = TestRequest::with_uri("/api/v1/me").peer_addr(address());
        house.answer(request.insert_header(("authorization", bearer)))
    };
    let (first, second, third) = (ask(), ask(), ask());
    assert_eq!([first.status, second.status, third.status], [200, 200, 429]);
    assert_eq!(first.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(second.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(third.failure(), "429 RATE_LIMITED");
    assert_eq!(third.header("x-ratelimit-limit"), Some("2"));
    house.pass(Duration::from_secs(60));
    assert_eq!(ask().header("x-ratelimit-remaining"), Some("1"));
}

#[test]
fn a_burst_is_a_setting() {
    let house = House::with(&[("limits.per_address", "60"), ("limits.burst", "2")]);
    let peer = address();
    let statuses = || [(); 3].map(|()| from(&house, peer, &[]).status);
    assert_eq!(statuses(), [200, 200, 429]);
    house.pass(Duration::from_secs(1));
    assert_eq!(statuses(), [200, 429, 429]);
}
