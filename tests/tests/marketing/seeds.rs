//! Seeds: written once, however often they are run.

use anyhow::{Context as _, Result};
use powernode_tests::instance::Instance;
use serde_json::json;

use crate::{Marketing, names, on_both, text, with_token};

#[test]
fn a_second_run_changes_nothing() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let other = with_token(instance, Some(text(&account["id"])), &["*"])?;
        // Two accounts, the operator's and another; without it the extension works, so that no seed is of the core.
        assert_eq!(seeded(instance, "core")?, [] as [u64; 0]);
        assert_eq!(it.get("email_lists"), json!([]));
        assert_eq!(seeded(instance, "baseline")?, [2]);
        let log = instance.cli(&["audit", "export"])?.stdout;
        let rows = log.lines().filter(|it| it.contains("\"extension.seed\""));
        assert_eq!(rows.count(), 1, "{log}");
        assert_eq!(names(&it.get("email_lists")), ["Newsletter"]);
        assert_eq!(names(&other.get("email_lists")), ["Newsletter"]);

        assert_eq!(seeded(instance, "demo")?, [0, 48]);
        let all = |client: &Marketing| {
            [
                "campaigns",
                "email_lists",
                "analytics/overview",
                "analytics/roi",
                "calendar?start_date=2026-01-01&end_date=2026-12-31",
            ]
            .map(|it| client.get(it))
        };
        let before = (all(&it), all(&other));
        assert_eq!(names(&before.0[0]), ["Demo: Spring Sale"]);
        assert_eq!(before.0[2]["figures"]["sends"], json!(14_000));
        assert_eq!(seeded(instance, "demo")?, [0, 0]);
        assert_eq!((all(&it), all(&other)), before);
        Ok(())
    })
}

/// Runs `powernode seed`, and answers how many rows each seed wrote.
fn seeded(instance: &Instance, tier: &str) -> Result<Vec<u64>> {
    let said = instance.cli(&["--json", "seed", "--tier", tier])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let rows = said.json()?["seeds"].take();
    let rows = rows.as_array().with_context(|| format!("no list: {said:?}"))?;
    rows.iter().map(|it| it["rows"].as_u64().with_context(|| format!("{it}"))).collect()
}
