//! Where a command works: with the platform that runs, or on the data directory itself.

use std::{io, path::Path};

use serde_json::{Value, json};

use super::{Output, client::Client, exit};
use crate::{config::Settings, http::socket};

/// Where a command works.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A platform runs, and answers on its operator's socket.
    Running(Client),
    /// No platform runs there: on the database and the files themselves.
    Data(Source),
}

/// Where an answer came from, for whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    kind: &'static str,
    place: String,
    note: Option<String>,
}

impl Place {
    /// Looks whether a platform runs on the data directory.
    pub(super) fn find(settings: &Settings) -> anyhow::Result<Self> {
        let path = socket::path(&settings.data);
        let offline = |kind: &'static str, note: Option<String>| {
            let place = settings.data.display().to_string();
            Ok(Self::Data(Source { kind, place, note }))
        };
        if let Err(error) = socket::fits(&path) {
            return offline("unasked", Some(error.to_string()));
        }
        match Client::find(&path) {
            Ok(client) => Ok(Self::Running(client)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => offline("data", None),
                io::ErrorKind::ConnectionRefused => offline("data", Some(stale(&path))),
                _ => Err(anyhow::Error::from(error).context(format!(
                    "cannot ask the platform on `{}`: run this as the user who runs the platform, or as root",
                    path.display()
                ))),
            },
        }
    }

    /// The output, which says where its answers come from.
    pub(super) fn output(&self, output: &Output) -> Output {
        output.clone().from(match self {
            Self::Running(client) => Source {
                kind: "platform",
                place: client.socket().display().to_string(),
                note: None,
            },
            Self::Data(source) => source.clone(),
        })
    }
}

/// On the database and the files themselves, whether or not a platform runs there.
pub(super) fn data(settings: &Settings) -> Source {
    let place = settings.data.display().to_string();
    match Place::find(settings) {
        Ok(Place::Running(_)) => Source { kind: "beside", place, note: None },
        Ok(Place::Data(source)) => source,
        Err(error) => Source { kind: "unasked", place, note: Some(format!("{error:#}")) },
    }
}

/// What is said of a socket that nobody listens on.
pub(super) fn stale(path: &Path) -> String {
    format!(
        "`{}` is the socket of a process that is gone; the next start replaces it",
        path.display()
    )
}

impl Source {
    /// Says that what a platform runs with may be other than what is read now.
    pub(super) fn read_now(self) -> Self {
        let read_now = "these are the settings as this command reads them; the platform keeps those of its start";
        match self.kind {
            "beside" => Self { note: Some(read_now.to_owned()), ..self },
            _ => self,
        }
    }

    /// As a line for a person.
    pub(super) fn line(&self) -> String {
        let line = match self.kind {
            "platform" => format!("asked the running platform on {}", self.place),
            "beside" => {
                format!("beside the running platform: worked on the data directory {}", self.place)
            }
            "unasked" => format!(
                "whether a platform runs here cannot be asked: worked on the data directory {}",
                self.place
            ),
            _ => format!("no platform runs here: worked on the data directory {}", self.place),
        };
        match &self.note {
            Some(note) => format!("{line} ({note})"),
            None => line,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        match &self.note {
            Some(note) => json!({ "kind": self.kind, "place": self.place, "note": note }),
            None => json!({ "kind": self.kind, "place": self.place }),
        }
    }
}

/// A row that must have a name.
pub(super) fn unknown(what: &str, name: &str, lists: &str) -> anyhow::Error {
    exit::not_found(format!(
        "there is no {what} `{name}`: `powernode {lists}` lists those there are"
    ))
}
