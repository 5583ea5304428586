//! The running platform, over its operator's socket: one HTTP request for each connection.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

/// How long the platform may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer at most.
const LARGEST: u64 = 64 << 20;
/// Rows that one request asks for.
const ROWS: usize = 100;

/// A platform that listens on its operator's socket.
#[derive(Clone, Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

/// The platform does not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It says why.
    #[error("{message}")]
    Refused {
        /// The status.
        status: u16,
        /// For programs.
        code: String,
        /// In words.
        message: String,
    },
    /// The connection broke.
    #[error("the platform on `{}` does not answer", .0.display())]
    Broken(PathBuf, #[source] io::Error),
    /// What came is no answer.
    #[error("what answers on `{}` is no platform: {}", .0.display(), .1)]
    Nonsense(PathBuf, String),
}

impl Client {
    /// Connects once, to see that somebody is there.
    pub(super) fn find(socket: &Path) -> io::Result<Self> {
        UnixStream::connect(socket)?;
        Ok(Self { socket: socket.to_owned() })
    }

    /// Where the platform listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The `data` of an answer.
    pub(super) fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask("GET", path, None).map(data)
    }

    /// An answer that stands in no envelope.
    pub(super) fn plain(&self, path: &str) -> Result<Value, ClientError> {
        self.ask("GET", path, None)
    }

    /// The `data` of an answer to a request with a body.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, ClientError> {
        self.ask(method, path, Some(body)).map(data)
    }

    /// All rows of a list, page by page.
    pub(super) fn rows(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        let mut rows = Vec::new();
        for page in 1.. {
            let (mut more, pages) = self.page(path, page)?;
            rows.append(&mut more);
            if page >= pages {
                break;
            }
        }
        Ok(rows)
    }

    /// One page of a list, and how many there are.
    pub(super) fn page(&self, path: &str, page: u64) -> Result<(Vec<Value>, u64), ClientError> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut answer =
            self.ask("GET", &format!("{path}{mark}page={page}&per_page={ROWS}"), None)?;
        let pages = answer["meta"]["pagination"]["total_pages"].as_u64().unwrap_or(1);
        match answer["data"].take() {
            Value::Array(rows) => Ok((rows, pages)),
            _ => Err(self.nonsense("no list")),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let (status, body) = self.exchange(method, path, body)?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|error| self.nonsense(&format!("status {status}, no JSON ({error})")))?;
        if answer["success"] == true || (status == 200 && answer.get("success").is_none()) {
            return Ok(answer);
        }
        let code = answer["code"].as_str().unwrap_or_default().to_owned();
        Err(ClientError::Refused { status, code, message: message(&answer) })
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), ClientError> {
        let answer = self.exchanged(method, path, body);
        let answer = answer.map_err(|error| ClientError::Broken(self.socket.clone(), error))?;
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let (head, rest) = answer.split_at(end.ok_or_else(|| self.nonsense("no HTTP"))?);
        let head = String::from_utf8_lossy(head).to_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|it| it.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| self.nonsense("no HTTP"))?;
        let body = rest.get(4..).unwrap_or_default();
        let header =
            |name: &str| head.lines().filter_map(|it| it.split_once(':')).find(|it| it.0 == name);
        let length = header("content-length").and_then(|it| it.1.trim().parse().ok());
        if length.is_some_and(|it: usize| it != body.len()) {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(ClientError::Broken(self.socket.clone(), error));
        }
        if header("transfer-encoding").is_some() {
            let body = whole(body).ok_or_else(|| self.nonsense("a body that is cut"))?;
            return Ok((status, body));
        }
        Ok((status, body.to_vec()))
    }

    fn exchanged(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: powernode\r\nconnection: close\r\n");
        if body.is_some() {
            head +=
                &format!("content-type: application/json\r\ncontent-length: {}\r\n", text.len());
        }
        stream.write_all(format!("{head}\r\n{text}").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LARGEST).read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn nonsense(&self, why: &str) -> ClientError {
        ClientError::Nonsense(self.socket.clone(), why.to_owned())
    }
}

fn data(mut answer: Value) -> Value {
    answer["data"].take()
}

/// What an envelope says went wrong.
fn message(answer: &Value) -> String {
    let field = |it: &Value| {
        let (field, message) = (it["field"].as_str(), it["message"].as_str());
        Some(format!("`{}` {}", field?, message?))
    };
    let fields = answer["errors"].as_array().into_iter().flatten().filter_map(field);
    let fields: Vec<_> = fields.collect();
    // A field's error says more than that there is one.
    match answer["error"].as_str() {
        _ if !fields.is_empty() => fields.join("; "),
        Some(error) => error.to_owned(),
        None => json!(answer).to_string(),
    }
}

/// A body that came in chunks.
fn whole(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let begin = end + 2;
        body.extend_from_slice(rest.get(begin..begin.checked_add(size)?)?);
        rest = rest.get(begin + size + 2..)?;
    }
}

/// A part of a path, with what has a meaning there written as `%..`.
pub(super) fn segment(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written += &format!("%{byte:02X}");
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(whole(b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n").unwrap(), b"abcde");
        assert_eq!(whole(b"3\r\nab"), None);
        assert_eq!(whole(b"ffffffffffffffff\r\nab"), None);
    }

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("Account;1/../x y"), "Account%3B1%2F..%2Fx%20y");
    }

    #[test]
    fn what_went_wrong_is_one_line() {
        let fields = json!({ "errors": [{ "field": "name", "message": "is missing" }] });
        assert_eq!(message(&fields), "`name` is missing");
        let both =
            json!({ "error": "invalid", "errors": [{ "field": "name", "message": "is missing" }] });
        assert_eq!(message(&both), "`name` is missing");
        assert_eq!(message(&json!({ "error": "flag not found" })), "flag not found");
    }
}
