//! The words of a letter: fields, links, plain text and HTML.

use std::collections::BTreeSet;

/// The links in a text that may be counted; those with a field in them differ from letter to letter, and are not.
pub fn urls(text: &str, cta: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut keep = |url: &str| {
        if !url.contains("{{") && url.len() <= 2_048 {
            found.insert(url.to_owned());
        }
        url.to_owned()
    };
    match is_html(text) {
        true => _ = with_links(text, &mut keep),
        false => _ = pieces(text, &mut |_| String::new(), &mut |url| keep(url)),
    }
    if !cta.is_empty() {
        keep(cta);
    }
    found
}

/// Whether somebody wrote HTML.
pub fn is_html(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// `{{first_name}}` and its like, filled in.
pub fn filled(text: &str, fields: &[(&str, &str)], escape: bool) -> String {
    let mut text = text.to_owned();
    for (name, value) in fields {
        let value = if escape { escaped(value) } else { (*value).to_owned() };
        text = text.replace(&format!("{{{{{name}}}}}"), &value);
    }
    text
}

/// The HTML with another target behind each link.
pub fn with_links(html: &str, link: &mut dyn FnMut(&str) -> String) -> String {
    let (mut out, mut rest) = (String::with_capacity(html.len()), html);
    while let Some(at) = find_href(rest) {
        let (before, quoted) = rest.split_at(at);
        out.push_str(before);
        let quote = quoted.chars().next().unwrap_or('"');
        let Some(end) = quoted[1..].find(quote) else {
            rest = quoted;
            break;
        };
        let target = unescaped(&quoted[1..=end]);
        out.push(quote);
        match is_link(&target) {
            true => out.push_str(&escaped(&link(&target))),
            false => out.push_str(&quoted[1..=end]),
        }
        out.push(quote);
        rest = &quoted[end + 2..];
    }
    out.push_str(rest);
    out
}

/// Where the quote after the next `href=` stands.
fn find_href(html: &str) -> Option<usize> {
    let lower = html.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("href") {
        let after = from + at + 4;
        let rest = lower[after..].trim_start();
        if let Some(value) = rest.strip_prefix('=').map(str::trim_start)
            && value.starts_with(['"', '\''])
        {
            return Some(lower.len() - value.len());
        }
        from = after;
    }
    None
}

/// Plain text as HTML, its links among it.
pub fn to_html(text: &str, link: &mut dyn FnMut(&str) -> String) -> String {
    let paragraphs = text.replace("\r\n", "\n");
    let paragraphs = paragraphs.split("\n\n").filter(|it| !it.trim().is_empty());
    let html = |it: &str| {
        let text = pieces(it.trim(), &mut escaped, &mut |url| {
            format!("<a href=\"{}\">{}</a>", escaped(&link(url)), escaped(url))
        });
        format!("<p>{}</p>\n", text.replace('\n', "<br>\n"))
    };
    paragraphs.map(html).collect()
}

/// HTML as plain text: without what stands in angle brackets.
pub fn to_text(html: &str) -> String {
    let (mut text, mut inside) = (String::with_capacity(html.len()), false);
    for letter in html.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    let lines = text.lines().map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<_> = lines.filter(|it| !it.is_empty()).collect();
    unescaped(&lines.join("\n"))
}

/// A text piece by piece, links and what is between them.
fn pieces(
    text: &str,
    plain: &mut dyn FnMut(&str) -> String,
    link: &mut dyn FnMut(&str) -> String,
) -> String {
    let (mut out, mut rest) = (String::new(), text);
    loop {
        let at = ["https://", "http://"].iter().filter_map(|it| rest.find(it)).min();
        let Some(at) = at else {
            out.push_str(&plain(rest));
            return out;
        };
        let (before, url) = rest.split_at(at);
        let end =
            url.find(|it: char| it.is_whitespace() || "<>\"'".contains(it)).unwrap_or(url.len());
        let end = url[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')']).len();
        out.push_str(&plain(before));
        match is_link(&url[..end]) {
            true => out.push_str(&link(&url[..end])),
            false => out.push_str(&plain(&url[..end])),
        }
        rest = &url[end..];
    }
}

fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|it| !it.is_empty())
        && !text.contains(|it: char| it.is_whitespace() || it.is_control())
}

/// Text as HTML shows it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_links: &str, expected_html: &str) {
        let links: Vec<_> = urls(text, "").into_iter().collect();
        assert_eq!(links.join(" "), expected_links);
        let mut link = |url: &str| format!("L{}", url.len());
        let html =
            if is_html(text) { with_links(text, &mut link) } else { to_html(text, &mut link) };
        assert_eq!(html, expected_html);
    }

    #[test]
    fn links_are_found_in_text_and_in_html() {
        check("a <b>\n\nc", "", "<p>a &lt;b&gt;</p>\n<p>c</p>\n");
        check(
            "see https://a.b/?x=1&y=2, or\nhttp://",
            "https://a.b/?x=1&y=2",
            "<p>see <a href=\"L20\">https://a.b/?x=1&amp;y=2</a>, or<br>\nhttp://</p>\n",
        );
        check(
            "<a HREF = 'https://a.b/?x=1&amp;y'>x</a><a href=\"mailto:a@b\">m</a><a href=\"x",
            "https://a.b/?x=1&y",
            "<a HREF = 'L18'>x</a><a href=\"mailto:a@b\">m</a><a href=\"x",
        );
        check("https://a.b/{{email}}", "", "<p><a href=\"L21\">https://a.b/{{email}}</a></p>\n");
    }

    #[test]
    fn fields_are_filled_in_and_html_escapes_them() {
        let fields = [("first_name", "<Ann>")];
        assert_eq!(filled("Hi {{first_name}} {{x}}", &fields, true), "Hi &lt;Ann&gt; {{x}}");
        assert_eq!(to_text("<p>Hi &amp; <b>you</b></p>\n<p>Bye</p>"), "Hi & you\nBye");
    }
}
