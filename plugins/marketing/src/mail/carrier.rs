//! Handing letters over: to a mail server, or into a folder.
//!
//! The conversation is held command by command, since what the server says means something else at each: at `RCPT` it
//! speaks of the address, before that of us, after it of the letter. All of it blocks.

use std::{fs, io::Write as _, path::PathBuf, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{SmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
    },
};

use super::{Smtp, Tls};

/// How long the server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who takes letters.
#[derive(Clone, Debug)]
pub enum Carrier {
    Smtp(Smtp),
    File(PathBuf),
}

/// A conversation in which letters are handed over.
pub enum Connection {
    Smtp(Box<SmtpConnection>),
    File(PathBuf),
}

/// What became of a letter, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Sent(String),
    /// There is no such address.
    Bounced(String),
    /// The letter itself was refused.
    Failed(String),
    /// Not now.
    Later(String),
}

impl Carrier {
    /// Begins a conversation; an error says why none came about.
    pub fn connect(&self, password: Option<&str>) -> Result<Connection, String> {
        match self {
            Self::Smtp(smtp) => smtp
                .connect(password)
                .map(|it| Connection::Smtp(Box::new(it)))
                .map_err(|error| format!("mail server {}: {}", smtp.host, whole(&error))),
            Self::File(folder) => {
                fs::create_dir_all(folder)
                    .map_err(|error| format!("mail folder {}: {error}", folder.display()))?;
                Ok(Connection::File(folder.clone()))
            }
        }
    }
}

impl Smtp {
    fn connect(&self, password: Option<&str>) -> Result<SmtpConnection, SmtpError> {
        let parameters = match self.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Wrapped => Some(TlsParameters::new(self.host.clone())?),
        };
        let port = self.port.unwrap_or(match self.tls {
            Tls::None => 25,
            Tls::Starttls => 587,
            Tls::Wrapped => 465,
        });
        let hello = ClientId::default();
        let wrapped = parameters.as_ref().filter(|_| self.tls == Tls::Wrapped);
        let address = (self.host.as_str(), port);
        let mut connection =
            SmtpConnection::connect(address, Some(PATIENCE), &hello, wrapped, None)?;
        if let (Tls::Starttls, Some(parameters)) = (self.tls, &parameters) {
            connection.starttls(parameters, &hello)?;
        }
        if let Some(username) = &self.username {
            let password = password.unwrap_or_default().to_owned();
            let credentials = Credentials::new(username.clone(), password);
            connection.auth(DEFAULT_MECHANISMS, &credentials)?;
        }
        Ok(connection)
    }
}

impl Connection {
    /// Hands over one letter; an error says why the conversation cannot go on.
    pub fn send(
        &mut self,
        number: &str,
        from: &Address,
        to: &str,
        letter: &[u8],
    ) -> Result<Verdict, String> {
        match self {
            Self::Smtp(connection) => {
                let Ok(to) = to.parse() else {
                    return Ok(Verdict::Failed("the address cannot be written in SMTP".to_owned()));
                };
                speak(connection, from, to, letter).map_err(|error| whole(&error))
            }
            Self::File(folder) => {
                // The same letter is the same file; half of one has another name.
                let (path, half) =
                    (folder.join(format!("{number}.eml")), folder.join(format!(".{number}")));
                let write = || {
                    let mut file = fs::File::create(&half)?;
                    file.write_all(letter)?;
                    file.sync_all()?;
                    fs::rename(&half, &path)
                };
                write().map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Verdict::Sent(path.display().to_string()))
            }
        }
    }

    /// Ends the conversation.
    pub fn close(self) -> powernode_plugin_api::Result<()> {
        if let Self::Smtp(mut connection) = self {
            // Whatever the server says to that, nothing follows from it.
            let _ = connection.quit();
        }
        Ok(())
    }
}

fn speak(
    connection: &mut SmtpConnection,
    from: &Address,
    to: Address,
    letter: &[u8],
) -> Result<Verdict, SmtpError> {
    let mut parameters = Vec::new();
    if !AsRef::<str>::as_ref(&to).is_ascii() {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Ok(Verdict::Failed("the mail server takes plain addresses alone".to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(Some(from.clone()), parameters))?;
    if let Err(error) = connection.command(Rcpt::new(to, Vec::new())) {
        let verdict = if error.is_permanent() { Verdict::Bounced } else { Verdict::Later };
        let verdict = refused(error, verdict)?;
        connection.command(Rset)?;
        return Ok(verdict);
    }
    connection.command(Data)?;
    match connection.message(letter) {
        Ok(response) => Ok(Verdict::Sent(response.message().collect::<Vec<_>>().join(" "))),
        Err(error) if error.is_permanent() => refused(error, Verdict::Failed),
        Err(error) => refused(error, Verdict::Later),
    }
}

/// What a refusal means for the letter, unless it ends the conversation: the network's failure, and 421.
fn refused(error: SmtpError, verdict: fn(String) -> Verdict) -> Result<Verdict, SmtpError> {
    match error.status() {
        Some(code) if code.to_string() != "421" => Ok(verdict(whole(&error))),
        _ => Err(error),
    }
}

fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
