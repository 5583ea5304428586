//! Signed links in a browser, and in a mail program that unsubscribes by itself.

use anyhow::Result;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use powernode_tests::client::{Answer, Client};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::{BASE, Marketing, on_both, subscribers::links, text};

/// What browsers send.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn a_person_confirms_and_leaves_by_a_page_with_one_button() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = instance.anonymous();
        let list = it.list("Q&A <News>");
        let ann = it.subscriber(&list, "ann@example.com");
        let (confirm, unsubscribe) = links(&it, &ann);
        let status = || text(&it.get(&ann)["status"]).to_owned();

        for (link, button, before, after, said) in [
            (confirm, "Confirm", "pending", "subscribed", "gets the e-mails"),
            (unsubscribe, "Unsubscribe", "subscribed", "unsubscribed", "gets no e-mails"),
        ] {
            let asked = page(&anyone.send("GET", &link, &[("accept", BROWSER)], Vec::new())?);
            assert!(asked.contains("<h1>Q&amp;A &lt;News&gt;</h1>"), "{asked}");
            assert!(asked.contains("<strong>ann@example.com</strong>?"), "{asked}");
            assert_eq!(asked.matches("<form").count(), 1, "{asked}");
            let form = format!("<form method=\"post\"><button>{button}</button></form>");
            assert!(asked.contains(&form), "{asked}");
            // Who merely looks, as mail programs do beforehand, changes nothing.
            assert_eq!(status(), before);

            let done =
                page(&anyone.send("POST", &link, &[("accept", BROWSER), FORM], Vec::new())?);
            assert!(done.contains(said) && !done.contains("<form"), "{done}");
            assert_eq!(status(), after);
            let again = page(&anyone.send("GET", &link, &[("accept", BROWSER)], Vec::new())?);
            assert_eq!(again, done);
        }
        Ok(())
    })
}

/// RFC 8058: a POST without a login, a cookie or a question, which is not answered by a redirection.
#[test]
fn a_mail_program_unsubscribes_with_one_request() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let anyone = instance.anonymous();
        let list = it.list("News");
        let multipart = "multipart/form-data; boundary=x";
        let parts = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        for (media, body) in [(FORM.1, "List-Unsubscribe=One-Click"), (multipart, parts)] {
            let email = format!("{}@example.com", body.len());
            let reader = it.subscriber(&list, &email);
            let (_, unsubscribe) = links(&it, &reader);
            for _ in 0..2 {
                one_click(&anyone, &unsubscribe, media, body, "unsubscribed")?;
            }
            assert_eq!(text(&it.get(&reader)["status"]), "unsubscribed");
        }
        // Whoever called an e-mail spam gets nothing more, and what they said is kept.
        let bob = it.subscriber(&list, "bob@example.com");
        let (confirm, unsubscribe) = links(&it, &bob);
        it.ok(&format!("POST {bob}/complain"), Value::Null);
        one_click(&anyone, &unsubscribe, FORM.1, "List-Unsubscribe=One-Click", "complained")?;
        let confirm = anyone.send("POST", &confirm, &[], Vec::new())?;
        assert_eq!(confirm.failure(), "422 ILLEGAL_TRANSITION");
        Ok(())
    })
}

fn one_click(anyone: &Client, link: &str, media: &str, body: &str, status: &str) -> Result<()> {
    let answer = anyone.send("POST", link, &[("content-type", media)], body.into())?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(text(&answer.data()["status"]), status);
    assert_eq!(answer.header("set-cookie"), None);
    Ok(())
}

#[test]
fn a_program_gets_json_from_the_same_address() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let ann = it.subscriber(&it.list("News"), "ann@example.com");
        let (confirm, _) = links(&it, &ann);
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.5"] {
            let answer =
                instance.anonymous().send("GET", &confirm, &[("accept", accept)], Vec::new())?;
            assert_eq!(text(&answer.data()["email"]), "ann@example.com");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("vary"), Some("Accept"));
        }
        let document = instance.anonymous().get("/api/openapi.json")?.json();
        let path = format!("{BASE}/subscriptions/{{link}}/confirm");
        for method in ["get", "post"] {
            let content = &document["paths"][&path][method]["responses"]["200"]["content"];
            assert_eq!(content["text/html"]["schema"]["type"], "string", "{content}");
            assert!(content["application/json"]["schema"].is_object(), "{content}");
        }
        Ok(())
    })
}

/// The text of a page, whose headers let it do nothing but what it says.
#[track_caller]
fn page(answer: &Answer) -> String {
    let page = answer.text();
    assert_eq!(answer.status, 200, "{page}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Accept"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let (_, rest) = page.split_once("<style>").unwrap_or_default();
    let (style, _) = rest.split_once("</style>").unwrap_or_default();
    let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(answer.header("content-security-policy"), Some(policy.as_str()));
    page
}
