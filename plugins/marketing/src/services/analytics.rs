//! What campaigns did, and what it was worth.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, Bool},
};
use powernode_plugin_api::{prelude::*, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::campaigns;
use crate::{
    models::{
        Actor, Campaign, Channel,
        metric::{Figures, Metric, NewMetric, Rates},
    },
    schema::{marketing_campaign_metrics as metrics, marketing_campaigns as campaign_rows},
};

/// From which day to which, both among them; all where nothing is said.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Days {
    pub start_date: Option<NaiveDate>,
    pub end_date: Option<NaiveDate>,
}

/// By what campaigns are compared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Ranking {
    #[serde(default)]
    pub start_date: Option<NaiveDate>,
    #[serde(default)]
    pub end_date: Option<NaiveDate>,
    #[serde(default = "conversions")]
    pub metric: By,
    /// From 1 to 100; 10 where nothing is said.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Compares campaigns of this currency alone, as amounts of money ask for.
    #[serde(default)]
    pub currency: Option<String>,
}

fn conversions() -> By {
    By::Conversions
}

text_enum! {
    /// A figure by which campaigns are compared.
    pub enum By {
        Conversions = "conversions",
        RevenueCents = "revenue_cents",
        Clicks = "clicks",
        Opens = "opens",
        Engagements = "engagements",
    }
}

/// Figures, and what follows from them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Performance {
    pub figures: Counts,
    pub rates: Rates,
    /// One for each currency, by its code.
    pub money: Vec<Money>,
}

/// What was counted and is no money.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Counts {
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
}

/// What came in and what was spent, in the currency's smallest unit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Money {
    pub currency: String,
    pub revenue_cents: i64,
    pub cost_cents: i64,
    /// `(revenue - cost) / cost`, in percent with two digits; 0 where nothing was spent.
    pub roi: f64,
}

/// What a campaign did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfCampaign {
    pub campaign_id: Id<Campaign>,
    pub name: String,
    pub total: Performance,
    pub by_channel: Vec<OfChannel>,
    pub by_day: Vec<OfDay>,
}

/// What was done on a channel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfChannel {
    pub channel: Channel,
    #[serde(flatten)]
    pub performance: Performance,
}

/// What was done on a day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfDay {
    pub date: NaiveDate,
    #[serde(flatten)]
    pub performance: Performance,
}

/// What a campaign was worth.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Worth {
    pub campaign_id: Id<Campaign>,
    pub name: String,
    #[serde(flatten)]
    pub money: Money,
}

/// One of the best campaigns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Performer {
    pub campaign_id: Id<Campaign>,
    pub name: String,
    /// The figure that was asked for.
    pub value: i64,
    #[serde(flatten)]
    pub performance: Performance,
}

/// The figures that were entered for a channel and a day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entered {
    pub campaign_id: Id<Campaign>,
    pub channel: Channel,
    pub date: NaiveDate,
    pub figures: Figures,
}

/// Enters the figures of a channel and a day in place of those that were there.
pub fn enter(
    conn: &mut HostConnection,
    actor: Actor,
    campaign: Id<Campaign>,
    new: NewMetric,
) -> Result<Entered> {
    let campaign = campaigns::hold(conn, actor.account, campaign)?;
    let metric = Metric::new(actor, &campaign, new)?;
    diesel::insert_into(metrics::table)
        .values(&metric)
        .on_conflict((metrics::marketing_campaign_id, metrics::channel, metrics::measured_on))
        .do_update()
        .set((metric.figures, metrics::updated_at.eq(actor.now)))
        .execute(conn)?;
    let Metric { channel, measured_on: date, figures, .. } = metric;
    Ok(Entered { campaign_id: campaign.id, channel, date, figures })
}

/// All campaigns together.
pub fn overview(conn: &mut HostConnection, account: Uuid, days: Days) -> Result<Performance> {
    let sums = sums(conn, account, days, None)?;
    Ok(Sum::together(&sums).performance())
}

/// All campaigns together, channel by channel.
pub fn channels(conn: &mut HostConnection, account: Uuid, days: Days) -> Result<Vec<OfChannel>> {
    sums(conn, account, days, None).map(|it| by_channel(&it))
}

/// One campaign: as a whole, by channel, by day.
pub fn campaign(
    conn: &mut HostConnection,
    account: Uuid,
    id: Id<Campaign>,
    days: Days,
) -> Result<OfCampaign> {
    let campaign = campaigns::find(conn, account, id)?;
    let sums = sums(conn, account, days, Some(id))?;
    let mut by_day: BTreeMap<NaiveDate, Sum> = BTreeMap::new();
    let mut query = metrics::table
        .filter(metrics::account_id.eq(account))
        .filter(metrics::marketing_campaign_id.eq(id))
        .into_boxed();
    if let Some(start) = days.start_date {
        query = query.filter(metrics::measured_on.ge(start));
    }
    if let Some(end) = days.end_date {
        query = query.filter(metrics::measured_on.le(end));
    }
    for metric in query.select(Metric::as_select()).load(conn)? {
        by_day.entry(metric.measured_on).or_default().add(&campaign.currency, metric.figures);
    }
    let of_day = |(date, sum): (_, Sum)| OfDay { date, performance: sum.performance() };
    Ok(OfCampaign {
        campaign_id: campaign.id,
        name: campaign.name,
        total: Sum::together(&sums).performance(),
        by_channel: by_channel(&sums),
        by_day: by_day.into_iter().map(of_day).collect(),
    })
}

/// What each campaign was worth, the best first.
pub fn roi(
    conn: &mut HostConnection,
    account: Uuid,
    days: Days,
    page: Page,
) -> Result<Paged<Worth>> {
    let mut all: Vec<_> = by_campaign(sums(conn, account, days, None)?)
        .into_iter()
        .map(|(campaign_id, name, sum)| (campaign_id, name, sum.money()))
        .filter_map(|(campaign_id, name, mut money)| {
            Some(Worth { campaign_id, name, money: money.pop()? })
        })
        .collect();
    all.sort_by(|one, other| {
        other.money.roi.total_cmp(&one.money.roi).then(one.campaign_id.cmp(&other.campaign_id))
    });
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let skipped = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let rows = all.into_iter().skip(skipped).take(page.per_page as usize).collect();
    Ok(Paged { rows, page, total })
}

/// The campaigns with the largest figures.
pub fn top_performers(
    conn: &mut HostConnection,
    account: Uuid,
    ranking: Ranking,
) -> Result<Vec<Performer>> {
    let limit = ranking.limit.unwrap_or(10);
    let mut checks = Checks::new();
    checks.require((1..=100).contains(&limit), "limit", "must be from 1 to 100");
    checks.finish()?;
    let days = Days { start_date: ranking.start_date, end_date: ranking.end_date };
    let mut sums = sums(conn, account, days, None)?;
    if let Some(currency) = ranking.currency {
        sums.retain(|it| it.currency == currency);
    }
    let performer = |(campaign_id, name, sum): (_, _, Sum)| Performer {
        campaign_id,
        name,
        value: ranking.metric.of(&sum.all),
        performance: sum.performance(),
    };
    let mut all: Vec<_> = by_campaign(sums).into_iter().map(performer).collect();
    all.sort_by_key(|it| (std::cmp::Reverse(it.value), it.campaign_id));
    all.truncate(limit as usize);
    Ok(all)
}

impl By {
    fn of(self, figures: &Figures) -> i64 {
        match self {
            Self::Conversions => figures.conversions,
            Self::RevenueCents => figures.revenue_cents,
            Self::Clicks => figures.clicks,
            Self::Opens => figures.opens,
            Self::Engagements => figures.engagements,
        }
    }
}

/// The figures of one campaign on one channel.
#[derive(Debug, Queryable)]
struct Part {
    campaign: Id<Campaign>,
    name: String,
    currency: String,
    channel: Channel,
    figures: Figures,
}

/// Figures together, and their money by currency.
#[derive(Clone, Debug, Default)]
struct Sum {
    all: Figures,
    by_currency: BTreeMap<String, Figures>,
}

impl Sum {
    fn together(parts: &[Part]) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.add(&part.currency, part.figures);
        }
        sum
    }

    fn add(&mut self, currency: &str, figures: Figures) {
        self.all += figures;
        *self.by_currency.entry(currency.to_owned()).or_default() += figures;
    }

    fn money(&self) -> Vec<Money> {
        let of = |(currency, figures): (&String, &Figures)| Money {
            currency: currency.clone(),
            revenue_cents: figures.revenue_cents,
            cost_cents: figures.cost_cents,
            roi: figures.roi(),
        };
        self.by_currency.iter().map(of).collect()
    }

    fn performance(&self) -> Performance {
        let all = &self.all;
        Performance {
            figures: Counts {
                sends: all.sends,
                deliveries: all.deliveries,
                opens: all.opens,
                unique_opens: all.unique_opens,
                clicks: all.clicks,
                conversions: all.conversions,
                unsubscribes: all.unsubscribes,
                bounces: all.bounces,
                impressions: all.impressions,
                engagements: all.engagements,
                reach: all.reach,
            },
            rates: all.rates(),
            money: self.money(),
        }
    }
}

fn by_channel(parts: &[Part]) -> Vec<OfChannel> {
    let mut sums: BTreeMap<Channel, Sum> = BTreeMap::new();
    for part in parts {
        sums.entry(part.channel).or_default().add(&part.currency, part.figures);
    }
    let of = |(channel, sum): (_, Sum)| OfChannel { channel, performance: sum.performance() };
    sums.into_iter().map(of).collect()
}

fn by_campaign(parts: Vec<Part>) -> Vec<(Id<Campaign>, String, Sum)> {
    let mut sums: BTreeMap<Id<Campaign>, (String, Sum)> = BTreeMap::new();
    for part in parts {
        let (_, sum) = sums.entry(part.campaign).or_insert_with(|| (part.name, Sum::default()));
        sum.add(&part.currency, part.figures);
    }
    sums.into_iter().map(|(id, (name, sum))| (id, name, sum)).collect()
}

/// The database sums as it likes; a column of whole numbers comes back as one.
macro_rules! total {
    ($column:literal) => {
        sql::<BigInt>(concat!("CAST(COALESCE(SUM(", $column, "), 0) AS BIGINT)"))
    };
}

/// The figures of each campaign on each channel, summed by the database.
fn sums(
    conn: &mut HostConnection,
    account: Uuid,
    days: Days,
    campaign: Option<Id<Campaign>>,
) -> Result<Vec<Part>> {
    let start = days.start_date.unwrap_or(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default());
    let end = days.end_date.unwrap_or(NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default());
    let mut checks = Checks::new();
    checks.require(start <= end, "end_date", "must not be before start_date");
    checks.finish()?;
    // Without a campaign, each is as good as itself.
    let all = campaign.is_none().into_sql::<Bool>();
    let one = metrics::marketing_campaign_id.eq(campaign.unwrap_or_else(|| Uuid::nil().into()));
    let rows = metrics::table
        .inner_join(campaign_rows::table)
        .filter(metrics::account_id.eq(account))
        .filter(metrics::measured_on.between(start, end))
        .filter(one.or(all))
        .group_by((
            metrics::marketing_campaign_id,
            campaign_rows::name,
            campaign_rows::currency,
            metrics::channel,
        ))
        .select((
            metrics::marketing_campaign_id,
            campaign_rows::name,
            campaign_rows::currency,
            metrics::channel,
            (
                total!("sends"),
                total!("deliveries"),
                total!("opens"),
                total!("unique_opens"),
                total!("clicks"),
                total!("conversions"),
                total!("unsubscribes"),
                total!("bounces"),
                total!("impressions"),
                total!("engagements"),
                total!("reach"),
                total!("revenue_cents"),
                total!("cost_cents"),
            ),
        ))
        .load(conn)?;
    Ok(rows)
}
