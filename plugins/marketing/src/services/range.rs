//! Ranges of days.

use chrono::NaiveDate;
use powernode_plugin_api::prelude::*;

/// From the first to the last day, both among them.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub start: NaiveDate,
    pub end: NaiveDate,
}

impl Range {
    /// The range itself, where it has 1 to `most` days; else 422.
    pub fn within(self, most: i64) -> Result<Self> {
        let days = (self.end - self.start).num_days() + 1;
        let mut checks = Checks::new();
        checks.require(days >= 1, "end_date", "must not be before start_date").require(
            days <= most,
            "end_date",
            format!("must be at most {most} days from start_date"),
        );
        checks.finish().map(|()| self)
    }
}
