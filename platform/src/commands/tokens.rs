//! `powernode tokens`

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{Output, by, output::table, runtime};
use crate::{
    access::{Access, NewToken, Scopes},
    boot,
    config::Settings,
};

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Make a token; it is shown this once.
    Create {
        /// What people call it.
        #[arg(long, default_value = "cli")]
        name: String,
        /// A permission: exact, `marketing.*`, or `*`; may be given several times.
        #[arg(long = "scope", default_value = "*")]
        scopes: Vec<String>,
        /// Days until it ends; it does not end by itself if not given.
        #[arg(long, value_name = "DAYS")]
        expires_in: Option<u32>,
        /// The account that its bearer acts in; the first one if not given.
        #[arg(long)]
        account: Option<Uuid>,
    },
    /// List tokens, without their secrets.
    List,
    /// Revoke a token, by its id or the part that is shown.
    Revoke {
        /// Its id, or `pn_…`.
        token: String,
    },
}

impl Tokens {
    pub(super) fn run(self, settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
        let runtime = runtime()?;
        let core = boot::core(settings, runtime.handle())?;
        let access = Access::new(core.db.clone());
        match self {
            Self::Create { name, scopes, expires_in, account } => {
                let scopes = Scopes::new(scopes).map_err(|bad| {
                    anyhow::anyhow!("`{bad}` is no scope: a permission, `name.*`, or `*`")
                })?;
                let accounts = runtime.block_on(access.accounts())?;
                let account = account.or_else(|| accounts.first().map(|it| it.id));
                let account = account
                    .context("there is no account yet: `powernode serve` makes the first one")?;
                let expires_at = expires_in.map(|it| Utc::now() + TimeDelta::days(i64::from(it)));
                let new = NewToken { account, user: None, name, scopes, expires_at };
                let (token, secret) = runtime.block_on(access.create_token(new, by()))?;
                output.answer(&json!({ "token": secret.text, "details": token }), || {
                    format!("Token `{}`, shown this once: {}", token.name, secret.text)
                })?;
            }
            Self::List => {
                let tokens = runtime.block_on(access.tokens(None))?;
                output.answer(&tokens, || {
                    let time = |it: Option<chrono::DateTime<Utc>>| {
                        it.map_or_else(|| "-".to_owned(), |it| it.format("%F %T").to_string())
                    };
                    let rows: Vec<_> = tokens
                        .iter()
                        .map(|it| {
                            let scopes = it.scopes.to_string();
                            let (ends, revoked) = (time(it.expires_at), time(it.revoked_at));
                            vec![
                                it.prefix.clone(),
                                it.name.clone(),
                                scopes,
                                ends,
                                revoked,
                                time(it.last_used_at),
                            ]
                        })
                        .collect();
                    table(&["TOKEN", "NAME", "SCOPES", "ENDS", "REVOKED", "LAST USED"], &rows)
                })?;
            }
            Self::Revoke { token } => {
                let token = runtime.block_on(access.revoke_token(&token, by()))?;
                output.answer(&token, || {
                    format!("Token `{}` ({}) is revoked.", token.name, token.prefix)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
