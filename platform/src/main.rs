//! The platform's command line.
fn main() {}
