//! The platform with no extension at all.

use powernode_tests::setup::Setup;
use serde_json::json;

#[test]
fn it_starts_and_says_what_it_is() {
    let instance = Setup::new().unwrap().start().unwrap();
    let client = instance.anonymous();
    assert_eq!(client.get("/healthz").unwrap().status, 200);
    assert_eq!(client.get("/readyz").unwrap().status, 200);
    let config = client.get("/api/v1/config").unwrap();
    assert_eq!((config.status, &config.data()["core_mode"]), (200, &json!(true)));
    assert_eq!(client.get("/api/v1/extensions/ui").unwrap().data(), json!([]));
}

#[test]
fn what_asks_an_extension_says_that_it_is_unavailable() {
    let instance = Setup::new().unwrap().start().unwrap();
    let answer = instance.operator().get("/api/v1/reports/advanced").unwrap();
    assert_eq!(answer.failure(), "404 FEATURE_UNAVAILABLE");
    assert_eq!(answer.json()["error"], "Advanced reporting requires the business extension");
}

#[test]
fn metrics_are_there() {
    let instance = Setup::new().unwrap().start().unwrap();
    let metrics = instance.anonymous().get("/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().ends_with("# EOF\n"), "{}", metrics.text());
}

#[test]
fn the_token_is_shown_once() {
    let instance = Setup::new().unwrap().start().unwrap();
    let token = instance.token().unwrap().to_owned();
    assert!(!instance.log().contains(&token), "a token is in the log");
    let instance = instance.stop().unwrap().start().unwrap();
    assert!(!instance.printed().contains("pn_"), "{}", instance.printed());
    assert_eq!(instance.client(&token).get("/api/v1/me").unwrap().status, 200);
}
