//! What a letter looks like.

use lettre::message::{
    Mailbox, Message, MultiPart,
    header::{Header, HeaderName, HeaderValue},
};
use powernode_plugin_api::prelude::*;

use super::text::{escaped, filled, is_html, to_html, to_text, with_links};

/// Why somebody gets a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of many: with a way out, as RFC 8058 has it.
    List {
        /// Where one `POST` ends the subscription.
        unsubscribe: String,
        /// What shows that it was opened.
        pixel: String,
    },
    /// Asked for by its reader.
    Single,
}

/// A letter before it is written out.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub message_id: String,
    pub from: &'a Mailbox,
    pub to: &'a str,
    pub subject: &'a str,
    pub preview: &'a str,
    pub body: &'a str,
    pub cta: (&'a str, &'a str),
    /// What `{{first_name}}` and its like stand for.
    pub fields: &'a [(&'a str, &'a str)],
    pub kind: Kind,
}

/// Writes a letter out; `link` says what a link is replaced by, where it is counted.
pub fn compose(draft: &Draft<'_>, link: &mut dyn FnMut(&str) -> String) -> Result<Vec<u8>> {
    let (cta_text, cta_url) = draft.cta;
    let is_html = is_html(draft.body);
    let mut html = match is_html {
        true => with_links(draft.body, link),
        false => to_html(draft.body, link),
    };
    let mut text = if is_html { to_text(draft.body) } else { draft.body.to_owned() };
    if !cta_url.is_empty() {
        let words = if cta_text.is_empty() { cta_url } else { cta_text };
        html.push_str(&format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            escaped(&link(cta_url)),
            escaped(words)
        ));
        text.push_str(&format!("\n\n{words}: {cta_url}"));
    }
    let mut html = filled(&html, draft.fields, true);
    let mut text = filled(&text, draft.fields, false);
    if !draft.preview.is_empty() {
        let preview = escaped(&filled(draft.preview, draft.fields, false));
        html = format!("<div style=\"display:none\">{preview}</div>\n{html}");
    }
    if let Kind::List { unsubscribe, pixel } = &draft.kind {
        let (link, pixel) = (escaped(unsubscribe), escaped(pixel));
        html.push_str(&format!(
            "<p><a href=\"{link}\">Unsubscribe</a></p>\n<img src=\"{pixel}\" width=\"1\" height=\"1\" alt=\"\">\n"
        ));
        text.push_str(&format!("\n\nUnsubscribe: {unsubscribe}\n"));
    }
    let subject: String = filled(draft.subject, draft.fields, false)
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    let to =
        draft.to.parse().map_err(|_| Error::internal(format!("{} is no address", draft.to)))?;
    let mut message = Message::builder()
        .message_id(Some(draft.message_id.clone()))
        .from(draft.from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject);
    if let Kind::List { unsubscribe, .. } = &draft.kind {
        message =
            message.header(ListUnsubscribe(format!("<{unsubscribe}>"))).header(ListUnsubscribePost);
    }
    let message = message.multipart(MultiPart::alternative_plain_html(text, html));
    Ok(message.map_err(Error::internal)?.formatted())
}

#[derive(Clone, Debug)]
struct ListUnsubscribe(String);

#[derive(Clone, Debug)]
struct ListUnsubscribePost;

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        // A link is one word of plain letters: it is neither encoded nor folded.
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), self.0.clone())
    }
}

impl Header for ListUnsubscribePost {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_one_number_both_parts_and_a_way_out() {
        let from: Mailbox = "Shop <news@example.com>".parse().unwrap();
        let unsubscribe =
            "https://example.com/api/v1/marketing/subscriptions/abc/unsubscribe".to_owned();
        let draft = Draft {
            message_id: "<1@example.com>".to_owned(),
            from: &from,
            to: "ann@example.com",
            subject: "Hi {{first_name}}\r\nBcc: eve@example.com",
            preview: "",
            body: "See https://example.com/a",
            cta: ("Go", "https://example.com/b"),
            fields: &[("first_name", "Ann")],
            kind: Kind::List {
                unsubscribe: unsubscribe.clone(),
                pixel: "https://example.com/p".to_owned(),
            },
        };
        let mut links = Vec::new();
        let letter = compose(&draft, &mut |it| {
            links.push(it.to_owned());
            "https://example.com/t".to_owned()
        });
        let letter = String::from_utf8(letter.unwrap()).unwrap();
        assert_eq!(links, ["https://example.com/a", "https://example.com/b"]);
        for part in [
            "Message-ID: <1@example.com>\r\n",
            "Subject: Hi Ann  Bcc: eve@example.com\r\n",
            &format!("List-Unsubscribe: <{unsubscribe}>\r\n"),
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "text/plain",
            "text/html",
        ] {
            assert!(letter.contains(part), "{part} is not in\n{letter}");
        }
    }
}
