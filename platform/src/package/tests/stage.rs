use super::*;

#[test]
fn staging_again_replaces_the_library_and_keeps_the_rest() {
    let bench = Bench::new(&Sample::default()).unwrap();
    fs::write(bench.path("extensions/a/README.md"), "x").unwrap();
    let first = bench.library();
    let manifest = r#"{"name": "A", "slug": "a", "version": "1.0.0", "icon": "kept",
        "library": {"riscv64gc-unknown-linux-gnu": {"path": "lib/r.so", "sdk": "1.0.0", "panic": "unwind",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}"#;
    let staged = bench.stage(&Sample::with("int more;"), manifest).unwrap();
    assert_ne!(bench.library(), first);
    assert!(!first.exists() && bench.path("extensions/a/README.md").exists());
    assert_eq!(staged.manifest.library.len(), 2);
    let text = fs::read_to_string(bench.path("extensions/a/extension.json")).unwrap();
    assert!(text.contains(r#""icon": "kept""#), "{text}");
    assert_eq!(bench.verify().unwrap().sha256, staged.library.sha256);
}

#[test]
fn a_private_extension_is_staged_apart() {
    let bench = Bench::empty();
    let manifest = r#"{"name": "A", "slug": "a", "version": "1.0.0", "visibility": "private"}"#;
    let staged = bench.stage(&Sample::default(), manifest).unwrap();
    assert_eq!(staged.directory, bench.path("extensions/private/a"));
    assert!(bench.found().private && bench.verify().is_ok());
}

#[test]
fn what_is_refused_is_not_staged() {
    let bench = Bench::empty();
    let refusal = bench
        .stage(&Sample::default(), r#"{"name": "A", "slug": "b", "version": "1.0.0"}"#)
        .unwrap_err();
    assert_eq!((&*refusal.code, refusal.stage), ("note_mismatch", manifest::Stage::Verify));
    assert_eq!(bench.stage(&Sample::default(), "{").unwrap_err().code, "manifest_not_json");
    assert_eq!(fs::read_dir(bench.path("extensions")).unwrap().count(), 0);
}
