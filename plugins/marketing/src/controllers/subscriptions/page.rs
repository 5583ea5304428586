//! What the owner of an address sees in a browser: a page of text and one button.

use powernode_plugin_api::prelude::*;

use super::Purpose;
use crate::{models::subscriber::Status, services::subscribers::Subscription};

/// Its text is what [`POLICY`] names by its hash: whoever changes one changes both.
const STYLE: &str = ":root{color-scheme:light dark;font:1.125rem/1.6 system-ui,sans-serif}body{max-width:32rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.5rem 1.5rem}";

/// The page has its own style, sends its one form, and does nothing else. Its address is a secret of its owner.
const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex"),
];
const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-7928vFgmwj7tUA8QMRtvLIuC9jEVS5Q1qzsX6eRyO/M='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether an `Accept` header asks for HTML rather than JSON, as browsers do.
pub fn is_wanted(accept: &str) -> bool {
    let quality = |media: &str| {
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let same = parts.next()?.eq_ignore_ascii_case(media);
            let quality = parts.find_map(|it| it.strip_prefix("q=")?.parse::<f32>().ok());
            same.then_some(quality.unwrap_or(1.0))
        })
    };
    quality("text/html").unwrap_or(0.0) > quality("application/json").unwrap_or(0.0)
}

/// The page of a subscription, for those who followed a link for `purpose`.
pub fn response(purpose: &Purpose, subscription: &Subscription) -> Response {
    let page = html(purpose, subscription);
    let response = Response::new(200).with_body("text/html; charset=utf-8", page);
    HEADERS.into_iter().fold(response, |response, (name, value)| response.with_header(name, value))
}

/// Asks where there is something to ask, and else says how things stand. The form goes where the page came from.
fn html(purpose: &Purpose, subscription: &Subscription) -> String {
    let Subscription { email_list, email, status } = subscription;
    let (list, email) = (escaped(email_list), escaped(email));
    let Purpose { question, button, .. } = purpose;
    let text = if purpose.step.from.contains(status) {
        format!(
            "<p>{question} <strong>{email}</strong>?</p>\n\
             <form method=\"post\"><button>{button}</button></form>"
        )
    } else if *status == Status::Subscribed {
        format!("<p><strong>{email}</strong> gets the e-mails of this list.</p>")
    } else {
        format!("<p><strong>{email}</strong> gets no e-mails of this list.</p>")
    };
    format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{list}</title>\n\
         <style>{STYLE}</style>\n\
         </head>\n\
         <body>\n\
         <h1>{list}</h1>\n\
         {text}\n\
         </body>\n\
         </html>\n"
    )
}

/// Text as it stands in HTML, between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CONFIRM, UNSUBSCRIBE},
        *,
    };
    use crate::models::subscriber::Status::{Bounced, Pending, Subscribed, Unsubscribed};

    #[track_caller]
    fn wanted(accept: &str, expected: bool) {
        assert_eq!(is_wanted(accept), expected, "{accept}");
    }

    #[test]
    fn browsers_want_a_page_and_programs_do_not() {
        wanted("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
        wanted("Text/HTML", true);
        wanted("application/json;q=0.5, text/html;level=1;q=0.6", true);
        wanted("", false);
        wanted("*/*", false);
        wanted("application/json, text/plain, */*", false);
        wanted("application/json, text/html;q=0.9", false);
        wanted("text/html;q=0", false);
    }

    /// What stands in the page between its first heading and its end.
    fn shown(purpose: &Purpose, status: Status) -> String {
        let (email_list, email) = ("<b>Q&A</b>".to_owned(), "ann@example.com".to_owned());
        let page = html(purpose, &Subscription { email_list, email, status });
        let (_, body) = page.split_once("<body>\n").unwrap();
        body.split_once("\n</body>").unwrap().0.to_owned()
    }

    #[track_caller]
    fn check(purpose: &Purpose, status: Status, expected: &str) {
        let head = "<h1>&lt;b&gt;Q&amp;A&lt;/b&gt;</h1>\n";
        assert_eq!(shown(purpose, status).strip_prefix(head), Some(expected));
    }

    #[test]
    fn it_asks_where_there_is_something_to_ask() {
        let button = |text: &str| format!("<form method=\"post\"><button>{text}</button></form>");
        let ask = "<p>Send the e-mails of this list to <strong>ann@example.com</strong>?</p>\n";
        check(&CONFIRM, Pending, &format!("{ask}{}", button("Confirm")));
        let ask = "<p>Send no more e-mails of this list to <strong>ann@example.com</strong>?</p>\n";
        check(&UNSUBSCRIBE, Pending, &format!("{ask}{}", button("Unsubscribe")));
        check(&UNSUBSCRIBE, Subscribed, &format!("{ask}{}", button("Unsubscribe")));
    }

    #[test]
    fn it_says_how_things_stand_where_there_is_nothing_to_ask() {
        let gets = "<p><strong>ann@example.com</strong> gets the e-mails of this list.</p>";
        let none = "<p><strong>ann@example.com</strong> gets no e-mails of this list.</p>";
        check(&CONFIRM, Subscribed, gets);
        check(&CONFIRM, Unsubscribed, none);
        check(&UNSUBSCRIBE, Unsubscribed, none);
        check(&UNSUBSCRIBE, Bounced, none);
    }
}
