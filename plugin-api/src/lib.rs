//! What the author of a powernode extension depends on.
//!
//! Implement [`Extension`], add routes, and export the library:
//!
//! ```text
//! #![forbid(unsafe_code)]
//! use powernode_plugin_api::prelude::*;
//!
//! struct Hello;
//!
//! impl Extension for Hello {
//!     fn new(_: &Host) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn routes(routes: &mut Routes<Self>) {
//!         routes.get("greeting", greeting).public();
//!     }
//! }
//!
//! async fn greeting(_: Call<Hello>) -> Result<Json<&'static str>> {
//!     Ok(Json("hello"))
//! }
//!
//! export_extension!(Hello, slug = "hello");
//! ```
//!
//! The guide is this crate's README.

#![forbid(unsafe_code)]

pub mod db;
pub mod error;
pub mod checks;
pub mod id;
pub mod operation;
pub mod host;
pub mod request;
pub mod extract;
pub mod answer;
pub mod handler;
pub mod routes;
pub mod resource;
pub mod jobs;
pub mod events;
pub mod providers;
pub mod webhooks;
pub mod channels;
pub mod extension;
mod trace;
#[doc(hidden)]
pub mod export;
#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use powernode_abi as abi;

pub use self::{
    channels::Channels,
    checks::Checks,
    db::Db,
    error::{Error, Result},
    events::{Event, Events, NewEvent},
    extension::{Description, Extension, Seeds, Tier},
    host::Host,
    id::{Id, Identified},
    jobs::{Job, Jobs, NewJob, Outcome},
    providers::Providers,
    request::{Call, Principal},
    resource::{NoFilter, Resource},
    routes::Routes,
};

/// The SDK's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an extension's source names most often.
pub mod prelude {
    pub use crate::{
        Call, Channels, Checks, Db, Error, Event, Events, Extension, Host, Id, Identified, Job,
        Jobs, NewEvent, NewJob, NoFilter, Outcome, Providers, Resource, Result, Routes, Seeds,
        Tier,
        answer::{Answer, Created, Json, NoContent, Paged, Response},
        db::{AsJson, HostConnection},
        events::{publish, publish_all},
        export_extension,
        extract::{Body, Both, Page, Path, Query},
        jobs::{enqueue, enqueue_all},
        migrations, text_enum,
    };
}
