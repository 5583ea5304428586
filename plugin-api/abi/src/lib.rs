//! What crosses the boundary between the platform and an extension's library.
//!
//! Nothing of Rust's own layout crosses: every type here has a fixed layout,
//! and [`check::compatible`] compares both sides' descriptions before the first
//! call. The platform and the SDK (`powernode-plugin-api`) use this crate;
//! authors of extensions do not.
//!
//! How it grows: a trait gets new methods after its last one, each with a
//! default body that answers [`error::UNSUPPORTED`]; structs are frozen;
//! whatever changes often crosses as JSON text. Kinds are `u32`, so that an
//! unknown one is a value and not undefined behaviour.

pub mod error;
pub mod guard;
pub mod future;
pub mod data;
pub mod lend;
pub mod http;
pub mod jobs;
pub mod providers;
pub mod client;
pub mod channels;
pub mod host;
pub mod plugin;
pub mod note;
pub mod check;

pub use abi_stable;

pub use self::{
    data::{Cell, ConnMut, DbError, DbObject, JobObject, MigrationDef, Param, Query, RowBatch},
    error::{AbiError, Res},
    future::{LocalPFuture, PFuture, PPoll, PWaker, PollPanicked},
    guard::{Guarded, guard},
    host::{HostObject, Id},
    http::{Header, RawBody, RawResponse, RawRoute, RequestObject, StreamObject},
    jobs::{JobHandlerDef, RunObject, RunOutcome},
    plugin::{PluginObject, PluginRoot, PluginRootRef},
};

/// The interface's version, `major.minor`: a library's note carries the one it was built against.
pub const ABI_VERSION: &str = "1.1";
