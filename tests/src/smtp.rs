//! A mail server that keeps what it gets.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

/// A mail server on a port of this machine. It refuses addresses that begin with `gone` for good, and those that begin
/// with `later` for now.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    mails: Mutex<Vec<Mail>>,
    logins: Mutex<Vec<String>>,
    pause: AtomicU64,
    ended: AtomicBool,
}

/// One mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The address of the envelope.
    pub to: String,
    /// As it came, with its headers.
    pub text: String,
}

impl Mail {
    /// Returns a header by its name, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// Returns the text with the soft line breaks of quoted-printable taken out.
    pub fn plain(&self) -> String {
        self.text.replace("=\r\n", "").replace("=3D", "=")
    }

    /// Returns the path of the first link that ends so.
    pub fn path(&self, end: &str) -> Option<String> {
        let text = self.plain();
        let is_end = |it: char| it.is_whitespace() || "\"<>".contains(it);
        let link = text.split(is_end).find(|it| it.starts_with("http") && it.ends_with(end))?;
        let at = link.find("/api/")?;
        Some(link[at..].to_owned())
    }
}

impl Sink {
    /// Starts one; it ends with this.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start() -> Result<Sink> {
        Sink::start_on(0)
    }

    /// Starts one on this port; it ends with this.
    ///
    /// # Errors
    ///
    /// The port is not free.
    pub fn start_on(port: u16) -> Result<Sink> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A conversation that breaks off is over; what it left is in the list.
                thread::spawn(move || stream.map(|it| converse(it, &shared)));
            }
        });
        Ok(Sink { port, state })
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes so long for each mail from now on.
    pub fn slow(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.state.pause.store(pause, Ordering::Release);
    }

    /// Returns the mails that were taken.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what clients said to log in, as it came.
    pub fn logins(&self) -> Vec<String> {
        self.state.logins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the mails to one address.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        self.mails().into_iter().filter(|it| it.to == address).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        // Wakes the one who listens.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn converse(stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes());
    say("220 sink ESMTP")?;
    let (mut to, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end();
        match command.to_ascii_uppercase().split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => say("250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN")?,
            "AUTH" => {
                let mut logins = state.logins.lock().unwrap_or_else(PoisonError::into_inner);
                logins.push(command.to_owned());
                say("235 welcome")?;
            }
            "RCPT" => {
                to = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match to.split(|it: char| !it.is_ascii_alphabetic()).next() {
                    Some("gone") => say("550 5.1.1 no such user")?,
                    Some("later") => say("451 4.7.1 come back later")?,
                    _ => say("250 yes")?,
                }
            }
            "DATA" => {
                say("354 go on")?;
                let mut text = String::new();
                loop {
                    line.clear();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                thread::sleep(Duration::from_millis(state.pause.load(Ordering::Acquire)));
                let mail = Mail { to: to.clone(), text };
                state.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                say("250 taken")?;
            }
            "QUIT" => {
                say("221 bye")?;
                return Ok(());
            }
            _ => say("250 yes")?,
        }
    }
}
