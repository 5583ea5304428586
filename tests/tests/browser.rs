//! Pages in a real browser: they work, ask nobody else, and their policies hold.

#![expect(clippy::unwrap_used, reason = "a test ends where its setup fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use powernode_tests::artefacts::{plugin, root};
use powernode_tests::browser::Browser;
use powernode_tests::instance::Instance;
use powernode_tests::setup::Setup;
use serde_json::{Value, json};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Starts a platform with marketing on.
fn start() -> Instance {
    let text = fs::read_to_string(root().join("plugins/marketing/extension.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    manifest["default_enabled"] = json!(true);
    let library = plugin("powernode-marketing").unwrap();
    Setup::new().unwrap().with_extension(&library, &manifest).unwrap().start().unwrap()
}

fn address(instance: &Instance, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", instance.port())
}

#[test]
fn the_page_of_the_description_shows_every_operation() {
    let Some(browser) = Browser::find() else { return };
    let instance = start();
    let address = |path: &str| address(&instance, path);
    let seen = browser.open(&address("/api/docs")).unwrap();
    let document = instance.anonymous().get("/api/openapi.json").unwrap().json();
    let mut tags = BTreeSet::new();
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            let method = method.to_uppercase();
            let shown = format!("<span class=\"method\">{method}</span><code>{path}</code>");
            assert!(seen.dom.contains(&shown), "{method} {path} is not in {}", seen.dom);
            tags.insert(operation["tags"][0].as_str().unwrap());
            count += 1;
        }
    }
    assert!(tags.contains("marketing") && tags.len() > 1, "{tags:?}");
    for tag in tags {
        assert!(seen.dom.contains(&format!("<h2>{tag}</h2>")), "{tag}");
    }
    assert_eq!(seen.dom.matches("<details ").count(), count);
    let own = ["/api/docs", "/api/docs/docs.css", "/api/docs/docs.js", "/api/openapi.json"];
    assert_eq!(seen.asked, own.map(address).into_iter().collect());
    assert_eq!(seen.said, [] as [String; 0]);
}

#[test]
fn no_other_page_may_frame_the_description() {
    let Some(browser) = Browser::find() else { return };
    let instance = start();
    let framed = address(&instance, "/api/docs");
    let seen = browser.open(&framing(&framed)).unwrap();
    let style = address(&instance, "/api/docs/docs.css");
    assert!(seen.asked.contains(&framed) && !seen.asked.contains(&style), "{:?}", seen.asked);

    // A page without such a policy is shown in a frame, with what it asks for.
    let image = framing(&address(&instance, "/healthz"));
    let seen = browser.open(&framing(&image)).unwrap();
    assert!(seen.asked.contains(&address(&instance, "/healthz")), "{:?}", seen.asked);
}

/// The address of a page of somebody else's that has `url` in a frame.
fn framing(url: &str) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", server.local_addr().unwrap());
    let page = format!("<!doctype html><iframe src=\"{url}\"></iframe>");
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{page}"
    );
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let answer = answer.clone();
            // A browser opens connections that it does not use yet.
            std::thread::spawn(move || {
                let mut head = BufReader::new(&stream).lines();
                while head.next().is_some_and(|it| it.is_ok_and(|it| !it.is_empty())) {}
                drop((&stream).write_all(answer.as_bytes()));
            });
        }
    });
    address
}

#[test]
fn the_pages_of_links_ask_and_change_nothing() {
    let Some(browser) = Browser::find() else { return };
    let instance = start();
    let operator = instance.operator();
    let made = |path: &str, body: Value| {
        let answer = operator.post(&format!("/api/v1/marketing/{path}"), &body).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.data()["id"].as_str().unwrap().to_owned()
    };
    let list = made("email_lists", json!({ "name": "News & <more>" }));
    let subscribers = format!("email_lists/{list}/subscribers");
    let ann = made(&subscribers, json!({ "email": "ann@example.com" }));
    let ann = format!("/api/v1/marketing/{subscribers}/{ann}");
    let links = operator.get(&format!("{ann}/links")).unwrap().data();
    for (purpose, button) in [("confirm", "Confirm"), ("unsubscribe", "Unsubscribe")] {
        let url = address(&instance, links[purpose]["path"].as_str().unwrap());
        let seen = browser.open(&url).unwrap();
        assert!(seen.dom.contains("<h1>News &amp; &lt;more&gt;</h1>"), "{}", seen.dom);
        assert!(seen.dom.contains(&format!("<button>{button}</button>")), "{}", seen.dom);
        assert_eq!(seen.asked, [url].into());
        // Its style is the one that its policy names.
        assert_eq!(seen.said, [] as [String; 0]);
    }
    assert_eq!(operator.get(&ann).unwrap().data()["status"], "pending");
}

/// What the tests above rely on: the browser tells of another host, and of what a policy forbids.
#[test]
fn a_page_that_asks_elsewhere_or_breaks_its_policy_is_seen() {
    let Some(browser) = Browser::find() else { return };
    let place = tempfile::tempdir().unwrap();
    let open = |policy: &str| {
        let page = format!(
            "<meta http-equiv=Content-Security-Policy content=\"{policy}\"><p id=it>still</p>\
             <style>p {{ color: red }}</style><img src=http://elsewhere.invalid/a.png>\
             <script>it.textContent = 'ran'</script>"
        );
        let file = place.path().join("page.html");
        fs::write(&file, page).unwrap();
        browser.open(&format!("file://{}", file.display())).unwrap()
    };
    let elsewhere = "http://elsewhere.invalid/a.png";
    let free = open("default-src * 'unsafe-inline'");
    assert!(free.dom.contains("<p id=\"it\">ran</p>"), "{}", free.dom);
    assert!(free.asked.contains(elsewhere), "{:?}", free.asked);
    let bound = open("default-src 'none'");
    assert!(bound.dom.contains("<p id=\"it\">still</p>"), "{}", bound.dom);
    assert!(!bound.asked.contains(elsewhere), "{:?}", bound.asked);
    let broken = bound.said.iter().filter(|it| it.contains("Content Security Policy"));
    assert_eq!(broken.count(), 3, "{:?}", bound.said);
}
