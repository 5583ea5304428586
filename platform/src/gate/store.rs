//! The flags in the database: made once, changed by operators, followed by every node.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use powernode_plugin_api::db::{Db, HostConnection, RunError};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::flags::{BadEdit, BadFlagName, Edit, Flag, Gates, flag_name};
use super::{FlagSet, Gate};
use crate::audit::{self, By, Entry};
use crate::db::epoch;

mod rows;

/// The counter by which nodes learn that a flag changed.
const EPOCH: &str = "flags";

/// The flags in the database. Whatever is changed through it stands in this node's gates when the change returns.
#[derive(Clone, Debug)]
pub struct FlagStore {
    db: Db,
    gate: Arc<Gate>,
}

/// A flag as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The flag's name.
    pub name: String,
    /// What it switches.
    pub description: String,
    /// Whether it is on until an operator decides.
    pub default_enabled: bool,
}

impl FlagStore {
    /// The flags that the core's database holds, for these gates.
    pub fn new(db: Db, gate: Arc<Gate>) -> FlagStore {
        FlagStore { db, gate }
    }

    /// Reads all flags into the gates.
    ///
    /// # Errors
    ///
    /// [`FlagError::Database`]; the gates then answer as before.
    pub async fn load(&self) -> Result<(), FlagError> {
        let flags = self.db.read(|conn| Ok::<_, FlagError>(all(conn)?)).await?;
        self.gate.publish(flags);
        Ok(())
    }

    /// Makes the flags that are not there yet, and answers their names. A flag that is there stays as it is, whatever
    /// its manifest says by now, and a flag whose manifest is gone stays too.
    ///
    /// # Errors
    ///
    /// [`FlagError::Name`] for a name that no flag can have, else [`FlagError::Database`]; no flag was made then.
    pub async fn ensure(&self, seen: Vec<Seen>, by: By) -> Result<Vec<String>, FlagError> {
        for flag in &seen {
            flag_name(&flag.name)?;
        }
        self.change(move |conn| {
            let mut made = Vec::new();
            for flag in seen {
                if rows::find(conn, &flag.name)?.is_some() {
                    continue;
                }
                let gates = Gates { boolean: flag.default_enabled, ..Gates::default() };
                make(conn, &flag.name, &flag.description, &gates, &by)?;
                made.push(flag.name);
            }
            Ok(made)
        })
        .await
    }

    /// Makes a flag, which is off.
    ///
    /// # Errors
    ///
    /// [`FlagError::Name`], [`FlagError::Exists`] or [`FlagError::Database`]; nothing was changed then.
    pub async fn create(&self, name: &str, description: &str, by: By) -> Result<Flag, FlagError> {
        let (name, description) = (flag_name(name)?.to_owned(), description.to_owned());
        self.change(move |conn| {
            if rows::find(conn, &name)?.is_some() {
                return Err(FlagError::Exists(name));
            }
            make(conn, &name, &description, &Gates::default(), &by)?;
            rows::find(conn, &name)?.ok_or(FlagError::Unknown(name))
        })
        .await
    }

    /// Changes a flag. When this returns, this node admits nobody by what was; other nodes follow by their polls.
    ///
    /// A gate that is set to what it is, such as an actor or a group that is taken away and not there, leaves no trace
    /// in the flag or in the log. Switching the whole flag does, also to what it is: it is a choice.
    ///
    /// # Errors
    ///
    /// [`FlagError::Unknown`], [`FlagError::Edit`] or [`FlagError::Database`]; nothing was changed then.
    pub async fn edit(&self, name: &str, edit: Edit, by: By) -> Result<Flag, FlagError> {
        let name = name.to_owned();
        edit.check(&name, &self.gate.groups())?;
        self.change(move |conn| match rows::find(conn, &name)? {
            Some(flag) if edit.is_idle(&flag.gates) => Ok(flag),
            _ => change_gates(conn, &name, action(&edit), &by, |it| it.apply(&edit)),
        })
        .await
    }

    /// Takes over the gates of these flags, all or none, and answers the names of those that this changed. A flag that
    /// is not there is made; one that is not among them stays as it is.
    ///
    /// # Errors
    ///
    /// [`FlagError::Name`], [`FlagError::Edit`] or [`FlagError::Database`]; nothing was changed then.
    pub async fn import(
        &self,
        flags: Vec<(String, Gates)>,
        by: By,
    ) -> Result<Vec<String>, FlagError> {
        let groups = self.gate.groups();
        for (name, gates) in &flags {
            flag_name(name)?;
            gates.check(name, &groups)?;
        }
        self.change(move |conn| {
            let mut changed = Vec::new();
            for (name, gates) in flags {
                match rows::find(conn, &name)? {
                    Some(flag) if flag.gates == gates => continue,
                    Some(_) => {}
                    None => make(conn, &name, "", &Gates::default(), &by)?,
                }
                change_gates(conn, &name, "flag.import", &by, |it| *it = gates)?;
                changed.push(name);
            }
            Ok(changed)
        })
        .await
    }

    /// Follows what other nodes and the command line change, asking every so often, until it is dropped.
    ///
    /// While the database does not answer, the gates keep the last flags that they know; one warning says so, and one
    /// line says when it is over.
    pub async fn follow(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reachable = true;
        loop {
            ticks.tick().await;
            reachable = self.poll(reachable).await;
        }
    }

    /// Asks once; answers whether the database did.
    async fn poll(&self, was_reachable: bool) -> bool {
        match self.catch_up(!was_reachable).await {
            Ok(()) => {
                if !was_reachable {
                    tracing::info!("The flag store answers again; its flags were read");
                }
                true
            }
            Err(error) => {
                if was_reachable {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "The flag store does not answer; the gates keep the last flags they know"
                    );
                }
                false
            }
        }
    }

    /// Reads the flags if they changed, or in any case.
    async fn catch_up(&self, in_any_case: bool) -> Result<(), FlagError> {
        let epoch = self.db.read(|conn| Ok::<_, FlagError>(epoch::read(conn, EPOCH)?)).await?;
        if in_any_case || self.gate.epoch() != Some(epoch) {
            self.load().await?;
        }
        Ok(())
    }

    /// Runs a change in a transaction that counts the epoch up, and publishes what came of it.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut HostConnection) -> Result<T, FlagError> + Send + 'static,
    ) -> Result<T, FlagError> {
        let (answer, flags) = self
            .db
            .transaction(move |conn| {
                // First, so that writers on other nodes wait here and read what this one wrote.
                epoch::bump(conn, EPOCH)?;
                let answer = change(conn)?;
                Ok::<_, FlagError>((answer, all(conn)?))
            })
            .await?;
        self.gate.publish(flags);
        Ok(answer)
    }
}

/// A flag could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// There is no such flag.
    #[error("there is no flag `{0}`: `powernode flags` lists those there are")]
    Unknown(String),
    /// There is one already.
    #[error("there is a flag `{0}` already")]
    Exists(String),
    /// It cannot be called this.
    #[error(transparent)]
    Name(#[from] BadFlagName),
    /// It does not take this change.
    #[error(transparent)]
    Edit(#[from] BadEdit),
    /// The database failed.
    #[error("the flags in the database could not be reached")]
    Database(#[source] RunError),
}

impl From<RunError> for FlagError {
    fn from(error: RunError) -> Self {
        FlagError::Database(error)
    }
}

impl From<diesel::result::Error> for FlagError {
    fn from(error: diesel::result::Error) -> Self {
        FlagError::Database(error.into())
    }
}

/// All flags and their epoch. The epoch is read first: what changes meanwhile is then read again, and never missed.
fn all(conn: &mut HostConnection) -> QueryResult<FlagSet> {
    let epoch = epoch::read(conn, EPOCH)?;
    Ok(FlagSet::new(epoch, rows::all(conn)?))
}

fn make(
    conn: &mut HostConnection,
    name: &str,
    description: &str,
    gates: &Gates,
    by: &By,
) -> QueryResult<()> {
    rows::insert(conn, name, description, by)?;
    rows::write(conn, name, &Gates::default(), gates, by)?;
    let entry = Entry::new("flag.create", subject(name)).with_after(json!(gates));
    audit::append(conn, by, entry).map(drop)
}

fn change_gates(
    conn: &mut HostConnection,
    name: &str,
    action: &str,
    by: &By,
    change: impl FnOnce(&mut Gates),
) -> Result<Flag, FlagError> {
    let unknown = || FlagError::Unknown(name.to_owned());
    let flag = rows::find(conn, name)?.ok_or_else(unknown)?;
    let mut gates = flag.gates.clone();
    change(&mut gates);
    rows::write(conn, name, &flag.gates, &gates, by)?;
    rows::choose(conn, name)?;
    let entry =
        Entry::new(action, subject(name)).with_before(json!(flag.gates)).with_after(json!(gates));
    audit::append(conn, by, entry)?;
    rows::find(conn, name)?.ok_or_else(unknown)
}

fn subject(flag: &str) -> String {
    format!("flag/{flag}")
}

fn action(edit: &Edit) -> &'static str {
    match edit {
        Edit::Enable => "flag.enable",
        Edit::Disable => "flag.disable",
        Edit::EnableActor(_) => "flag.enable_actor",
        Edit::DisableActor(_) => "flag.disable_actor",
        Edit::EnableGroup(_) => "flag.enable_group",
        Edit::DisableGroup(_) => "flag.disable_group",
        Edit::PercentageOfActors(_) => "flag.percentage_of_actors",
        Edit::PercentageOfTime(_) => "flag.percentage_of_time",
        Edit::EnableExpression(_) => "flag.enable_expression",
        Edit::DisableExpression => "flag.disable_expression",
    }
}

#[cfg(test)]
mod tests;
