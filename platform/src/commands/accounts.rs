//! `powernode accounts`

use std::process::ExitCode;

use clap::Subcommand;

use super::{Output, by, output::table, runtime};
use crate::{access::Access, boot, config::Settings};

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
    pub(super) fn run(self, settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        match self {
            Self::Create { name } => {
                // Whether this is core mode, only loading the extensions shows.
                let core = boot::extensions(core, settings, runtime.handle())?.core;
                let access = Access::new(core.db);
                let made = access.create_account(&name, core.gate.core_mode(), by());
                let account = runtime.block_on(made)?;
                output
                    .answer(&account, || format!("Account `{}`: {}", account.name, account.id))?;
            }
            Self::List => {
                let accounts = runtime.block_on(Access::new(core.db).accounts())?;
                output.answer(&accounts, || {
                    let row =
                        |it: &crate::access::Account| vec![it.id.to_string(), it.name.clone()];
                    table(&["ACCOUNT", "NAME"], &accounts.iter().map(row).collect::<Vec<_>>())
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
