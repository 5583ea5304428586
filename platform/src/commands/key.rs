//! `powernode key`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{Output, by, exit::Exit, runtime};
use crate::{
    boot::{self, nodes::Alone},
    config::Settings,
    services::MasterKey,
};

/// The master key, which secrets, links and backups depend on.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Compare the master key here with the one that the database was written with; exit code 3 where they differ.
    Show,
    /// Go on with another master key than the database's: say what is lost with the former one, and with `--yes` do it.
    ///
    /// Secrets that were encrypted with the former key are forgotten and have to be set again; links that were sent
    /// are void; backups made before are still restored, with the former key alone. Passwords of login roles are made
    /// anew by the next start. Where there is no key file, a new key is made. The platform must be stopped, on all nodes.
    Adopt {
        /// Do it; without this, say what would be lost.
        #[arg(long)]
        yes: bool,
    },
}

impl Key {
    pub(super) fn run(self, settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show => show(settings, output),
            Self::Adopt { yes } => adopt(settings, output, yes),
        }
    }
}

fn show(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let key = boot::key::known(settings)?;
    let runtime = runtime()?;
    let core = boot::core(settings, runtime.handle())?;
    let wanted = runtime.block_on(MasterKey::wanted(&core.db))?;
    let here = key.as_deref().map(MasterKey::id);
    let fits = wanted.is_none() || wanted.as_deref() == here;
    let value = json!({ "key": here, "database": wanted, "fits": fits });
    output.answer(&value, || {
        let here = here.map_or("There is no master key here".to_owned(), |id| {
            format!("The master key here is `{id}`")
        });
        match &wanted {
            None => format!("{here}; the database has seen none yet."),
            Some(_) if fits => format!("{here}, and the database was written with it."),
            Some(wanted) => format!(
                "{here}, and the database was written with `{wanted}`: put that key back; \
                 where it is lost, `powernode key adopt` names what is lost with it."
            ),
        }
    })?;
    Ok(if fits { Exit::Done.into() } else { Exit::No.into() })
}

fn adopt(settings: &Settings, output: &Output, yes: bool) -> anyhow::Result<ExitCode> {
    let _lock = yes.then(|| Alone::take(settings)).transpose()?;
    let runtime = runtime()?;
    let mut key = boot::key::known(settings)?;
    let core = boot::core(settings, runtime.handle())?;
    let former = runtime.block_on(MasterKey::wanted(&core.db))?;
    let lost = runtime.block_on(MasterKey::lost(key.as_deref(), &core.db))?;
    let same = key.as_deref().map(MasterKey::id) == former.as_deref() && lost.is_empty();
    if yes && !same {
        let made = key.map_or_else(|| boot::key::make(settings), Ok)?;
        runtime.block_on(made.adopt(&core.db, by()))?;
        key = Some(made);
    }
    let id = key.as_deref().map(MasterKey::id);
    let names: Vec<_> = lost.iter().map(|(whose, name)| format!("{whose}/{name}")).collect();
    let value = json!({ "key": id, "former": former, "adopted": yes && !same, "lost": names });
    output.answer(&value, || {
        let shown = id.map_or("a new key".to_owned(), |id| format!("`{id}`"));
        if same {
            return match id {
                Some(_) => format!("The database was written with {shown}: nothing is lost."),
                None => "There is no master key yet; the first start makes it.".to_owned(),
            };
        }
        let mut lines = vec![match yes {
            true => format!("The database's master key is {shown} from now on. Lost:"),
            false => {
                format!("`--yes` would make {shown} the database's master key. Lost would be:")
            }
        }];
        lines.extend(names.iter().map(|it| match it.strip_prefix("core/database/") {
            Some(slug) => format!(
                "  the password of the login role of `{slug}`, which the next start makes anew"
            ),
            None => format!("  the secret {it}, which has to be set again"),
        }));
        if id != former.as_deref() {
            lines.push("  all links that were sent".to_owned());
            lines.extend(former.map(|it| {
                format!(
                    "  the seals of backups made before: to restore one, put `{it}` in place first"
                )
            }));
        }
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
