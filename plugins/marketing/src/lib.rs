//! Marketing: campaigns, their contents, e-mail lists and subscribers.
//!
//! A request runs from [`routes`] through one of [`controllers`], which reads the call, to
//! one of [`services`], which runs inside a database job on the rows of [`models`]. What may
//! happen to a row, and what makes it valid, its model knows.

#![forbid(unsafe_code)]

mod controllers;
mod models;
mod permissions;
mod routes;
mod schema;
mod services;

use powernode_plugin_api::{db::MigrationDef, prelude::*};

/// The extension; it keeps nothing between two requests.
#[derive(Debug)]
pub struct Marketing;

impl Extension for Marketing {
    fn new(_: &Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(routes: &mut Routes<Self>) {
        routes::mount(routes);
    }

    fn migrations() -> Vec<MigrationDef> {
        migrations![
            "2026-02-01-000000_campaigns",
            "2026-02-02-000000_contents",
            "2026-02-03-000000_email_lists",
        ]
    }
}

export_extension!(Marketing, slug = "marketing");
