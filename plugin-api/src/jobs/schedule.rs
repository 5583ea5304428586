//! Schedules that an extension brings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JobOptions, NewJob};
use crate::error::{Error, Result};

/// What becomes of ticks that nobody took in time, as while the platform was down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One run for all of them.
    #[default]
    Once,
    /// A run for each, up to a hundred.
    All,
}

/// A schedule among [`Jobs`](super::Jobs).
#[derive(Clone, Debug)]
pub struct Schedule {
    name: String,
    expression: String,
    zone: String,
    missed: Missed,
    job: NewJob,
}

impl Schedule {
    pub(super) fn new(name: &str, expression: String, zone: &str, job: NewJob) -> Self {
        let missed = Missed::default();
        Self { name: name.to_owned(), expression, zone: zone.to_owned(), missed, job }
    }

    /// What becomes of ticks that nobody took in time; one run for all of them if nobody says.
    pub fn missed(&mut self, missed: Missed) -> &mut Self {
        self.missed = missed;
        self
    }

    pub(super) fn into_def(self, options: &BTreeMap<String, JobOptions>) -> Result<ScheduleDef> {
        let options = options.get(self.job.handler()).ok_or_else(|| {
            let handler = self.job.handler();
            Error::internal(format!("schedule `{}`: there is no handler `{handler}`", self.name))
        })?;
        let job = serde_json::to_value(self.job.with(options).into_asked()?);
        Ok(ScheduleDef {
            name: self.name,
            expression: self.expression,
            zone: self.zone,
            missed: self.missed,
            job: job.map_err(Error::internal)?,
        })
    }
}

/// A schedule as it crosses the boundary, in a JSON array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDef {
    /// Its name, unique within the extension.
    pub name: String,
    /// Five fields of cron, or `every 90s`.
    pub expression: String,
    /// The IANA zone that this is meant in.
    pub zone: String,
    /// What becomes of ticks that nobody took in time.
    pub missed: Missed,
    /// What each tick writes: the platform's `NewJob`.
    pub job: Value,
}
