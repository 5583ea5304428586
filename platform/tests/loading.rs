//! Libraries that were built apart, verified and opened by the loader itself.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use powernode::{
    loader,
    package::{Host, Store, scan, verify},
};
use powernode_tests::library::{Build, Library, Package};

/// What becomes of the library when it is verified, stored and opened.
#[track_caller]
fn check(library: &Library, expected: &str) {
    let slug = "loading-001";
    let dir = tempfile::tempdir().unwrap();
    let extensions = dir.path().join("extensions");
    let library = library.stamped(slug).unwrap();
    Package::new(slug, library).write(&extensions.join(slug)).unwrap();
    let found = scan(&extensions);
    let outcome = verify(&found[0], &Host::detect()).and_then(|verified| {
        let store = Store::open(&dir.path().join("data"))?;
        store.put(&verified)
    });
    let outcome = match outcome {
        Ok(path) => loader::open(&path).map(|_| "open".to_owned()).map_err(|it| it.to_string()),
        Err(refusal) => Err(refusal.to_string()),
    };
    let text = outcome.unwrap_or_else(|text| text);
    assert!(text.starts_with(expected), "{text}");
}

fn faulty() -> Library {
    Library::built("faulty", Build::Plain).unwrap()
}

#[test]
fn a_healthy_library_opens() {
    check(&faulty(), "open");
}

#[test]
fn another_layout_and_another_allocator_open() {
    check(&Library::built("faulty", Build::OtherLayout).unwrap(), "open");
    check(&Library::built("counting", Build::Plain).unwrap(), "open");
}

#[test]
fn another_interface_of_the_same_revision_is_refused_in_a_sentence() {
    // The name of a field in the description that abi_stable compares.
    let library = faulty().patched("content_type", "content_kind").unwrap();
    check(
        &library,
        "the library's interface does not fit interface 1.1 of this platform: in `RawResponse` the platform has the field `content_type`, the library `content_kind`",
    );
}

#[test]
fn another_abi_stable_is_refused_in_a_sentence() {
    let library =
        faulty().patched("abi stable library for Rust", "abi stable library for Dust").unwrap();
    check(&library, "the library is built on another abi_stable than this platform");
}
