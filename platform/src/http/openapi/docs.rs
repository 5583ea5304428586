//! `/api/docs`: a page that shows the merged description, made of files in the program and of nothing else.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

use crate::http::route::{CoreRoute, get};

const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

/// What the page may do: run its own script, and ask this platform.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's own routes.
pub(super) fn table() -> [CoreRoute; 3] {
    [
        get("/api/docs", page)
            .public()
            .says("Show the description to a person", |it| it.text("text/html")),
        get("/api/docs/docs.js", script)
            .public()
            .says("Give that page its script", |it| it.text("text/javascript")),
        get("/api/docs/docs.css", style)
            .public()
            .says("Give that page its style", |it| it.text("text/css")),
    ]
}

async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", PAGE)
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", SCRIPT)
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", STYLE)
}

fn file(media: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every address that the page names is one of its own routes or the description.
    #[test]
    fn the_page_asks_nobody_else() {
        let own: Vec<_> = table().iter().map(|it| it.path).chain(["/api/openapi.json"]).collect();
        let quoted = [PAGE, SCRIPT].into_iter().flat_map(|it| it.split('"').skip(1).step_by(2));
        let named: Vec<_> = quoted.filter(|it| it.starts_with("/api")).collect();
        assert_eq!(named.len(), 5, "{named:?}");
        assert!(named.iter().all(|it| own.contains(it)), "{named:?}");
        for text in [PAGE, SCRIPT, STYLE] {
            assert!(!text.contains("://") && !text.contains("url(") && !text.contains("@import"));
        }
    }

    /// The policy forbids what stands in the page, and the description is never taken for markup.
    #[test]
    fn nothing_is_run_or_styled_from_within_the_page() {
        assert!(!PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains("onclick"));
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert!(PAGE.contains("<script src="));
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }
}
