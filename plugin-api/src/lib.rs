//! What the author of a powernode extension depends on.

#![forbid(unsafe_code)]

pub mod db;
