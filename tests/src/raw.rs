//! A bare connection, for a client that behaves badly.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::Answer;

/// A bare connection to a platform.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    ///
    /// Nobody accepts.
    pub fn connect(port: u16) -> Result<Raw> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Raw { stream, received: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// The other side closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        Ok(())
    }

    /// Reads one answer: its head, and as much body as `content-length` or chunks say.
    ///
    /// # Errors
    ///
    /// It did not come in time, or is not HTTP; with what came.
    pub fn answer(&mut self, deadline: Duration) -> Result<Answer> {
        let end = Instant::now() + deadline;
        loop {
            if let Some((answer, length)) = parse(&self.received)? {
                self.received.drain(..length);
                return Ok(answer);
            }
            if !self.receive(end)? {
                bail!("closed after `{}`", String::from_utf8_lossy(&self.received));
            }
        }
    }

    /// Returns this side's port.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn port(&self) -> Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Waits until what came and was not read as an answer contains `text`, and answers whether it did in time.
    pub fn has_received_within(&mut self, text: &str, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        loop {
            if String::from_utf8_lossy(&self.received).contains(text) {
                return true;
            }
            if !self.receive(end).unwrap_or(false) {
                return false;
            }
        }
    }

    /// Waits until the other side closes, and answers whether it did in time.
    pub fn is_closed_within(&mut self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        loop {
            match self.receive(end) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Receives some bytes; false at the end of the connection.
    fn receive(&mut self, end: Instant) -> Result<bool> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("too late; so far `{}`", String::from_utf8_lossy(&self.received));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("too late; so far `{}`", String::from_utf8_lossy(&self.received))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads one answer from the start of `bytes`, and how long it is; none where more is to come.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|it| it.parse().ok());
    let Some(status) = status else { bail!("not HTTP: `{text}`") };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[head + 4..];
    let header = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str());
    let (body, length) = if header("transfer-encoding") == Some("chunked") {
        match chunks(rest)? {
            Some(chunks) => chunks,
            None => return Ok(None),
        }
    } else {
        let length = header("content-length").map_or(Ok(0), str::parse::<usize>)?;
        match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None => return Ok(None),
        }
    };
    Ok(Some((Answer { status, headers, body }, head + 4 + length)))
}

/// Joins the chunks of a body, and says how long they are with their frames; none where more is to come.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(bytes: &str, expected: Option<(u16, &str, usize)>) {
        let found = parse(bytes.as_bytes()).unwrap();
        let found = found.map(|(answer, length)| (answer.status, answer.text(), length));
        assert_eq!(found, expected.map(|(status, text, length)| (status, text.to_owned(), length)));
    }

    #[test]
    fn an_answer_is_read_whole_and_no_further() {
        parsed("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP", Some((200, "hi", 40)));
        parsed("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh", None);
        parsed("HTTP/1.1 200 OK\r\ncontent-le", None);
        parsed(
            "HTTP/1.1 408 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            Some((408, "hi", 58)),
        );
        parsed("HTTP/1.1 408 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", None);
    }
}
