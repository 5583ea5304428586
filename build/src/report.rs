//! `cargo xtask report`: proofs and figures on one page.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cargo::{root, target};
use crate::commit::{CHANGED, commit};
use crate::proof::{PROOFS, reports};

/// What the sources are now.
struct Now {
    time: SystemTime,
    commit: Option<String>,
}

/// A report or a list of figures, and when it was written.
struct Written {
    value: Value,
    time: SystemTime,
}

/// Prints every report there is, and the figures.
pub(crate) fn report() -> Result<()> {
    let mut proofs = Vec::new();
    if let Ok(directory) = reports().read_dir() {
        for entry in directory {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                proofs.push(read(&path)?);
            }
        }
    }
    proofs.sort_by_key(|proof| proof.value["name"].as_str().map(str::to_owned));
    let figures = target().join("bench/summary.json");
    let figures = if figures.exists() { Some(read(&figures)?) } else { None };
    let now = Now { time: SystemTime::now(), commit: commit(root()) };
    println!("{}", page(&proofs, figures.as_ref(), &now));
    Ok(())
}

fn read(path: &Path) -> Result<Written> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value =
        serde_json::from_str(&text).with_context(|| format!("`{}` is no JSON", path.display()))?;
    Ok(Written { value, time: fs::metadata(path)?.modified()? })
}

fn page(proofs: &[Written], figures: Option<&Written>, now: &Now) -> String {
    let mut page = String::from("PROOFS\n");
    if proofs.is_empty() {
        page += "none yet: `cargo xtask proof` makes them\n";
    } else {
        let rows = proofs.iter().map(|proof| proof_row(proof, now)).collect();
        page += &table(&["name", "cases", "held", "seconds", "age", "commit", ""], rows);
        for Written { value: proof, .. } in proofs {
            for failure in proof["failed"].as_array().into_iter().flatten().take(10) {
                let [case, expected, got] =
                    ["case", "expected", "got"].map(|key| text(&failure[key]));
                let name = text(&proof["name"]);
                page += &format!("  {name}: {case}: expected {expected}, got {got}\n");
            }
        }
        let missing: Vec<_> = PROOFS
            .iter()
            .map(|it| it.name)
            .filter(|name| proofs.iter().all(|proof| proof.value["name"] != *name))
            .collect();
        if !missing.is_empty() {
            page += &format!("without a report: {}\n", missing.join(", "));
        }
    }
    page += "\nFIGURES\n";
    let rows = figures.map_or_else(Vec::new, |figures| {
        let figures = figures.value.as_array().into_iter().flatten();
        figures.map(|figure| figure_row(figure, now)).collect()
    });
    if rows.is_empty() {
        page += "none yet: `cargo xtask bench` makes them\n";
        return page;
    }
    page += &table(
        &["name", "value", "unit", "baseline", "ratio", "spread", "bar", "age", "commit", ""],
        rows,
    );
    page
}

fn proof_row(Written { value: proof, time }: &Written, now: &Now) -> Vec<String> {
    let known = PROOFS.iter().find(|it| proof["name"] == it.name);
    let holds = match known {
        Some(known) => known.holds(proof),
        None => Err(anyhow::anyhow!("`cargo xtask proof` does not know it")),
    };
    let mut said = vec![match holds {
        Ok(()) => "holds".to_owned(),
        Err(error) => format!("DOES NOT HOLD: {error:#}"),
    }];
    if let Some(Err(error)) = known.map(|it| it.is_whole(proof)) {
        said.push(format!("{error:#}"));
    }
    let (commit, stale) = source(proof, now);
    said.extend(stale);
    let seconds = proof["seconds"].as_f64().unwrap_or_default();
    vec![
        text(&proof["name"]),
        text(&proof["cases"]),
        text(&proof["held"]),
        format!("{seconds:.1}"),
        age(now.time.duration_since(*time).unwrap_or_default()),
        commit,
        said.join("; "),
    ]
}

fn figure_row(figure: &Value, now: &Now) -> Vec<String> {
    let measured = figure["measured_at"].as_str().and_then(time_of);
    let measured = measured.map(|it| age(now.time.duration_since(it).unwrap_or_default()));
    let (commit, stale) = source(figure, now);
    let mut said = vec![if figure["ok"] == true { "ok" } else { "MISSED" }.to_owned()];
    said.extend(stale);
    let mut row: Vec<_> = ["name", "value", "unit", "baseline", "ratio", "spread", "bar"]
        .map(|key| text(&figure[key]))
        .into();
    row.extend([measured.unwrap_or_else(|| "-".to_owned()), commit, said.join("; ")]);
    row
}

/// The commit that something is of, and what to say where the sources are others now.
fn source(of: &Value, now: &Now) -> (String, Option<String>) {
    let clean = |commit: &str| commit.strip_suffix(CHANGED).unwrap_or(commit).to_owned();
    let Some(commit) = of["commit"].as_str() else {
        return ("-".to_owned(), Some("STALE: of an unknown commit".to_owned()));
    };
    let changed = if commit.ends_with(CHANGED) { "+" } else { "" };
    let short = commit.get(..7).unwrap_or(commit).to_owned() + changed;
    let stale = match now.commit.as_deref() {
        Some(now) if clean(now) != clean(commit) => Some("STALE: of another commit".to_owned()),
        _ if !changed.is_empty() => Some("of changed sources".to_owned()),
        _ => None,
    };
    (short, stale)
}

/// Reads a time such as `2026-01-31T12:00:00Z`.
fn time_of(text: &str) -> Option<SystemTime> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let seconds = part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?;
    // Years that begin with March: the day that some have more is their last.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    let since = days.checked_sub(719_469)? * 86_400 + seconds;
    text.ends_with('Z').then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(since))
}

/// A time that passed, in the largest unit that it fills.
fn age(passed: Duration) -> String {
    let minutes = passed.as_secs() / 60;
    match (minutes / 60 / 24, minutes / 60, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

/// Returns a value as a cell: a number with three digits behind the point at most, nothing as a dash.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let text = format!("{:.3}", number.as_f64().unwrap_or_default());
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => other.to_string(),
    }
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        table += cells.collect::<Vec<_>>().join("  ").trim_end();
        table += "\n";
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NEW: &str = "1111111111111111111111111111111111111111";
    const OLD: &str = "2222222222222222222222222222222222222222";
    /// When everything was written.
    const THEN: u64 = 1_700_000_000;

    /// The page, ninety minutes later, at the new commit.
    fn page(proofs: &[Value], figures: Value) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN);
        let written = |value| Written { value, time };
        let proofs: Vec<_> = proofs.iter().cloned().map(written).collect();
        let now = Now { time: time + Duration::from_secs(90 * 60), commit: Some(NEW.to_owned()) };
        super::page(&proofs, Some(&written(figures)), &now)
    }

    #[test]
    fn a_page_names_what_did_not_hold_and_what_is_not_of_today() {
        let proofs = [
            json!({
                "name": "doctor_faults", "cases": 31, "held": 31, "seconds": 2.0, "failed": [],
                "commit": OLD, "count": null,
            }),
            json!({
                "name": "gate_properties", "cases": 6656, "held": 6656, "seconds": 0.7,
                "failed": [], "commit": NEW, "count": null,
            }),
            json!({
                "name": "role_by_route", "cases": 2, "held": 1, "seconds": 1.26,
                "failed": [{"case": "off", "expected": "404", "got": "200"}],
                "commit": format!("{NEW}-dirty"), "count": null,
            }),
        ];
        let figures = json!([
            {
                "name": "abi_call", "value": 3.25, "unit": "ns", "baseline": null, "ratio": null,
                "spread": 0.1, "bar": "<= 5", "ok": true, "measured_at": "2023-11-14T22:13:20Z", "commit": NEW,
            },
            {
                "name": "route_10k", "value": 1, "unit": "req/s", "baseline": null, "ratio": 0.9,
                "spread": 0.1, "bar": ">= 0.95", "ok": false,
            },
        ]);
        let page = page(&proofs, figures);
        let (page, missing) = page.split_once("without a report: ").unwrap();
        assert_eq!(
            page,
            "PROOFS\n\
             name             cases  held  seconds  age  commit\n\
             doctor_faults    31     31    2.0      1 h  2222222   holds; STALE: of another commit\n\
             gate_properties  6656   6656  0.7      1 h  1111111   holds; not at the full count, which is 100000\n\
             role_by_route    2      1     1.3      1 h  1111111+  DOES NOT HOLD: 1 of 2 cases held; of changed sources\n\
             \x20 role_by_route: off: expected 404, got 200\n"
        );
        let (missing, figures) = missing.split_once("\n\n").unwrap();
        assert!(missing.contains("wrong_libraries") && !missing.contains("doctor_faults"));
        assert_eq!(
            figures,
            "FIGURES\n\
             name       value  unit   baseline  ratio  spread  bar      age  commit\n\
             abi_call   3.25   ns     -         -      0.1     <= 5     1 h  1111111  ok\n\
             route_10k  1      req/s  -         0.9    0.1     >= 0.95  -    -        MISSED; STALE: of an unknown commit\n"
        );
    }

    #[test]
    fn an_empty_page_says_what_fills_it() {
        let empty = page(&[], Value::Array(Vec::new()));
        assert!(
            empty.contains("cargo xtask proof") && empty.contains("cargo xtask bench"),
            "{empty}"
        );
    }

    #[test]
    fn a_time_is_read() {
        let seconds = |text| {
            let time = time_of(text)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(time.as_secs())
        };
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2024-02-29T12:00:00Z"), Some(1_709_208_000));
        assert_eq!(seconds("2023-11-14T22:13:20Z"), Some(THEN));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn an_age_has_one_unit() {
        let minutes = |it: u64| age(Duration::from_secs(it * 60));
        assert_eq!([59, 61, 60 * 50].map(minutes), ["59 min", "1 h", "2 d"]);
    }
}
