//! A figure, and the bar that it has to clear.

use std::{fmt::Write as _, fs, io::ErrorKind, path::Path, sync::OnceLock};

use anyhow::{Context as _, Result};
use chrono::{SecondsFormat, Utc};
use powernode_tests::report;
use serde::Serialize;
use serde_json::Value;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    /// The median of the rounds, unless the figure is one of what comes late.
    value: f64,
    unit: &'static str,
    /// The same of the other side, where there is one: measured in the same rounds, in turn.
    baseline: Option<f64>,
    /// The median of the rounds' ratios, value over baseline.
    ratio: Option<f64>,
    /// How far rounds lie apart: the upper quartile less the lower one, of the rounds' ratios where
    /// there is a baseline, else of their values, in the unit then.
    spread: f64,
    bar: Option<String>,
    ok: bool,
    /// When, in UTC.
    measured_at: String,
    /// The commit of the sources, with `-dirty` behind it where they were changed.
    commit: Option<String>,
    /// What else is to be said of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Figure {
    /// A figure of its own: the median of `values`.
    pub(crate) fn of(name: &'static str, unit: &'static str, values: &[f64]) -> Self {
        let (value, spread) = (median(values), spread(values));
        Self {
            name,
            value,
            unit,
            baseline: None,
            ratio: None,
            spread,
            bar: None,
            ok: true,
            measured_at: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            commit: commit(),
            note: None,
        }
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

    /// A figure of what comes late: of both sides the value that one round of twenty exceeds.
    pub(crate) fn late(name: &'static str, unit: &'static str, pairs: &[(f64, f64)]) -> Self {
        let of = |pick: fn(&(f64, f64)) -> f64| {
            quantile(&pairs.iter().map(pick).collect::<Vec<_>>(), LATE)
        };
        Self {
            value: of(|it| it.1),
            baseline: Some(of(|it| it.0)),
            ..Self::beside(name, unit, pairs)
        }
    }

    /// Says something more of the value.
    #[must_use]
    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    /// Asks that the value, whatever the ratio, be `most` at most.
    #[must_use]
    pub(crate) fn value_at_most(self, most: f64) -> Self {
        let (bar, holds) = (format!("<= {most} {}", self.unit), self.value <= most);
        self.and(&bar, holds)
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

/// The part of the rounds that is not late.
pub(crate) const LATE: f64 = 0.95;

fn commit() -> Option<String> {
    static COMMIT: OnceLock<Option<String>> = OnceLock::new();
    COMMIT.get_or_init(report::commit).clone()
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn spread(values: &[f64]) -> f64 {
    quantile(values, 0.75) - quantile(values, 0.25)
}

pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
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
        "{:<26}{:>12} {:<6}{:>12}{:>8}{:>11}  bar\n",
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
            "{:<26}{:>12.2} {:<6}{:>12}{:>8}{:>11.3}  {verdict}",
            it.name,
            it.value,
            it.unit,
            it.baseline.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}")),
            number(it.ratio),
            it.spread,
        );
        let note = it.note.as_ref().map_or_else(String::new, |it| format!("  ({it})"));
        let _ = writeln!(table, "{}", (line + &note).trim_end());
    }
    table
}

/// Writes figures as JSON: each takes the place of the one of its name, and those of other names stay.
///
/// # Errors
///
/// The file system's; and when there is a file that is no list of figures, which stays as it is.
pub(crate) fn write(figures: &[Figure], path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let place = path.display();
    let before: Vec<Value> = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("`{place}` is no list of figures; remove it"))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{place}`")),
    };
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_string_pretty(&merged(before, figures)?)? + "\n")?;
    Ok(fs::rename(new, path)?)
}

fn merged(mut all: Vec<Value>, figures: &[Figure]) -> Result<Vec<Value>> {
    for figure in figures {
        let new = serde_json::to_value(figure)?;
        match all.iter_mut().find(|it| it["name"] == figure.name) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    Ok(all)
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

    #[test]
    fn a_later_figure_takes_the_place_of_its_name_and_of_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bench/summary.json");
        let shown = || -> Vec<String> {
            let all: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert!(all.iter().all(|it| it["measured_at"].is_string()), "{all:?}");
            all.iter().map(|it| format!("{} {}", it["name"], it["value"])).collect()
        };
        let of = |name, value| Figure::of(name, "ns", &[value]);
        write(&[of("a", 1.0), of("b", 2.0)], &path).unwrap();
        write(&[of("b", 3.0), of("c", 4.0)], &path).unwrap();
        assert_eq!(shown(), [r#""a" 1.0"#, r#""b" 3.0"#, r#""c" 4.0"#]);

        fs::write(&path, "half a lis").unwrap();
        assert!(write(&[of("a", 1.0)], &path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "half a lis");
    }

    #[test]
    fn what_comes_late_is_judged_by_its_value() {
        let pairs: Vec<_> = (0..=100).map(|it| (10.0, f64::from(it))).collect();
        let figure = Figure::late("it", "ms", &pairs);
        assert_eq!((figure.value, figure.baseline, figure.ratio), (95.0, Some(10.0), Some(5.0)));
        assert!(figure.clone().value_at_most(95.0).ok);
        assert!(!figure.value_at_most(94.0).ok);
    }
}
