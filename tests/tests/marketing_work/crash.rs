//! A campaign whose process is killed in the middle.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use powernode_tests::instance::within;
use serde_json::json;

use crate::{Marketing, SOON, addresses, on_both};

/// Readers of the campaign.
const READERS: usize = 500;
/// How often the process is killed.
const KILLS: usize = 2;

#[test]
fn what_is_killed_goes_on_and_nobody_is_left_out() -> Result<()> {
    on_both(&[("batch_size", "100")], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &addresses(READERS));
        let campaign = it.campaign("Sale", &[&list]);
        sink.slow(Duration::from_millis(5));
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        let mut instance = instance;
        for kill in 1..=KILLS {
            let reached = kill * 150;
            ensure!(within(SOON, || sink.mails().len() >= reached), "{}", instance.log());
            instance = instance.kill()?.start()?;
        }
        let it = Marketing::of(&instance);
        it.becomes(&instance, &campaign, "status", "completed");
        let mut numbers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mail in sink.mails() {
            let number = mail.header("message-id").unwrap_or_default();
            numbers.entry(mail.to).or_default().push(number);
        }
        ensure!(numbers.keys().eq(addresses(READERS).iter()), "{} of {READERS}", numbers.len());
        let twice: Vec<_> = numbers.values().filter(|it| it.len() > 1).collect();
        ensure!(twice.len() <= KILLS, "more than one for each kill: {twice:?}");
        ensure!(
            twice.iter().all(|it| it.iter().all(|one| *one == it[0])),
            "not the same number: {twice:?}"
        );
        let sent = it.figures(&campaign)["sends"].clone();
        ensure!(sent == READERS, "{sent} were counted");
        Ok(())
    })
}
