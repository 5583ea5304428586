//! `cargo xtask report`: proofs and figures on one page.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cargo::target;

/// Prints every report there is, and the figures.
pub(crate) fn report() -> Result<()> {
    let mut proofs = Vec::new();
    if let Ok(directory) = target().join("report").read_dir() {
        for entry in directory {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                proofs.push(read(&path)?);
            }
        }
    }
    proofs.sort_by_key(|proof| proof["name"].as_str().map(str::to_owned));
    let figures = target().join("bench/summary.json");
    let figures = if figures.exists() { read(&figures)? } else { Value::Array(Vec::new()) };
    println!("{}", page(&proofs, &figures));
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no JSON", path.display()))
}

fn page(proofs: &[Value], figures: &Value) -> String {
    let mut page = String::from("PROOFS\n");
    if proofs.is_empty() {
        page += "none yet: `cargo xtask proof` makes them\n";
    } else {
        let rows = proofs.iter().map(|proof| {
            let held = proof["cases"] == proof["held"] && proof["cases"].as_u64() > Some(0);
            let seconds = proof["seconds"].as_f64().unwrap_or_default();
            vec![
                text(&proof["name"]),
                text(&proof["cases"]),
                text(&proof["held"]),
                format!("{seconds:.1}"),
                if held { "holds" } else { "DOES NOT HOLD" }.to_owned(),
            ]
        });
        page += &table(&["name", "cases", "held", "seconds", ""], rows.collect());
        for proof in proofs {
            for failure in proof["failed"].as_array().into_iter().flatten().take(10) {
                let [case, expected, got] =
                    ["case", "expected", "got"].map(|key| text(&failure[key]));
                let name = text(&proof["name"]);
                page += &format!("  {name}: {case}: expected {expected}, got {got}\n");
            }
        }
    }
    page += "\nFIGURES\n";
    let figures = figures.as_array().map(Vec::as_slice).unwrap_or_default();
    if figures.is_empty() {
        page += "none yet: `cargo xtask bench` makes them\n";
        return page;
    }
    let rows = figures.iter().map(|figure| {
        vec![
            text(&figure["name"]),
            text(&figure["value"]),
            text(&figure["unit"]),
            text(&figure["baseline"]),
            text(&figure["ratio"]),
            text(&figure["spread"]),
            text(&figure["bar"]),
            if figure["ok"] == true { "ok" } else { "MISSED" }.to_owned(),
        ]
    });
    page += &table(
        &["name", "value", "unit", "baseline", "ratio", "spread", "bar", ""],
        rows.collect(),
    );
    page
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

    #[test]
    fn a_page_names_what_did_not_hold() {
        let proofs = [json!({
            "name": "gates", "cases": 2, "held": 1, "seconds": 1.26,
            "failed": [{"case": "off", "expected": "404", "got": "200"}],
        })];
        let figures = json!([{
            "name": "abi_call", "value": 3.25, "unit": "ns", "baseline": null, "ratio": null,
            "spread": 0.1, "bar": "<= 5", "ok": true,
        }]);
        assert_eq!(
            page(&proofs, &figures),
            "PROOFS\n\
             name   cases  held  seconds\n\
             gates  2      1     1.3      DOES NOT HOLD\n\
             \x20 gates: off: expected 404, got 200\n\
             \n\
             FIGURES\n\
             name      value  unit  baseline  ratio  spread  bar\n\
             abi_call  3.25   ns    -         -      0.1     <= 5  ok\n"
        );
    }

    #[test]
    fn an_empty_page_says_what_fills_it() {
        let empty = page(&[], &Value::Array(Vec::new()));
        assert!(
            empty.contains("cargo xtask proof") && empty.contains("cargo xtask bench"),
            "{empty}"
        );
    }
}
