//! Black-box tests of the built platform with built extensions.

pub mod report;
pub mod postgres;
