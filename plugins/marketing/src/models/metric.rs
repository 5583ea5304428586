//! Metrics: what a campaign did on one channel on one day, and what follows from it.

use std::ops::AddAssign;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use powernode_plugin_api::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Actor, Campaign, Channel};
use crate::schema::marketing_campaign_metrics;

/// Most of one figure: the sums of many still fit.
const MOST: i64 = 1_000_000_000_000;

/// What was counted. Money is in the smallest unit of the campaign's currency.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Queryable,
    Selectable,
    Insertable,
    AsChangeset,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[diesel(table_name = marketing_campaign_metrics)]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    pub sends: i64,
    pub deliveries: i64,
    pub opens: i64,
    pub unique_opens: i64,
    pub clicks: i64,
    pub conversions: i64,
    pub unsubscribes: i64,
    pub bounces: i64,
    pub impressions: i64,
    pub engagements: i64,
    pub reach: i64,
    pub revenue_cents: i64,
    pub cost_cents: i64,
}

/// One row: the figures of a campaign, a channel and a day.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = marketing_campaign_metrics)]
pub struct Metric {
    pub id: Uuid,
    pub account_id: Uuid,
    pub marketing_campaign_id: Id<Campaign>,
    pub channel: Channel,
    pub measured_on: NaiveDate,
    #[diesel(embed)]
    pub figures: Figures,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What clients send for one channel and day: all figures of it; what is left out is 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMetric {
    pub channel: Channel,
    pub date: NaiveDate,
    pub figures: Figures,
}

/// What follows from the figures, in percent with two digits; 0 where there is nothing to divide by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Rates {
    /// `unique_opens / deliveries`
    pub open_rate: f64,
    /// `clicks / deliveries`
    pub click_rate: f64,
    /// `conversions / clicks`
    pub conversion_rate: f64,
    /// `bounces / sends`
    pub bounce_rate: f64,
    /// `engagements / impressions`
    pub engagement_rate: f64,
}

impl Metric {
    /// The figures of one day, or what is wrong with them.
    pub fn new(actor: Actor, campaign: &Campaign, new: NewMetric) -> Result<Self> {
        let kind = campaign.campaign_type;
        let mut checks = Checks::new();
        checks
            .require(
                kind.sends_by(new.channel),
                "channel",
                format!("{} is no channel of the campaign type {kind}", new.channel),
            )
            .require(new.date <= actor.now.date_naive(), "date", "must not be in the future")
            .require(
                NaiveDate::from_ymd_opt(1970, 1, 1) <= Some(new.date),
                "date",
                "must not be before 1970",
            );
        for (name, figure) in new.figures.named() {
            checks.require((0..=MOST).contains(&figure), name, format!("must be from 0 to {MOST}"));
        }
        checks.finish()?;
        Ok(Self {
            id: Uuid::now_v7(),
            account_id: actor.account,
            marketing_campaign_id: campaign.id,
            channel: new.channel,
            measured_on: new.date,
            figures: new.figures,
            created_at: actor.now,
            updated_at: actor.now,
        })
    }
}

impl Figures {
    /// Each figure by its name.
    pub fn named(&self) -> [(&'static str, i64); 13] {
        [
            ("sends", self.sends),
            ("deliveries", self.deliveries),
            ("opens", self.opens),
            ("unique_opens", self.unique_opens),
            ("clicks", self.clicks),
            ("conversions", self.conversions),
            ("unsubscribes", self.unsubscribes),
            ("bounces", self.bounces),
            ("impressions", self.impressions),
            ("engagements", self.engagements),
            ("reach", self.reach),
            ("revenue_cents", self.revenue_cents),
            ("cost_cents", self.cost_cents),
        ]
    }

    /// What follows from them.
    pub fn rates(&self) -> Rates {
        Rates {
            open_rate: percent(self.unique_opens, self.deliveries),
            click_rate: percent(self.clicks, self.deliveries),
            conversion_rate: percent(self.conversions, self.clicks),
            bounce_rate: percent(self.bounces, self.sends),
            engagement_rate: percent(self.engagements, self.impressions),
        }
    }

    /// The return on what was spent: `(revenue - cost) / cost`, in percent.
    pub fn roi(&self) -> f64 {
        percent(self.revenue_cents.saturating_sub(self.cost_cents), self.cost_cents)
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.sends = self.sends.saturating_add(other.sends);
        self.deliveries = self.deliveries.saturating_add(other.deliveries);
        self.opens = self.opens.saturating_add(other.opens);
        self.unique_opens = self.unique_opens.saturating_add(other.unique_opens);
        self.clicks = self.clicks.saturating_add(other.clicks);
        self.conversions = self.conversions.saturating_add(other.conversions);
        self.unsubscribes = self.unsubscribes.saturating_add(other.unsubscribes);
        self.bounces = self.bounces.saturating_add(other.bounces);
        self.impressions = self.impressions.saturating_add(other.impressions);
        self.engagements = self.engagements.saturating_add(other.engagements);
        self.reach = self.reach.saturating_add(other.reach);
        self.revenue_cents = self.revenue_cents.saturating_add(other.revenue_cents);
        self.cost_cents = self.cost_cents.saturating_add(other.cost_cents);
    }
}

/// A share in percent, rounded to two digits; 0 of nothing.
pub fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let (part, whole) = (i128::from(part) * 10_000, i128::from(whole));
    let half = if (part < 0) == (whole < 0) { whole.abs() / 2 } else { -(whole.abs() / 2) };
    let half = if whole < 0 { -half } else { half };
    let hundredths = (part + half) / whole;
    // Both are far below 2^53 unless the share itself is beyond all reason.
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(part: i64, whole: i64, expected: f64) {
        assert_eq!(percent(part, whole).to_string(), expected.to_string(), "{part}/{whole}");
    }

    #[test]
    fn shares_are_rounded_to_two_digits() {
        check(1, 3, 33.33);
        check(2, 3, 66.67);
        check(1, 800, 0.13);
        check(-1, 3, -33.33);
        check(-2, 3, -66.67);
        check(5, 5, 100.0);
        check(i64::MAX, i64::MAX, 100.0);
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        check(0, 0, 0.0);
        check(7, 0, 0.0);
        assert_eq!(Figures::default().roi().to_string(), "0");
    }

    #[test]
    fn rates_follow_the_formulas() {
        let figures = Figures {
            sends: 1_000,
            deliveries: 950,
            opens: 500,
            unique_opens: 380,
            clicks: 95,
            conversions: 19,
            bounces: 50,
            impressions: 2_000,
            engagements: 250,
            revenue_cents: 30_000,
            cost_cents: 12_000,
            ..Figures::default()
        };
        let expected = Rates {
            open_rate: 40.0,
            click_rate: 10.0,
            conversion_rate: 20.0,
            bounce_rate: 5.0,
            engagement_rate: 12.5,
        };
        assert_eq!((figures.rates(), figures.roi().to_string()), (expected, "150".to_owned()));
    }
}
