//! `powernode accounts`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Output, by, output::table, place::Place, runtime};
use crate::{access::Access, boot, config::Settings};

const BASE: &str = "/api/v1/admin/accounts";

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Make an account; in core mode there is one, and no second.
    Create {
        /// What people call it.
        name: String,
    },
    /// List accounts.
    List,
}

impl Accounts {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let output = place.output(output);
        match self {
            Self::Create { name } => {
                let account = match &place {
                    Place::Running(client) => {
                        client.send("POST", BASE, &json!({ "name": name }))?
                    }
                    Place::Data(_) => create(settings, &name)?,
                };
                output.answer(&account, || {
                    format!("Account `{}`: {}", text(&account["name"]), text(&account["id"]))
                })?;
            }
            Self::List => {
                let accounts = match &place {
                    Place::Running(client) => client.rows(BASE)?,
                    Place::Data(_) => {
                        let runtime = runtime()?;
                        let core = boot::core(settings, runtime.handle())?;
                        let accounts = runtime.block_on(Access::new(core.db).accounts())?;
                        accounts.iter().map(serde_json::to_value).collect::<Result<_, _>>()?
                    }
                };
                output.answer(&json!({ "accounts": accounts }), || {
                    let row = |it: &Value| vec![text(&it["id"]), text(&it["name"])];
                    table(&["ACCOUNT", "NAME"], &accounts.iter().map(row).collect::<Vec<_>>())
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn create(settings: &Settings, name: &str) -> anyhow::Result<Value> {
    let runtime = runtime()?;
    let core = boot::core(settings, runtime.handle())?;
    // Whether this is core mode, only loading the extensions shows.
    let core = boot::extensions(core, settings, runtime.handle())?.core;
    let access = Access::new(core.db);
    let made = access.create_account(name, core.gate.core_mode(), by());
    Ok(serde_json::to_value(runtime.block_on(made)?)?)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
