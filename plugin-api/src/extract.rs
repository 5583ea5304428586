//! What a handler asks for beside the call: parameters, query, body, page.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Result},
    operation::{Operation, Parameter, schema_of},
    request::Request,
};

/// Something that is read from a request before the handler runs.
pub trait Extract: Sized + 'static {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// Answered instead of calling the handler.
    fn extract(request: &mut Request) -> impl Future<Output = Result<Self>>;

    /// Adds what it reads to the route's operation.
    fn describe(operation: &mut Operation);
}

/// The parameter of the path; a tuple of two where the pattern has two.
///
/// A text that is no `T` is no row either: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The query string, by the fields of `T`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The body, as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

/// Which part of a list: `?page=1&per_page=25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// From 1 to 100.
    pub per_page: u32,
}

impl Page {
    /// Rows of a page unless asked for.
    pub const DEFAULT: u32 = 25;
    /// Rows of a page at most; more are clamped.
    pub const MOST: u32 = 100;

    /// For `.limit(…)`.
    pub fn limit(self) -> i64 {
        i64::from(self.per_page)
    }

    /// For `.offset(…)`.
    pub fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.per_page)
    }
}

impl<T: FromStr + 'static> Extract for Path<T> {
    async fn extract(request: &mut Request) -> Result<Self> {
        parameter(request, 0).map(Self)
    }

    fn describe(_: &mut Operation) {}
}

/// Two parameters, in the pattern's order.
impl<A: FromStr + 'static, B: FromStr + 'static> Extract for Path<Both<A, B>> {
    async fn extract(request: &mut Request) -> Result<Self> {
        Ok(Self(Both(parameter(request, 0)?, parameter(request, 1)?)))
    }

    fn describe(_: &mut Operation) {}
}

/// Two parameters of a path, in the pattern's order: `Path(Both(list, id))`.
#[derive(Clone, Copy, Debug)]
pub struct Both<A, B>(pub A, pub B);

fn parameter<T: FromStr>(request: &Request, at: usize) -> Result<T> {
    let names = request.parameter_names();
    let text = names.get(at).and_then(|name| request.parameter(name));
    text.and_then(|it| it.parse().ok()).ok_or_else(|| Error::new(404, "NOT_FOUND", "not found"))
}

impl<T: DeserializeOwned + JsonSchema + 'static> Extract for Query<T> {
    async fn extract(request: &mut Request) -> Result<Self> {
        let pairs = form_urlencoded::parse(request.query().as_bytes());
        let pairs = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = error.path().to_string();
            Error::invalid(if path == "." { "query" } else { &path }, error.inner().to_string())
        })
    }

    fn describe(operation: &mut Operation) {
        operation.query::<T>();
    }
}

impl<T: DeserializeOwned + JsonSchema + 'static> Extract for Body<T> {
    async fn extract(request: &mut Request) -> Result<Self> {
        if request.header("content-type").is_some_and(|it| !is_json(it)) {
            let message = "the body must be application/json";
            return Err(Error::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        read_json(request.body().await?).map(Self)
    }

    fn describe(operation: &mut Operation) {
        operation.body::<T>();
    }
}

/// Reads a body; an error names the field that it is about.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // Keeping the path costs more than reading: it is worth that only where something is wrong.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| wrong_body(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| wrong_body(".", &error))?;
    Ok(value)
}

fn wrong_body(path: &str, error: &serde_json::Error) -> Error {
    if error.classify() != serde_json::error::Category::Data {
        return Error::new(400, "INVALID_JSON", format!("the body is not JSON: {error}"));
    }
    let text = error.to_string();
    // Where it stands in the text, the field says better.
    let text = text.split(" at line ").next().unwrap_or(&text);
    let within = |name: &str| match path {
        "." => name.to_owned(),
        _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        _ => format!("{path}.{name}"),
    };
    for (begin, message) in [("missing field `", "is required"), ("unknown field `", "is unknown")]
    {
        if let Some((name, _)) = text.strip_prefix(begin).and_then(|it| it.split_once('`')) {
            return Error::invalid(within(name), message);
        }
    }
    Error::invalid(if path == "." { "body" } else { path }, text)
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || media.to_ascii_lowercase().ends_with("+json")
}

impl Extract for Page {
    async fn extract(request: &mut Request) -> Result<Self> {
        let mut page = Self { page: 1, per_page: Self::DEFAULT };
        for pair in request.query().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || match value.parse::<u32>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(Error::invalid(name, "must be a number from 1")),
            };
            match name {
                "page" => page.page = number()?,
                "per_page" => page.per_page = number()?.min(Self::MOST),
                _ => {}
            }
        }
        Ok(page)
    }

    fn describe(operation: &mut Operation) {
        for (name, default) in [("page", 1), ("per_page", Self::DEFAULT)] {
            let mut schema = schema_of::<u32>();
            schema["minimum"] = 1.into();
            schema["default"] = default.into();
            operation.parameters.push(Parameter {
                name: name.to_owned(),
                place: "query".to_owned(),
                required: false,
                schema,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        number: u32,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Line {
        name: String,
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let error = read_json::<Order>(body.as_bytes()).err();
        let said = error.map(|it| format!("{} {it}", it.status())).unwrap_or_default();
        assert_eq!(said.replace("the input is not valid; ", ""), expected, "{body}");
    }

    #[test]
    fn an_error_names_its_field() {
        check(r#"{ "number": 1, "lines": [{ "name": "Lamp" }] }"#, "");
        check("{}", "422 number: is required");
        check(r#"{ "number": "x" }"#, "422 number: invalid type: string \"x\", expected u32");
        check(r#"{ "number": 1, "total": 2 }"#, "422 total: is unknown");
        check(
            r#"{ "number": 1, "lines": [{ "name": "a" }, {}] }"#,
            "422 lines[1].name: is required",
        );
        check(r#"{ "number": 1, "lines": [{ "price": 1 }] }"#, "422 lines[0].price: is unknown");
        check("7", "422 body: invalid type: integer `7`, expected struct Order");
    }

    #[test]
    fn what_is_no_json_is_a_bad_request() {
        check("{", "400 the body is not JSON: EOF while parsing an object at line 1 column 1");
        check(
            "{\"number\": 1} x",
            "400 the body is not JSON: trailing characters at line 1 column 15",
        );
    }
}
