//! The powernode platform: loads extensions that were built apart from it, gates them, serves them.
//!
//! The rooms stand in the order in which data flows; a room uses only those above it.

pub mod config;
pub mod telemetry;
pub mod db;
pub mod audit;
pub mod access;
pub mod manifest;
pub mod package;
pub mod resolver;
pub mod loader;
pub mod registry;
pub mod gate;
pub mod egress;
pub mod changes;
pub mod queue;
pub mod services;
pub mod migrator;
pub mod events;
pub mod worker;
pub mod webhooks;
pub mod http;
pub mod boot;
pub mod commands;
