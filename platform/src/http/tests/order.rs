//! Who asks is looked at before what they sent.

use super::*;

const WRITE: &str = "PUT /api/v1/admin/flags/beta <- {";

#[test]
fn a_body_is_not_read_for_somebody_who_may_not() {
    let house = House::new();
    let (other, _) = house.token(&["reports.read"]);
    house.refuses("", WRITE, "401 UNAUTHORIZED");
    house.refuses(&other, WRITE, "403 FORBIDDEN");
    house.refuses(&house.operator, WRITE, "400 INVALID_JSON");
}

#[test]
fn a_query_is_not_read_for_somebody_who_may_not() {
    let house = House::new();
    let (other, _) = house.token(&["reports.read"]);
    for request in ["GET /api/v1/admin/audit?since=x", "GET /api/v1/admin/explain"] {
        house.refuses("", request, "401 UNAUTHORIZED");
        house.refuses(&other, request, "403 FORBIDDEN");
    }
}

#[test]
fn a_wrong_method_names_the_right_ones_and_an_unknown_path_is_404() {
    let house = House::new();
    for (request, allow) in [
        ("DELETE /api/v1/admin/extensions", "GET, HEAD"),
        ("GET /api/v1/admin/extensions/rescan", "POST"),
        ("PATCH /api/v1/admin/flags", "GET, HEAD, POST"),
        ("POST /healthz", "GET, HEAD"),
        ("PUT /api/openapi.json", "GET, HEAD"),
    ] {
        let answer = house.ask("", request);
        assert_eq!(answer.failure(), "405 METHOD_NOT_ALLOWED", "{request}");
        assert_eq!(answer.header("allow"), Some(allow), "{request}");
    }
    house.refuses("", "GET /api/v1/nowhere", "404 NOT_FOUND");
    house.refuses("", "GET /api/v1/admin/flags/beta/nothing", "404 NOT_FOUND");
}

#[test]
fn an_error_keeps_the_clients_request_id() {
    let house = House::new();
    let request = TestRequest::with_uri("/nowhere").insert_header(("x-request-id", "mine-1"));
    let answer = house.answer(request);
    assert_eq!(answer.failure(), "404 NOT_FOUND");
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
}
