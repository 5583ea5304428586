//! An older library in a newer platform, and a newer one in an older: both load and serve within 1.x.

use std::path::Path;

use anyhow::Result;
use powernode_tests::{
    artefacts, frozen, next,
    setup::{Setup, manifest},
};
use serde_json::json;

#[test]
fn either_side_may_be_the_older_one() -> Result<()> {
    let (old_platform, new_platform) = (artefacts::platform()?, next::platform()?);
    let (old_library, new_library) = (artefacts::fixture("faulty")?, next::fixture()?);
    // 7 is the default body's, where the other side has no such method; 8 and 9 are the other side's own.
    serves(&old_platform, &new_library, &["the host's later is 7"])?;
    serves(&new_platform, &old_library, &["the plugin's later is 7"])?;
    serves(&new_platform, &new_library, &["the host's later is 9", "the plugin's later is 8"])?;
    Ok(())
}

#[test]
fn a_library_of_interface_1_0_serves_for_ever() -> Result<()> {
    serves(&artefacts::platform()?, &frozen::fixture("1.0")?, &[])
}

#[track_caller]
fn serves(platform: &Path, library: &Path, logged: &[&str]) -> Result<()> {
    let mut manifest = manifest("fixture-000", "1.0.0");
    manifest["default_enabled"] = true.into();
    manifest["permissions"] = json!([{ "name": "fixture_000.read", "description": "Reads." }]);
    let setup = Setup::of(platform)?.with_extension(library, &manifest)?;
    let instance = setup.start()?;
    let answer = instance.operator().get("/api/v1/fixture-000/ok")?;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), instance.log());
    // Its tables, over the data types of its own version.
    let notes = "/api/v1/fixture-000/notes";
    assert_eq!(instance.anonymous().post(notes, &json!({ "text": "x" }))?.status, 201);
    assert_eq!(instance.anonymous().get(notes)?.data()[0]["text"], "x");
    for line in logged {
        assert!(instance.log().contains(line), "`{line}` is not in {}", instance.log());
    }
    Ok(())
}
