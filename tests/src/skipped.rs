//! A test that cannot run here says so, and `cargo xtask test` counts it.

#[path = "../../build/src/ci.rs"]
mod ci;

/// Says that the rest of this test is skipped, and why.
///
/// # Panics
///
/// Under `CI=true`, where nothing may be skipped.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn skipped(why: &str) {
    assert!(!ci::is_ci(), "skipped under CI=true: {why}");
    // On a line of its own: it is counted by its beginning.
    eprintln!("\nskipped: {why}");
}
