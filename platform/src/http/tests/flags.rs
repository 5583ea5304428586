use super::*;

const FLAGS: &str = "/api/v1/admin/flags";
const FLAG: &str = "/api/v1/admin/flags/beta";

fn with_flag() -> House {
    let house = House::new();
    house.operator(&format!(r#"POST {FLAGS} <- {{"name":"beta","description":"new things"}}"#));
    house
}

#[test]
fn each_kind_of_gate_is_opened_closed_and_audited() {
    let house = with_flag();
    let changes = [
        (r#"PUT {} <- {"enabled":true}"#, "boolean", json!(true)),
        (r#"PUT {} <- {"enabled":false}"#, "boolean", json!(false)),
        (r#"POST {}/actors <- {"actor":"Account;1"}"#, "actors", json!(["Account;1"])),
        ("DELETE {}/actors/Account;1", "actors", json!([])),
        (r#"POST {}/groups <- {"group":"admins"}"#, "groups", json!(["admins"])),
        ("DELETE {}/groups/admins", "groups", json!([])),
        (
            r#"PUT {}/percentage_of_actors <- {"percentage":25}"#,
            "percentage_of_actors",
            json!(25.0),
        ),
        (
            r#"PUT {}/expression <- {"expression":{"Property":["admin"]}}"#,
            "expression",
            json!({ "Property": ["admin"] }),
        ),
        ("DELETE {}/expression", "expression", json!(null)),
        (r#"PUT {}/percentage_of_time <- {"percentage":0.5}"#, "percentage_of_time", json!(0.5)),
    ];
    let rows = || house.operator("GET /api/v1/admin/audit?subject=flag/beta");
    for (request, gate, expected) in changes {
        let before = rows()[0]["seq"].as_i64();
        let flag = house.operator(&request.replacen("{}", FLAG, 1));
        assert_eq!(flag["gates"][gate], expected, "{request}");
        let newest = rows()[0].take();
        assert_eq!(newest["seq"].as_i64(), before.map(|it| it + 1), "{request}: {newest}");
        assert!(newest["actor"].as_str().is_some_and(|it| it.starts_with("user:")), "{newest}");
        assert!(newest["request_id"].is_string(), "{newest}");
        assert_ne!(newest["before"], newest["after"], "{request}");
    }
}

#[test]
fn a_flag_that_is_there_is_409_and_one_that_is_not_404() {
    let house = with_flag();
    let operator = house.operator.as_str();
    house.refuses(operator, &format!(r#"POST {FLAGS} <- {{"name":"beta"}}"#), "409 CONFLICT");
    for request in [
        "GET {}",
        r#"PUT {} <- {"enabled":true}"#,
        r#"POST {}/groups <- {"group":"admins"}"#,
        r#"PUT {}/percentage_of_actors <- {"percentage":1}"#,
    ] {
        let request = request.replacen("{}", &format!("{FLAGS}/nobody"), 1);
        house.refuses(operator, &request, "404 NOT_FOUND");
    }
}

#[test]
fn what_is_no_gate_is_422_and_leaves_the_flag_alone() {
    let house = with_flag();
    let before = house.operator(&format!("GET {FLAG}"));
    for request in [
        r#"PUT {}/percentage_of_actors <- {"percentage":101}"#,
        r#"PUT {}/percentage_of_actors <- {"percentage":-1}"#,
        r#"PUT {}/percentage_of_actors <- {"percentage":"many"}"#,
        r#"POST {}/actors <- {"actor":""}"#,
        r#"PUT {} <- {"enabled":"yes"}"#,
        r#"PUT {} <- {"enabled":true,"more":1}"#,
        r#"PUT {} <- {}"#,
    ] {
        house.refuses(&house.operator, &request.replacen("{}", FLAG, 1), "422 VALIDATION_FAILED");
    }
    assert_eq!(house.operator(&format!("GET {FLAG}")), before);
    house.refuses(
        &house.operator,
        r#"POST /api/v1/admin/flags <- {"name":"No Name"}"#,
        "422 VALIDATION_FAILED",
    );
}

#[test]
fn a_share_of_time_is_nothing_for_an_extension() {
    let house = House::new();
    house.operator(&format!(r#"POST {FLAGS} <- {{"name":"shop_mode"}}"#));
    let request = format!(r#"PUT {FLAGS}/shop_mode/percentage_of_time <- {{"percentage":50}}"#);
    house.refuses(&house.operator, &request, "422 VALIDATION_FAILED");
}

#[test]
fn an_expression_that_is_none_is_refused_and_chance_is_nothing_for_an_extension() {
    let house = with_flag();
    house.operator(&format!(r#"POST {FLAGS} <- {{"name":"shop_mode"}}"#));
    for (flag, expression) in [
        ("beta", r#"{"Shell":["ls"]}"#),
        ("beta", r#"{"All":[]}"#),
        ("beta", r#"{"Equal":[1]}"#),
        ("shop_mode", r#"{"LessThan":[{"Random":[]},0.5]}"#),
    ] {
        let request = format!(r#"PUT {FLAGS}/{flag}/expression <- {{"expression":{expression}}}"#);
        house.refuses(&house.operator, &request, "422 VALIDATION_FAILED");
    }
}

#[test]
fn what_flipper_exported_is_imported_as_a_whole_or_not_at_all() {
    let house = with_flag();
    let flipper = "/api/v1/admin/flipper";
    let file = json!({ "version": 1, "features": {
        "beta": { "boolean": null, "actors": ["User;1"], "groups": ["admins"],
            "expression": { "Property": ["admin"] }, "percentage_of_actors": "25",
            "percentage_of_time": null },
        "gamma": { "boolean": "true" },
    } });
    let done = house.operator(&format!("PUT {flipper} <- {file}"));
    assert_eq!(done["changed"], json!(["beta", "gamma"]));
    let beta = house.operator(&format!("GET {FLAG}"));
    assert_eq!(beta["gates"]["expression"], json!({ "Property": ["admin"] }));
    assert_eq!(beta["gates"]["percentage_of_actors"], json!(25.0));
    assert_eq!(house.operator(&format!("GET {FLAGS}/gamma"))["state"], "on");
    let exported = house.ask(&house.operator, &format!("GET {flipper}")).json();
    assert_eq!(exported["features"]["gamma"]["boolean"], "true");
    let again = house.operator(&format!("PUT {flipper} <- {exported}"));
    assert_eq!(again["changed"], json!([]), "an export changes nothing where it came from");
    let newest = house.operator("GET /api/v1/admin/audit?subject=flag/gamma")[0].take();
    assert_eq!(newest["action"], "flag.import");

    for bad in [
        json!({ "version": 2, "features": {} }),
        json!({ "version": 1, "features": { "beta": {}, "No Name": {} } }),
        json!({ "version": 1, "features": { "beta": {}, "shop_mode": { "percentage_of_time": "5" } } }),
        json!({ "version": 1, "features": { "beta": {}, "delta": { "groups": ["nobody"] } } }),
        json!({ "version": 1, "features": { "beta": { "actors": ["nobody"] } } }),
    ] {
        let request = format!("PUT {flipper} <- {bad}");
        house.refuses(&house.operator, &request, "422 VALIDATION_FAILED");
    }
    assert_eq!(house.operator(&format!("GET {FLAG}")), beta);
}
