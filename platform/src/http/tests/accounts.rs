use super::*;

const ACCOUNTS: &str = "/api/v1/admin/accounts";

#[test]
fn core_mode_has_one_account_and_refuses_a_second() {
    let house = House::new();
    let second = format!(r#"POST {ACCOUNTS} <- {{"name":"Second"}}"#);
    house.refuses(&house.operator, &second, "404 FEATURE_UNAVAILABLE");
    let listed = house.operator(&format!("GET {ACCOUNTS}"));
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let id = listed[0]["id"].as_str().unwrap();
    let users = house.operator(&format!("GET {ACCOUNTS}/{id}/users"));
    assert_eq!(users[0]["account_id"], listed[0]["id"]);
}

#[test]
fn an_account_that_is_not_there_is_404() {
    let house = House::new();
    let nobody = uuid::Uuid::now_v7();
    for id in [nobody.to_string().as_str(), "7", "nothing"] {
        house.refuses(&house.operator, &format!("GET {ACCOUNTS}/{id}/users"), "404 NOT_FOUND");
    }
}

#[test]
fn the_advanced_report_is_refused_in_the_guards_words_to_anybody() {
    let house = House::new();
    for token in ["", house.operator.as_str()] {
        let answer = house.ask(token, "GET /api/v1/reports/advanced");
        assert_eq!(answer.failure(), "404 FEATURE_UNAVAILABLE");
        let words = "Advanced reporting requires the business extension";
        assert_eq!(answer.json()["error"], words);
    }
}

#[test]
fn a_platform_that_drains_is_alive_and_not_ready() {
    let house = House::new();
    assert_eq!(house.ask("", "GET /readyz").status, 200);
    house.platform.draining.store(true, Ordering::SeqCst);
    let answer = house.ask("", "GET /readyz");
    assert_eq!((answer.status, &answer.json()["draining"]), (503, &json!(true)));
    assert_eq!(house.ask("", "GET /healthz").status, 200);
}
