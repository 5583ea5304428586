//! How e-mail goes out: with a password, into a folder, later, or not at all.

use std::fs;

use anyhow::{Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use powernode_tests::{
    instance::{free_port, within},
    setup::Setup,
    smtp::Sink,
};
use serde_json::{Value, json};

use crate::{Marketing, SOON, on_both, started, text};

#[test]
fn a_mail_server_is_told_the_password_that_was_set() -> Result<()> {
    on_both(&[("smtp.username", "shop")], |instance, sink| {
        let it = Marketing::of(&instance);
        it.ok("PUT mail/password", json!({ "password": "s3cret-word" }));
        let list = it.list("News", &["ann@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let expected = format!("AUTH PLAIN {}", BASE64_STANDARD.encode("\0shop\0s3cret-word"));
        assert_eq!(sink.logins(), [expected]);
        ensure!(!instance.log().contains("s3cret-word"), "the password is in the log");
        // Another account of the installation may not change it.
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let token = instance.cli(&[
            "--json",
            "tokens",
            "create",
            "--account",
            text(&account["id"]),
            "--scope",
            "*",
        ])?;
        let other = Marketing(instance.client(text(&token.json()?["token"])));
        let refused = other.send("PUT mail/password", &json!({ "password": "other" }));
        assert_eq!(refused.status, 404, "{}", refused.text());
        Ok(())
    })
}

#[test]
fn who_is_not_taken_at_once_is_tried_again_and_then_left() -> Result<()> {
    on_both(&[("retry_seconds", "1")], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned(), "later@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let failed = it.get(&format!("{campaign}/deliveries?state=failed"));
        assert_eq!(
            (text(&failed[0]["email"]), &failed[0]["attempts"]),
            ("later@example.com", &json!(5))
        );
        assert_eq!(sink.mails().len(), 1);
        // It is no bounce: the address may be there.
        let shown = it.get(&format!("email_lists/{list}/subscribers?search=later"));
        assert_eq!(shown[0]["status"], json!("subscribed"));
        Ok(())
    })
}

#[test]
fn an_email_goes_into_a_folder_where_there_is_no_mail_server() -> Result<()> {
    on_both(&[("transport", "file"), ("mail_folder", "data/outbox")], |instance, sink| {
        let it = Marketing::of(&instance);
        let list = it.list("News", &["ann@example.com".to_owned()]);
        let campaign = it.campaign("Sale", &[&list]);
        it.ok(&format!("POST {campaign}/launch"), json!({}));
        it.becomes(&instance, &campaign, "status", "completed");
        let files: Vec<_> =
            fs::read_dir(instance.setup().data().join("outbox"))?.collect::<Result<_, _>>()?;
        assert_eq!(files.len(), 1);
        let mail = fs::read_to_string(files[0].path())?;
        assert!(
            mail.contains("To: ann@example.com\r\n") && mail.contains("Subject: Hello Ann\r\n"),
            "{mail}"
        );
        assert!(sink.mails().is_empty());
        Ok(())
    })
}

#[test]
fn a_mail_server_that_is_away_is_waited_for() -> Result<()> {
    let port = free_port()?;
    let sink = Sink::start()?;
    let instance = started(Setup::new()?, &sink, &[("smtp.port", &port.to_string())])?;
    let it = Marketing::of(&instance);
    let list = it.list("News", &["ann@example.com".to_owned()]);
    let campaign = it.campaign("Sale", &[&list]);
    it.ok(&format!("POST {campaign}/launch"), json!({}));
    let said = || instance.log().contains("the mail server does not answer");
    ensure!(within(SOON, said), "{}", instance.log());
    let waits = it.get(&format!("{campaign}/sendings"));
    assert_eq!(waits[0]["deliveries"], json!({ "pending": 1 }));
    assert_eq!(it.get(&campaign)["status"], json!("active"));
    let back = Sink::start_on(port)?;
    it.becomes(&instance, &campaign, "status", "completed");
    assert_eq!(back.mails().len(), 1);
    Ok(())
}

#[test]
fn without_settings_of_email_nothing_pretends_to_be_sent() -> Result<()> {
    let sink = Sink::start()?;
    let text_of = |value: &Value| value["code"].as_str().unwrap_or_default().to_owned();
    let mut setup = Setup::new()?;
    setup.set("extension.marketing.social_adapter", "dry_run");
    let manifest = fs::read_to_string(
        powernode_tests::artefacts::root().join("plugins/marketing/extension.json"),
    )?;
    let mut manifest: Value = serde_json::from_str(&manifest)?;
    manifest["default_enabled"] = json!(true);
    let library = powernode_tests::artefacts::plugin("powernode-marketing")?;
    let instance = setup.with_extension(&library, &manifest)?.start()?;
    let it = Marketing::of(&instance);
    let list = it.list("News", &["ann@example.com".to_owned()]);
    let campaign = it.campaign("Sale", &[&list]);
    let refused = it.send(&format!("POST {campaign}/launch"), &json!({}));
    assert_eq!((refused.status, text_of(&refused.json())), (409, "NO_MAILER".to_owned()));
    assert_eq!(it.get(&campaign)["status"], json!("draft"));
    assert!(sink.mails().is_empty());
    Ok(())
}
