//! Clients of a server in this process: a few connections, each with one request under way.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};

/// How many connections ask at once.
const CONNECTIONS: usize = 16;

/// Some connections to one server.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Ask(Vec<u8>);

impl Ask {
    /// A request with headers as a client of the API sends them.
    pub(crate) fn new(method: &str, path: &str, token: &str, body: &str) -> Self {
        let body = match body {
            "" => "\r\n".to_owned(),
            _ => format!(
                "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench/1.0\r\n\
             accept: application/json\r\naccept-language: en\r\nauthorization: Bearer {token}\r\n"
        );
        Self((head + &body).into_bytes())
    }
}

impl Clients {
    /// Connects.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let connection = |_| {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            Ok(Connection { stream, buffer: vec![0; 64 * 1024], filled: 0 })
        };
        Ok(Self { connections: (0..CONNECTIONS).map(connection).collect::<Result<_>>()? })
    }

    /// Asks `count` times, each connection in its turn; each answer must be a 200.
    pub(crate) fn ask<'a>(
        &mut self,
        mut asks: impl Iterator<Item = &'a Ask>,
        count: usize,
    ) -> Result<()> {
        for _ in 0..count.div_ceil(CONNECTIONS) {
            for connection in &mut self.connections {
                let ask = asks.next().context("no more requests")?;
                connection.stream.write_all(&ask.0)?;
            }
            for connection in &mut self.connections {
                connection.answer()?;
            }
        }
        Ok(())
    }

    /// Asks once, and answers the body.
    pub(crate) fn once(&mut self, ask: &Ask) -> Result<String> {
        let connection = self.connections.first_mut().context("no connection")?;
        connection.stream.write_all(&ask.0)?;
        let body = connection.answer()?;
        let body = connection.buffer.get(body..connection.filled).unwrap_or_default();
        Ok(String::from_utf8_lossy(body).into_owned())
    }
}

impl Connection {
    /// Reads one answer, and answers where its body begins.
    fn answer(&mut self) -> Result<usize> {
        self.filled = 0;
        let mut whole = None;
        while whole.is_none_or(|(_, end)| self.filled < end) {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let read = self.stream.read(free)?;
            ensure!(read > 0, "the server closed the connection");
            self.filled += read;
            if whole.is_none() {
                whole = self.head()?;
            }
        }
        Ok(whole.map_or(0, |it| it.0))
    }

    /// Where the body begins and ends, once the head is there.
    fn head(&self) -> Result<Option<(usize, usize)>> {
        let text = self.buffer.get(..self.filled).unwrap_or_default();
        let Some(end) = text.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
        let head = text.get(..end).unwrap_or_default();
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(text));
        let name = b"content-length: ";
        let at = head.windows(name.len()).position(|it| it == name).context("no length")?;
        let digits = head.get(at + name.len()..).unwrap_or_default().iter();
        let digits = digits.take_while(|it| it.is_ascii_digit());
        let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        Ok(Some((end + 4, end + 4 + length)))
    }
}
