//! Accounts on social platforms, and their tokens, which nobody sees again.

use std::{fs, path::Path};

use anyhow::Result;
use powernode_tests::{postgres::Cluster, setup::Setup};
use serde_json::{Value, json};

use crate::{Marketing, on_both, started, text};

const ACCESS: &str = "s3cret-access-4711";
const REFRESH: &str = "s3cret-refresh-4712";
/// Lies where tokens must not: it shows that the search finds what is there.
const SEEN: &str = "seen-username-4713";

fn new(access: &str) -> Value {
    json!({
        "platform": "linkedin", "platform_account_id": "4713", "username": SEEN,
        "access_token": access, "refresh_token": REFRESH, "scopes": ["post"],
    })
}

#[test]
fn accounts_are_tried_and_renewed_through_the_adapter() -> Result<()> {
    let setup = || {
        Ok::<_, anyhow::Error>(
            Setup::new()?.with_setting("extension.marketing.social_adapter", "dry_run"),
        )
    };
    let mut instances = vec![started(setup()?)?];
    if let Some(cluster) = Cluster::shared() {
        instances.push(started(setup()?.with_setting("database.url", &cluster.database()?))?);
    }
    for instance in &instances {
        let it = Marketing(instance.operator());
        let made = it.ok("POST social_accounts", new(ACCESS));
        assert_eq!(text(&made["status"]), "disconnected");
        let account = format!("social_accounts/{}", text(&made["id"]));
        let taken = "422 platform_account_id: is already taken";
        it.refused("POST social_accounts", new("another"), taken);

        let tested = it.ok(&format!("POST {account}/test"), json!({}));
        assert_eq!((text(&tested["status"]), text(&tested["adapter"])), ("connected", "dry_run"));
        assert_eq!(text(&it.get("social_accounts?status=connected")[0]["username"]), SEEN);

        it.ok(&format!("PATCH {account}"), json!({ "access_token": "refused-4714" }));
        assert_eq!(text(&it.get(&account)["status"]), "disconnected");
        it.ok(&format!("POST {account}/test"), json!({}));
        let shown = it.get(&account);
        assert_eq!(
            (text(&shown["status"]), text(&shown["last_error"])),
            ("error", "the token was refused")
        );
        // New tokens without a refresh token have none.
        it.ok(&format!("POST {account}/refresh_token"), json!({}));
        assert_eq!(text(&it.get(&account)["last_error"]), "there is no refresh token");
        let both = json!({ "access_token": "expired-4715", "refresh_token": REFRESH });
        it.ok(&format!("PATCH {account}"), both);
        it.ok(&format!("POST {account}/test"), json!({}));
        assert_eq!(text(&it.get(&account)["status"]), "expired");
        it.ok(&format!("POST {account}/refresh_token"), json!({}));
        let shown = it.get(&account);
        assert_eq!(text(&shown["status"]), "connected");
        assert!(shown["token_expires_at"].is_string(), "{shown}");
        it.ok(&format!("POST {account}/test"), json!({}));
        assert_eq!(text(&it.get(&account)["status"]), "connected");

        let past = json!({ "token_expires_at": "2020-01-01T00:00:00Z" });
        it.ok(&format!("PATCH {account}"), past);
        it.ok(&format!("POST {account}/test"), json!({}));
        assert_eq!(text(&it.get(&account)["status"]), "expired");

        it.ok(&format!("POST {account}/disconnect"), json!({}));
        assert_eq!(text(&it.get(&account)["status"]), "disconnected");
        let none = "422 this social account has no tokens; send an access_token to change it";
        it.refused(&format!("POST {account}/test"), json!({}), none);
        it.ok(&format!("DELETE {account}"), json!({}));
        assert_eq!(it.get("social_accounts"), json!([]));
        it.ok("POST social_accounts", new(ACCESS));
    }
    Ok(())
}

#[test]
fn without_an_adapter_nothing_succeeds() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let made = it.ok("POST social_accounts", new(ACCESS));
        let account = format!("social_accounts/{}", text(&made["id"]));
        for step in ["test", "refresh_token"] {
            let expected = "409 there is no adapter for linkedin in this installation";
            it.refused(&format!("POST {account}/{step}"), json!({}), expected);
        }
        assert_eq!(text(&it.get(&account)["status"]), "disconnected");
        Ok(())
    })
}

#[test]
fn tokens_are_nowhere_to_be_read() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let made = it.send("POST social_accounts", &new(ACCESS));
        let account = format!("social_accounts/{}", text(&made.data()["id"]));
        let wrong = json!({ "access_token": [ACCESS], "refresh_token": REFRESH });
        let blank = json!({ "access_token": format!("{ACCESS} {REFRESH}") });
        let answers = [
            made,
            it.send(&format!("GET {account}"), &Value::Null),
            it.send("GET social_accounts", &Value::Null),
            it.send(&format!("PATCH {account}"), &json!({ "access_token": ACCESS })),
            it.send(&format!("PATCH {account}"), &wrong),
            it.send(&format!("PATCH {account}"), &blank),
            it.send("POST social_accounts", &new(ACCESS)),
            it.send(&format!("POST {account}/test"), &json!({})),
        ];
        for answer in &answers {
            assert!(!answer.text().contains("s3cret"), "{}", answer.text());
        }
        assert_eq!(answers[4].status, 422, "{}", answers[4].text());
        assert!(!instance.log().contains("s3cret"), "{}", instance.log());
        let on_disk = |needle: &str| -> Result<bool> {
            Ok(lies(&instance.setup().data(), needle)?
                || match Cluster::shared() {
                    Some(cluster) => lies(cluster.folder(), needle)?,
                    None => false,
                })
        };
        assert!(on_disk(SEEN)?, "the rows are not where this test looks");
        assert!(!on_disk("s3cret")?, "a token can be read in the database's files");
        Ok(())
    })
}

/// Whether a text stands in any file of a folder.
fn lies(folder: &Path, needle: &str) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match path.is_dir() {
            true => lies(&path, needle)?,
            // A server may delete a file of its own meanwhile.
            false => fs::read(&path)
                .is_ok_and(|it| it.windows(needle.len()).any(|it| it == needle.as_bytes())),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
