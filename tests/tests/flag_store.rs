//! The flags' database goes away and comes back: the last flags answer, one warning says so, and nobody gets a 500.

use std::time::Duration;

use powernode_tests::{instance::within, postgres::Cluster, setup::Setup};
use serde_json::json;

const OK: &str = "/api/v1/fixture-000/ok";
const FLAG: &str = "/api/v1/admin/extensions/fixture-000/flag";
const LOST: &str = "The flag store does not answer";
const BACK: &str = "The flag store answers again";
const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_last_flags_answer_while_their_store_is_lost() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let setup = Setup::new().unwrap().with_setting("database.url", &database);
    let setup = setup.with_setting("database.acquire_timeout", "500ms").with_fixture().unwrap();
    let instance = setup.start().unwrap();
    let (anyone, operator) = (instance.anonymous(), instance.operator());
    assert_eq!(anyone.get(OK).unwrap().status, 200);

    cluster.take_away(&database).unwrap();
    assert!(within(SOON, || instance.log().contains(LOST)), "{}", instance.log());
    for _ in 0..100 {
        assert_eq!(anyone.get(OK).unwrap().status, 200);
    }
    let refused = operator.put(FLAG, &json!({ "enabled": false })).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(anyone.get(OK).unwrap().status, 200);
    assert_eq!(anyone.get("/readyz").unwrap().status, 503);
    assert_eq!(anyone.get("/healthz").unwrap().status, 200);
    assert_eq!(instance.log().matches(LOST).count(), 1, "{}", instance.log());

    cluster.give_back(&database).unwrap();
    assert!(within(SOON, || instance.log().contains(BACK)), "{}", instance.log());
    assert!(within(SOON, || {
        operator.put(FLAG, &json!({ "enabled": false })).is_ok_and(|it| it.status == 200)
    }));
    assert_eq!(anyone.get(OK).unwrap().code(), "EXTENSION_DISABLED");
    assert_eq!(instance.log().matches(LOST).count(), 1, "{}", instance.log());
}
