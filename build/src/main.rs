//! Builds, stages, runs, tests, measures.
fn main() {}
