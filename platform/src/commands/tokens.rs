//! `powernode tokens`

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    Output, by,
    client::{Client, segment},
    exit,
    output::{table, warn},
    place::Place,
    runtime,
};
use crate::{
    access::{Access, NewToken, Scopes, permissions},
    boot,
    config::{Settings, nearest_of},
    package::scan,
};

const BASE: &str = "/api/v1/admin/tokens";

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Make a token; it is shown this once.
    Create {
        /// What people call it.
        #[arg(long, default_value = "cli")]
        name: String,
        /// A permission: exact, `marketing.*`, or `*`; may be given several times. One that nobody defines is
        /// accepted with a warning: its extension may come later.
        #[arg(long = "scope", default_value = "*")]
        scopes: Vec<String>,
        /// Days until it ends; it does not end by itself if not given.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
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

/// What either place knows and does of tokens.
enum Kept<'a> {
    Running(&'a Client),
    Offline(Runtime, Box<Access>),
}

impl Kept<'_> {
    fn create(&self, new: Asked) -> anyhow::Result<Value> {
        let Asked { name, scopes, expires_at, account } = new;
        match self {
            Self::Running(client) => {
                let body = json!({
                    "name": name, "scopes": scopes.list(), "expires_at": expires_at, "account_id": account,
                });
                Ok(client.send("POST", BASE, &body)?)
            }
            Self::Offline(runtime, access) => {
                let accounts = runtime.block_on(access.accounts())?;
                let account = account.or_else(|| accounts.first().map(|it| it.id));
                let account = account
                    .context("there is no account yet: `powernode serve` makes the first one")?;
                let new = NewToken { account, user: None, name, scopes, expires_at };
                let (token, secret) = runtime.block_on(access.create_token(new, by()))?;
                Ok(json!({ "token": secret.text, "details": token }))
            }
        }
    }

    fn list(&self) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Running(client) => Ok(client.rows(BASE)?),
            Self::Offline(runtime, access) => {
                let tokens = runtime.block_on(access.tokens(None))?;
                Ok(tokens.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
            }
        }
    }

    fn revoke(&self, token: &str) -> anyhow::Result<Value> {
        match self {
            Self::Running(client) => {
                Ok(client.send("DELETE", &format!("{BASE}/{}", segment(token)), &Value::Null)?)
            }
            Self::Offline(runtime, access) => {
                Ok(serde_json::to_value(runtime.block_on(access.revoke_token(token, by()))?)?)
            }
        }
    }
}

/// A token as the command line asks for it.
struct Asked {
    name: String,
    scopes: Scopes,
    expires_at: Option<DateTime<Utc>>,
    account: Option<Uuid>,
}

impl Tokens {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        let place = Place::find(settings)?;
        let kept = match &place {
            Place::Running(client) => Kept::Running(client),
            Place::Data(_) => {
                let runtime = runtime()?;
                let core = boot::core(settings, runtime.handle())?;
                Kept::Offline(runtime, Box::new(Access::new(core.db)))
            }
        };
        let output = place.output(output);
        match self {
            Self::Create { name, scopes, expires_in, account } => {
                let scopes = Scopes::new(scopes).map_err(|bad| {
                    exit::usage(format!("`{bad}` is no scope: a permission, `name.*`, or `*`"))
                })?;
                let expires_at = expires_in.map(|it| Utc::now() + TimeDelta::days(i64::from(it)));
                let warnings = undefined(&scopes, settings);
                let mut made = kept.create(Asked { name, scopes, expires_at, account })?;
                made["warnings"] = json!(warnings);
                output.answer(&made, || {
                    let name = text(&made["details"]["name"]);
                    let made = format!("Token `{name}`, shown this once: {}", text(&made["token"]));
                    let warnings = warnings.iter().map(|it| format!("\n{}: {it}", warn("warning")));
                    std::iter::once(made).chain(warnings).collect()
                })?;
            }
            Self::List => {
                let tokens = kept.list()?;
                output.answer(&json!({ "tokens": tokens }), || {
                    table(
                        &["TOKEN", "NAME", "SCOPES", "ENDS", "REVOKED", "LAST USED"],
                        &tokens.iter().map(row).collect::<Vec<_>>(),
                    )
                })?;
            }
            Self::Revoke { token } => {
                let token = kept.revoke(&token)?;
                output.answer(&token, || {
                    let (name, prefix) = (text(&token["name"]), text(&token["prefix"]));
                    format!("Token `{name}` ({prefix}) is revoked.")
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The scopes that cover no permission of the core or of an installed extension, with the nearest that there is.
fn undefined(scopes: &Scopes, settings: &Settings) -> Vec<String> {
    let found = scan(&settings.extensions.dir);
    let manifests = found.iter().filter_map(|it| it.manifest.as_ref().ok());
    let own = manifests.flat_map(|it| &it.permissions).map(|it| it.name.as_str());
    let mut known: Vec<&str> = own.collect();
    permissions::core().for_each(|it| known.push(it));
    let covers = |scope: &str| {
        let one = Scopes::new(vec![scope.to_owned()]).unwrap_or_default();
        known.iter().any(|it| one.cover(it))
    };
    let undefined = scopes.list().iter().filter(|it| *it != "*" && !covers(it));
    let warning = |scope: &String| {
        let nearest = nearest_of(scope, known.iter().copied()).unwrap_or_default();
        format!(
            "nothing that is installed defines the permission `{scope}`; the nearest is `{nearest}`"
        )
    };
    undefined.map(warning).collect()
}

fn row(token: &Value) -> Vec<String> {
    let time = |name: &str| {
        let time = token[name].as_str().and_then(|it| it.parse::<DateTime<Utc>>().ok());
        time.map_or_else(|| "-".to_owned(), |it| it.format("%F %T").to_string())
    };
    let scopes = token["scopes"].as_array().into_iter().flatten().map(text);
    vec![
        text(&token["prefix"]),
        text(&token["name"]),
        scopes.collect::<Vec<_>>().join(" "),
        time("expires_at"),
        time("revoked_at"),
        time("last_used_at"),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
