//! A figure, and the bar that it has to clear.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Result;
use serde::Serialize;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    baseline: Option<f64>,
    ratio: Option<f64>,
    /// The distance between the quartiles: of the ratios where there are some, else of the values.
    spread: f64,
    bar: Option<String>,
    ok: bool,
}

impl Figure {
    /// A figure of its own: the median of `values`.
    pub(crate) fn of(name: &'static str, unit: &'static str, values: &[f64]) -> Self {
        let (value, spread) = (median(values), spread(values));
        Self { name, value, unit, baseline: None, ratio: None, spread, bar: None, ok: true }
    }

    /// A figure beside its baseline: pairs of both, baseline first, measured in turn.
    pub(crate) fn beside(name: &'static str, unit: &'static str, pairs: &[(f64, f64)]) -> Self {
        let of = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
        let ratios = of(|(baseline, value)| value / baseline);
        Self {
            baseline: Some(median(&of(|it| it.0))),
            ratio: Some(median(&ratios)),
            spread: spread(&ratios),
            ..Self::of(name, unit, &of(|it| it.1))
        }
    }

    /// Asks that the ratio, or the value where there is none, be `most` at most.
    #[must_use]
    pub(crate) fn at_most(self, most: f64) -> Self {
        let (bar, holds) = (format!("<= {most}{}", self.judged_unit()), self.judged() <= most);
        self.and(&bar, holds)
    }

    /// Asks that the value and the baseline, each by itself, be `most` at most.
    #[must_use]
    pub(crate) fn both_at_most(self, most: f64) -> Self {
        let holds = self.value <= most && self.baseline.is_none_or(|it| it <= most);
        let bar = format!("<= {most} {}", self.unit);
        self.and(&bar, holds)
    }

    /// Asks that the ratio, or the value where there is none, be `least` at least.
    #[must_use]
    pub(crate) fn at_least(self, least: f64) -> Self {
        let (bar, holds) = (format!(">= {least}{}", self.judged_unit()), self.judged() >= least);
        self.and(&bar, holds)
    }

    /// Asks for something more.
    #[must_use]
    pub(crate) fn and(mut self, what: &str, holds: bool) -> Self {
        let bar = self.bar.take();
        self.bar = Some(bar.map_or_else(|| what.to_owned(), |it| format!("{it}, {what}")));
        self.ok &= holds;
        self
    }

    fn judged_unit(&self) -> String {
        if self.ratio.is_some() { String::new() } else { format!(" {}", self.unit) }
    }

    fn judged(&self) -> f64 {
        self.ratio.unwrap_or(self.value)
    }

    /// Whether its bar was missed.
    pub(crate) fn is_missed(&self) -> bool {
        !self.ok
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn spread(values: &[f64]) -> f64 {
    quantile(values, 0.75) - quantile(values, 0.25)
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

/// All figures as a table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = format!(
        "{:<26}{:>12} {:<6}{:>12}{:>8}{:>9}  bar\n",
        "name", "value", "unit", "baseline", "ratio", "spread"
    );
    for it in figures {
        let number = |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.3}"));
        let verdict = match (&it.bar, it.ok) {
            (None, _) => String::new(),
            (Some(bar), true) => format!("{bar}  ok"),
            (Some(bar), false) => format!("{bar}  MISSED"),
        };
        let line = format!(
            "{:<26}{:>12.2} {:<6}{:>12}{:>8}{:>9.3}  {verdict}",
            it.name,
            it.value,
            it.unit,
            it.baseline.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}")),
            number(it.ratio),
            it.spread,
        );
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

/// Writes all figures as JSON.
pub(crate) fn write(figures: &[Figure], path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, serde_json::to_string_pretty(figures)? + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_pairs() {
        let figure = Figure::beside("it", "ns", &[(1.0, 2.0), (10.0, 11.0), (100.0, 105.0)]);
        assert_eq!((figure.value, figure.ratio), (11.0, Some(1.1)));
        assert!(figure.clone().at_most(1.1).ok);
        assert!(!figure.clone().at_most(1.09).ok);
        assert!(!figure.at_least(1.2).ok);
    }

    #[test]
    fn a_missed_bar_stays_missed() {
        let figure = Figure::of("it", "ns", &[1.0]).and("no allocation", false).at_most(2.0);
        assert!(!figure.ok);
        assert!(table(&[figure]).contains("no allocation, <= 2 ns  MISSED"));
    }

    #[test]
    fn quartiles_lie_between_values() {
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0]), 1.5);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
    }
}
