//! The marketing extension through the running platform: what is written by one endpoint shows in another.

use std::{fs, thread};

use anyhow::{Context as _, Result};
use powernode_tests::{
    artefacts::{plugin, root},
    client::{Answer, Client},
    instance::Instance,
    postgres::Cluster,
    setup::Setup,
};
use serde_json::{Value, json};

const BASE: &str = "/api/v1/marketing";

/// Runs a test on SQLite and, where there is one, on PostgreSQL.
fn on_both(test: impl Fn(&Instance) -> Result<()>) -> Result<()> {
    test(&started(Setup::new()?)?)?;
    if let Some(cluster) = Cluster::shared() {
        let setup = Setup::new()?.with_setting("database.url", &cluster.database()?);
        test(&started(setup)?).context("on PostgreSQL")?;
    }
    Ok(())
}

/// Starts a platform whose only extension is marketing, switched on.
fn started(setup: Setup) -> Result<Instance> {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json"))?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["default_enabled"] = json!(true);
    setup.with_extension(&plugin("powernode-marketing")?, &manifest)?.start()
}

/// A client of the extension's routes; the verb and the path are one text: `POST campaigns`.
struct Marketing(Client);

impl Marketing {
    #[track_caller]
    fn send(&self, request: &str, body: &Value) -> Answer {
        let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
        let json = [("content-type", "application/json")];
        let (headers, body) = match method {
            "GET" | "DELETE" => (&[][..], Vec::new()),
            _ => (&json[..], body.to_string().into_bytes()),
        };
        let answer = self.0.send(method, &format!("{BASE}/{path}"), headers, body);
        answer.unwrap_or_else(|error| panic!("{request}: {error:#}"))
    }

    /// Sends a request that must succeed, and returns its data.
    #[track_caller]
    fn ok(&self, request: &str, body: Value) -> Value {
        let answer = self.send(request, &body);
        assert!((200..300).contains(&answer.status), "{request}: {}", answer.text());
        answer.data()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.ok(&format!("GET {path}"), Value::Null)
    }

    /// Sends a request that must fail as `expected` says: `422 a draft campaign cannot be paused`.
    #[track_caller]
    fn refused(&self, request: &str, body: Value, expected: &str) {
        let answer = self.send(request, &body);
        let json = answer.json();
        let fields = json["errors"].as_array().into_iter().flatten();
        let fields: Vec<_> =
            fields.map(|it| format!("{}: {}", text(&it["field"]), text(&it["message"]))).collect();
        let said =
            if fields.is_empty() { text(&json["error"]).to_owned() } else { fields.join("; ") };
        assert_eq!(format!("{} {said}", answer.status), expected, "{request}");
        assert_eq!(json["success"], json!(false));
        assert!(json["request_id"].is_string(), "{json}");
    }

    fn campaign(&self, name: &str) -> String {
        let new = json!({ "name": name, "campaign_type": "email" });
        format!("campaigns/{}", text(&self.ok("POST campaigns", new)["id"]))
    }

    fn list(&self, name: &str) -> String {
        format!("email_lists/{}", text(&self.ok("POST email_lists", json!({ "name": name }))["id"]))
    }

    fn subscriber(&self, list: &str, email: &str) -> String {
        let added = self.ok(&format!("POST {list}/subscribers"), json!({ "email": email }));
        format!("{list}/subscribers/{}", text(&added["id"]))
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().map(|it| text(&it["name"])).collect()
}

/// A client with a token of that account and those rights.
fn with_token(instance: &Instance, account: Option<&str>, scopes: &[&str]) -> Result<Marketing> {
    let mut arguments = vec!["--json", "tokens", "create"];
    arguments.extend(account.into_iter().flat_map(|it| ["--account", it]));
    arguments.extend(scopes.iter().flat_map(|it| ["--scope", it]));
    let said = instance.cli(&arguments)?;
    let token = said.json()?["token"].as_str().map(str::to_owned);
    Ok(Marketing(instance.client(&token.with_context(|| format!("no token: {said:?}"))?)))
}

#[test]
fn campaigns_live_from_draft_to_archive() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Spring Sale");
        let shown = it.get(&campaign);
        assert_eq!((text(&shown["slug"]), text(&shown["status"])), ("spring-sale", "draft"));
        assert!(text(&shown["id"]).starts_with("camp_"), "{shown}");
        assert!(text(&shown["created_at"]).ends_with('Z'), "{shown}");

        let pause = format!("POST {campaign}/pause");
        it.refused(&pause, json!({}), "422 a draft campaign cannot be paused");
        let schedule = format!("POST {campaign}/schedule");
        let past = json!({ "scheduled_at": "2020-01-01T00:00:00Z" });
        it.refused(&schedule, past, "422 scheduled_at: must be in the future");
        assert_eq!(text(&it.get(&campaign)["status"]), "draft");
        it.ok(&schedule, json!({ "scheduled_at": "2126-01-01T01:00:00+01:00" }));
        assert_eq!(text(&it.get(&campaign)["scheduled_at"]), "2126-01-01T00:00:00Z");

        for (verb, status) in [
            ("execute", "active"),
            ("pause", "paused"),
            ("resume", "active"),
            ("complete", "completed"),
        ] {
            it.ok(&format!("POST {campaign}/{verb}"), json!({}));
            assert_eq!(text(&it.get(&campaign)["status"]), status, "{verb}");
        }
        it.refused(&pause, json!({}), "422 a completed campaign cannot be paused");
        let rename = json!({ "name": "Late" });
        let patch = format!("PATCH {campaign}");
        it.refused(&patch, rename, "422 a completed campaign cannot be changed");
        let delete = format!("DELETE {campaign}");
        it.refused(&delete, json!({}), "422 a completed campaign cannot be deleted");
        it.ok(&format!("POST {campaign}/archive"), json!({}));
        assert_eq!(it.get("campaigns/statistics")["by_status"]["archived"], json!(1));
        it.ok(&delete, json!({}));
        it.refused(&format!("GET {campaign}"), json!({}), "404 campaign not found");
        assert_eq!(it.get("campaigns/statistics")["total"], json!(0));
        Ok(())
    })
}

#[test]
fn of_many_who_take_the_same_step_one_does() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let execute = format!("POST {campaign}/execute");
        let statuses: Vec<_> = thread::scope(|scope| {
            let take = || scope.spawn(|| it.send(&execute, &json!({})).status);
            let threads: Vec<_> = (0..8).map(|_| take()).collect();
            threads.into_iter().filter_map(|it| it.join().ok()).collect()
        });
        let count = |status| statuses.iter().filter(|it| **it == status).count();
        assert_eq!((count(200), count(422)), (1, 7), "{statuses:?}");
        Ok(())
    })
}

#[test]
fn campaigns_are_filtered_paged_and_copied() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let sale = it.campaign("50% off");
        it.campaign("Newsletter");
        it.ok("POST campaigns", json!({ "name": "Posts", "campaign_type": "social" }));
        it.ok(&format!("POST {sale}/execute"), json!({}));
        assert_eq!(names(&it.get("campaigns?status=active")), ["50% off"]);
        assert_eq!(names(&it.get("campaigns?campaign_type=social")), ["Posts"]);
        assert_eq!(names(&it.get("campaigns?search=LETTER")), ["Newsletter"]);
        assert_eq!(names(&it.get("campaigns?search=%25")), ["50% off"]);
        assert_eq!(names(&it.get("campaigns")), ["Posts", "Newsletter", "50% off"]);
        let page = it.send("GET campaigns?page=2&per_page=2", &Value::Null).json();
        assert_eq!(names(&page["data"]), ["50% off"]);
        let expected =
            json!({ "current_page": 2, "per_page": 2, "total_pages": 2, "total_count": 3 });
        assert_eq!(page["meta"]["pagination"], expected);
        assert_eq!(it.get("campaigns?page=9"), json!([]));

        let unknown =
            "422 status: must be one of draft, scheduled, active, paused, completed, archived";
        it.refused("GET campaigns?status=lost", json!({}), unknown);
        it.refused("GET campaigns?page=two", json!({}), "422 page: must be a number from 1");

        let content = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        it.ok(&format!("POST {sale}/contents"), content);
        let copy = it.ok(&format!("POST {sale}/clone"), json!({}));
        assert_eq!((text(&copy["name"]), text(&copy["slug"])), ("50% off (copy)", "50-off-copy"));
        let copied = it.get(&format!("campaigns/{}/contents", text(&copy["id"])));
        assert_eq!((text(&copied[0]["body"]), text(&copied[0]["status"])), ("Come.", "draft"));
        Ok(())
    })
}

#[test]
fn wrong_input_is_named_field_by_field() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        it.campaign("Sale");
        for (body, expected) in [
            (json!({}), "422 name: is required"),
            (
                json!({ "name": "", "campaign_type": "email", "budget_cents": -1 }),
                "422 name: must have 1 to 255 characters; budget_cents: must not be negative",
            ),
            (
                json!({ "name": "A", "campaign_type": "post" }),
                "422 campaign_type: must be one of email, social, chat, sms, multi_channel",
            ),
            (
                json!({ "name": "A", "campaign_type": "sms", "channels": ["email"] }),
                "422 channels: email is no channel of the campaign type sms",
            ),
            (
                json!({ "name": "A", "campaign_type": "sms", "currency": "euro" }),
                "422 currency: must be an ISO 4217 code such as EUR",
            ),
            (json!({ "name": "Sale", "campaign_type": "sms" }), "422 name: is already taken"),
        ] {
            it.refused("POST campaigns", body, expected);
        }
        let status = json!({ "name": "A", "campaign_type": "sms", "status": "active" });
        it.refused("POST campaigns", status, "422 status: is unknown");
        assert_eq!(names(&it.get("campaigns")), ["Sale"]);
        Ok(())
    })
}

#[test]
fn contents_are_reviewed_and_a_change_ends_the_approval() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let contents = format!("{campaign}/contents");
        let new =
            json!({ "channel": "email", "variant_name": "A", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {contents}"), new.clone());
        let content = format!("{contents}/{}", text(&made["id"]));
        it.refused(&format!("POST {contents}"), new, "422 variant_name: is already taken");
        let sms = json!({ "channel": "sms", "body": "Come." });
        let kind = json!({ "campaign_type": "social" });
        let expected = "422 campaign_type: social does not fit a content on the channel email";
        it.refused(&format!("PATCH {campaign}"), kind, expected);
        let expected = "422 channel: sms is no channel of the campaign type email";
        it.refused(&format!("POST {contents}"), sms, expected);

        it.ok(&format!("POST {content}/approve"), json!({}));
        let shown = it.get(&content);
        assert_eq!(text(&shown["status"]), "approved");
        assert!(shown["approved_by"].is_string() && shown["approved_at"].is_string(), "{shown}");
        let reject = format!("POST {content}/reject");
        it.refused(&reject, json!({}), "422 an approved content cannot be rejected");
        assert_eq!(it.get(&format!("{contents}?status=draft")), json!([]));

        it.ok(&format!("PATCH {content}"), json!({ "body": "Come today." }));
        let shown = it.get(&content);
        assert_eq!((text(&shown["status"]), &shown["approved_by"]), ("draft", &Value::Null));
        it.ok(&reject, json!({}));
        assert_eq!(text(&it.get(&contents)[0]["status"]), "rejected");

        let other = it.campaign("Other");
        let elsewhere = content.replace(&campaign, &other);
        it.refused(&format!("GET {elsewhere}"), json!({}), "404 content not found");
        it.ok(&format!("DELETE {content}"), json!({}));
        assert_eq!(it.get(&contents), json!([]));
        Ok(())
    })
}

#[test]
fn subscribers_confirm_and_leave_by_their_token_alone() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = Marketing(instance.anonymous());
        let list = it.list("News");
        assert_eq!(it.get(&list)["double_opt_in"], json!(true));
        let ann = it.subscriber(&list, " Ann@Example.com");
        let shown = it.get(&ann);
        assert_eq!((text(&shown["email"]), text(&shown["status"])), ("ann@example.com", "pending"));
        assert!(shown.get("confirmation_token").is_none(), "{shown}");
        assert_eq!(it.get(&list)["subscriber_count"], json!(0));

        let token = it.get(&format!("{ann}/token"));
        let subscription = format!("subscriptions/{}", text(&token["confirmation_token"]));
        let expected =
            json!({ "email_list": "News", "email": "ann@example.com", "status": "pending" });
        assert_eq!(anyone.get(&subscription), expected);
        anyone.ok(&format!("POST {subscription}/confirm"), json!({}));
        assert_eq!(text(&it.get(&ann)["status"]), "subscribed");
        assert_eq!(it.get(&list)["subscriber_count"], json!(1));
        anyone.ok(&format!("POST {subscription}/confirm"), json!({}));
        anyone.ok(&format!("POST {subscription}/unsubscribe"), json!({}));
        assert_eq!(text(&it.get(&ann)["status"]), "unsubscribed");
        assert_eq!(it.get(&list)["subscriber_count"], json!(0));
        let confirm = format!("POST {subscription}/confirm");
        anyone.refused(&confirm, json!({}), "422 an unsubscribed subscriber cannot be confirmed");
        let wrong = "POST subscriptions/00000000000000000000000000000000/confirm";
        anyone.refused(wrong, json!({}), "404 subscription not found");
        Ok(())
    })
}

#[test]
fn the_third_bounce_ends_a_subscription() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        it.ok(&format!("PATCH {list}"), json!({ "double_opt_in": false }));
        let ann = it.subscriber(&list, "ann@example.com");
        for (bounces, status) in [(1, "subscribed"), (2, "subscribed"), (3, "bounced")] {
            it.ok(&format!("POST {ann}/bounce"), json!({ "reason": "mailbox full" }));
            let shown = it.get(&ann);
            assert_eq!((&shown["bounce_count"], text(&shown["status"])), (&json!(bounces), status));
        }
        let bob = it.subscriber(&list, "bob@example.com");
        it.ok(&format!("POST {bob}/complain"), json!({}));
        assert_eq!(
            text(&it.get(&format!("{list}/subscribers?status=complained"))[0]["email"]),
            "bob@example.com"
        );
        let unsubscribe = format!("POST {bob}/unsubscribe");
        it.refused(&unsubscribe, json!({}), "422 a complained subscriber cannot be unsubscribed");
        Ok(())
    })
}

#[test]
fn an_import_takes_what_is_valid_and_names_the_rest() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        it.subscriber(&list, "ann@example.com");
        let rows = json!([
            { "email": "bob@example.com", "first_name": "Bob", "tags": ["vip"] },
            { "email": "BOB@example.com" },
            { "email": "ann@example.com" },
            { "email": "nobody" },
            { "mail": "eve@example.com" },
        ]);
        let import = format!("POST {list}/import");
        let imported = it.ok(&import, json!({ "subscribers": rows }));
        assert_eq!((&imported["imported"], &imported["skipped"]), (&json!(1), &json!(2)));
        let wrong =
            json!({ "index": 3, "email": "nobody", "message": "email: must be an e-mail address" });
        assert_eq!(imported["errors"][0], wrong);
        assert_eq!(imported["errors"][1]["index"], json!(4));
        let found = it.get(&format!("{list}/subscribers?search=BOB"));
        assert_eq!((text(&found[0]["first_name"]), text(&found[0]["source"])), ("Bob", "import"));

        let row = |number: usize| json!({ "email": format!("reader{number}@example.com") });
        let many: Vec<_> = (0..1_001).map(row).collect();
        it.refused(&import, json!({ "subscribers": many }), "422 subscribers: must be 1 to 1000");
        let most = it.ok(&import, json!({ "subscribers": many[..1_000] }));
        assert_eq!(most["imported"], json!(1_000));
        let page = it.send(&format!("GET {list}/subscribers?per_page=500"), &Value::Null).json();
        assert_eq!(page["meta"]["pagination"]["total_count"], json!(1_002));
        assert_eq!(page["data"].as_array().map(Vec::len), Some(100));
        Ok(())
    })
}

#[test]
fn a_campaign_goes_to_its_lists() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let (campaign, list) = (it.campaign("Sale"), it.list("News"));
        let audience = format!("{campaign}/email_lists");
        let one = format!("{campaign}/{list}");
        it.ok(&format!("PUT {one}"), json!({}));
        it.ok(&format!("PUT {one}"), json!({}));
        assert_eq!(names(&it.get(&audience)), ["News"]);
        it.ok(&format!("DELETE {one}"), json!({}));
        assert_eq!(it.get(&audience), json!([]));
        let social = it.ok("POST campaigns", json!({ "name": "Posts", "campaign_type": "social" }));
        let put = format!("PUT campaigns/{}/{list}", text(&social["id"]));
        it.refused(
            &put,
            json!({}),
            "422 campaign_type: a campaign of the type social sends no e-mail",
        );
        it.ok(&format!("PUT {one}"), json!({}));
        it.ok(&format!("DELETE {list}"), json!({}));
        assert_eq!(it.get(&audience), json!([]));
        Ok(())
    })
}

#[test]
fn rows_of_another_account_do_not_exist() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let account = instance.cli(&["--json", "accounts", "create", "Other"])?.json()?;
        let other = with_token(instance, Some(text(&account["id"])), &["*"])?;
        let (campaign, list) = (it.campaign("Sale"), it.list("News"));
        let ann = it.subscriber(&list, "ann@example.com");
        let new = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {campaign}/contents"), new.clone());
        let content = format!("{campaign}/contents/{}", text(&made["id"]));
        let subscriber = json!({ "email": "eve@example.com" });
        let (no_body, rename) = (json!({}), json!({ "name": "Mine" }));
        let text_change = json!({ "body": "Mine" });
        let import = json!({ "subscribers": [subscriber] });

        for (what, requests) in [
            (
                "campaign",
                vec![
                    (format!("GET {campaign}"), &no_body),
                    (format!("PATCH {campaign}"), &rename),
                    (format!("PUT {campaign}"), &rename),
                    (format!("DELETE {campaign}"), &no_body),
                    (format!("POST {campaign}/execute"), &no_body),
                    (format!("POST {campaign}/archive"), &no_body),
                    (format!("POST {campaign}/clone"), &no_body),
                    (format!("GET {campaign}/contents"), &no_body),
                    (format!("POST {campaign}/contents"), &new),
                    (format!("PATCH {content}"), &text_change),
                    (format!("POST {content}/approve"), &no_body),
                    (format!("DELETE {content}"), &no_body),
                    (format!("GET {campaign}/email_lists"), &no_body),
                    (format!("PUT {campaign}/{list}"), &no_body),
                ],
            ),
            ("content", vec![(format!("GET {content}"), &no_body)]),
            (
                "e-mail list",
                vec![
                    (format!("GET {list}"), &no_body),
                    (format!("PATCH {list}"), &rename),
                    (format!("DELETE {list}"), &no_body),
                    (format!("POST {list}/import"), &import),
                    (format!("GET {list}/subscribers"), &no_body),
                    (format!("POST {list}/subscribers"), &subscriber),
                ],
            ),
            (
                "subscriber",
                vec![
                    (format!("GET {ann}"), &no_body),
                    (format!("GET {ann}/token"), &no_body),
                    (format!("POST {ann}/unsubscribe"), &no_body),
                    (format!("DELETE {ann}"), &no_body),
                ],
            ),
        ] {
            for (request, body) in requests {
                other.refused(&request, body.clone(), &format!("404 {what} not found"));
            }
        }
        assert_eq!((other.get("campaigns"), other.get("email_lists")), (json!([]), json!([])));
        // Names are unique within an account alone.
        assert_eq!(text(&other.get(&other.campaign("Sale"))["slug"]), "sale");
        assert_eq!(names(&it.get("campaigns")), ["Sale"]);
        assert_eq!(text(&it.get(&ann)["status"]), "pending");
        Ok(())
    })
}

#[test]
fn each_write_needs_its_own_permission() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let campaign = it.campaign("Sale");
        let new = json!({ "channel": "email", "subject": "Now", "body": "Come." });
        let made = it.ok(&format!("POST {campaign}/contents"), new);
        let content = format!("{campaign}/contents/{}", text(&made["id"]));
        let list = it.list("News");
        let ann = it.subscriber(&list, "ann@example.com");
        let reader = with_token(
            instance,
            None,
            &["marketing.campaigns.read", "marketing.email_lists.read"],
        )?;
        let manager = with_token(instance, None, &["marketing.campaigns.manage"])?;
        assert_eq!(names(&reader.get("campaigns")), ["Sale"]);
        assert_eq!(text(&reader.get(&ann)["email"]), "ann@example.com");
        for (client, request) in [
            (&reader, "POST campaigns".to_owned()),
            (&reader, format!("PATCH {campaign}")),
            (&reader, format!("DELETE {campaign}")),
            (&reader, format!("POST {campaign}/execute")),
            (&reader, format!("POST {campaign}/contents")),
            (&reader, format!("POST {content}/approve")),
            (&reader, "POST email_lists".to_owned()),
            (&reader, format!("DELETE {list}")),
            (&reader, format!("POST {list}/import")),
            (&reader, format!("GET {ann}/token")),
            (&reader, format!("DELETE {ann}")),
            (&manager, format!("GET {campaign}")),
            (&manager, format!("POST {campaign}/execute")),
            (&manager, format!("POST {content}/approve")),
            (&manager, format!("POST {content}/reject")),
            (&manager, format!("GET {list}")),
        ] {
            assert_eq!(client.send(&request, &json!({})).failure(), "403 FORBIDDEN", "{request}");
        }
        let anyone = Marketing(instance.anonymous());
        assert_eq!(anyone.send("GET campaigns", &Value::Null).failure(), "401 UNAUTHORIZED");
        assert_eq!(text(&it.get(&campaign)["status"]), "draft");
        assert_eq!(text(&it.get(&content)["status"]), "draft");
        Ok(())
    })
}
