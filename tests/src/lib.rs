//! Black-box tests of the built platform with built extensions.

#![forbid(unsafe_code)]

pub mod artefacts;
pub mod browser;
pub mod client;
pub mod frozen;
pub mod instance;
pub mod library;
pub mod next;
pub mod postgres;
pub mod raw;
pub mod report;
pub mod setup;
pub mod skipped;
pub mod smtp;
