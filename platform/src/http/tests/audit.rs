use super::*;

#[test]
fn rows_are_filtered_by_action_subject_and_actor() {
    let house = House::new();
    house.operator(r#"POST /api/v1/admin/flags <- {"name":"beta"}"#);
    house.operator(r#"PUT /api/v1/admin/flags/beta <- {"enabled":true}"#);
    let rows = |query: &str| {
        let listed = house.operator(&format!("GET /api/v1/admin/audit?{query}"));
        listed.as_array().unwrap().len()
    };
    assert_eq!(rows("subject=flag/beta"), 2);
    assert_eq!(rows("subject=flag/beta&action=flag.enable"), 1);
    assert_eq!(rows("actor=nobody"), 0);
    assert_eq!(rows("subject=flag/beta&until=2001-01-01T00:00:00Z"), 0);
}

#[test]
fn a_query_that_cannot_be_read_is_422_and_names_the_field() {
    let house = House::new();
    for (request, field) in [
        ("GET /api/v1/admin/audit?page=abc", "page"),
        ("GET /api/v1/admin/audit?since=yesterday", "since"),
        ("GET /api/v1/admin/audit?until=%2B12345-01-01T00:00:00Z", "until"),
        ("GET /api/v1/admin/explain", "path"),
        ("GET /api/v1/admin/explain?path=/x&account=me", "account"),
        ("GET /api/v1/admin/explain?path=/x&method=G%20T", "method"),
        ("GET /api/v1/admin/explain?path=/x&method=G$T", "method"),
        ("GET /api/v1/admin/explain?path=/x&method=", "method"),
        ("GET /api/v1/admin/explain?path=/x&path=/y", "query"),
    ] {
        let answer = house.ask(&house.operator, request);
        assert_eq!(answer.failure(), "422 VALIDATION_FAILED", "{request}");
        assert_eq!(answer.fields(), [field], "{request}");
    }
}
