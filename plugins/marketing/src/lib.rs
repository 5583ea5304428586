//! Marketing: campaigns and their contents, e-mail lists, a calendar, social accounts, analytics.
//!
//! A request runs from [`routes`] through one of [`controllers`], which reads the call, to
//! one of [`services`], which runs inside a database job on the rows of [`models`]. What may
//! happen to a row, and what makes it valid, its model knows.

#![forbid(unsafe_code)]

mod adapters;
mod controllers;
mod jobs;
mod mail;
mod models;
mod permissions;
mod routes;
mod schema;
mod seeds;
mod services;

use powernode_plugin_api::{db::MigrationDef, prelude::*};

use self::{adapters::Adapters, mail::Mail};

/// The extension; it keeps nothing between two requests.
#[derive(Debug)]
pub struct Marketing {
    /// How social platforms are spoken to.
    adapters: Adapters,
    /// What e-mail is sent with, if any.
    mail: Option<Mail>,
}

impl Extension for Marketing {
    fn new(host: &Host) -> Result<Self> {
        let settings = host.settings();
        Ok(Self {
            adapters: Adapters::new(&settings.config()?),
            mail: Mail::new(&settings.config()?)?,
        })
    }

    fn routes(routes: &mut Routes<Self>) {
        routes::mount(routes);
    }

    fn migrations() -> Vec<MigrationDef> {
        migrations![
            "2026-02-01-000000_campaigns",
            "2026-02-02-000000_contents",
            "2026-02-03-000000_email_lists",
            "2026-02-04-000000_calendar",
            "2026-02-05-000000_social_accounts",
            "2026-02-06-000000_metrics",
            "2026-03-10-000000_sending",
        ]
    }

    fn jobs(jobs: &mut Jobs<Self>) {
        jobs::add(jobs);
    }

    fn seeds(seeds: &mut Seeds) {
        seeds::add(seeds);
    }
}

export_extension!(Marketing, slug = "marketing");
