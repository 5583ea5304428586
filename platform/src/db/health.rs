//! Whether the database can be used: what its statements found, until one works again.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use powernode_abi::{DbError, data::kind};

/// What keeps the database from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room for what is written.
    Full,
    /// It may not be written.
    ReadOnly,
    /// Another process keeps the embedded database to itself.
    Locked,
    /// The server is not there, or does not let us in; what it says.
    Unreachable(String),
    /// The server has no connection left; what it says.
    NoConnection(String),
    /// The file system's error; what SQLite says.
    Io(String),
    /// The file's content is not a database's any more; what SQLite says.
    Damaged(String),
    /// The file that is open is not the one that stands at its path.
    Gone(&'static str),
}

impl Fault {
    /// Whether it stays until the platform starts with another file.
    fn lasts(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// What it is, without words of the server's or of the system's.
    pub fn outline(&self) -> &'static str {
        match self {
            Self::Full => "the disk that holds the database is full",
            Self::ReadOnly => "the database may only be read",
            Self::Locked => "another process has locked the database",
            Self::Unreachable(_) => "the database cannot be reached",
            Self::NoConnection(_) => "the database server has no connection left",
            Self::Io(_) => "the database's disk fails",
            Self::Damaged(_) => "the database is damaged",
            Self::Gone(_) => "a file of the database was removed or replaced",
        }
    }

    /// What programs call it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Locked => "locked",
            Self::Unreachable(_) => "unreachable",
            Self::NoConnection(_) => "no_connection",
            Self::Io(_) => "disk_error",
            Self::Damaged(_) => "damaged",
            Self::Gone(_) => "file_gone",
        }
    }

    /// What the operator can do.
    pub fn way_back(&self) -> &'static str {
        match self {
            Self::Full => "free some space: it is tried again each second",
            Self::ReadOnly => {
                "let the platform's user write the file, its directory and its file system, or connect to the \
                 server that takes writes: it is tried again each second"
            }
            Self::Locked => {
                "end the program that holds it (`fuser` names it), and let nobody else write the file"
            }
            Self::Unreachable(_) => {
                "start it, or mend the way to it: it is tried again each second"
            }
            Self::NoConnection(_) => {
                "raise the server's `max_connections`, or lower `database.max_connections` of each node"
            }
            Self::Io(_) => "see the system's log for the disk: it is tried again each second",
            Self::Damaged(_) => {
                "stop the platform and put the last backup back: `powernode backup restore DIR --force`; what can \
                 still be read is read"
            }
            Self::Gone(_) => {
                "put the very file back, or stop the platform and put back the copy that it makes at once of what \
                 is still open: its log and `powernode doctor` name the command"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What the server says begins with that.
            Self::Unreachable(text) | Self::NoConnection(text) => f.write_str(text),
            Self::Io(text) | Self::Damaged(text) => write!(f, "{}: {text}", self.outline()),
            Self::Gone(what) => {
                write!(f, "{what} was removed or replaced while the platform has it open")
            }
            _ => f.write_str(self.outline()),
        }
    }
}

/// What is known of the database's health; shared by all its connections.
#[derive(Debug, Default)]
pub struct Health {
    /// So that a healthy database costs no lock.
    ill: AtomicBool,
    trouble: Mutex<Option<(Fault, Instant)>>,
}

impl Health {
    /// What keeps the database from being used, as far as is known.
    pub fn fault(&self) -> Option<Fault> {
        if !self.ill.load(Ordering::Acquire) {
            return None;
        }
        self.trouble().as_ref().map(|(fault, _)| fault.clone())
    }

    /// A statement, or a look at the files, found a fault.
    pub(super) fn found(&self, fault: Fault) {
        let mut trouble = self.trouble();
        match &*trouble {
            // One line in the log for each that begins; what lasts is not overwritten by what follows from it.
            Some((known, _)) if known.lasts() || same_kind(known, &fault) => return,
            _ => {}
        }
        tracing::error!("{}: {}", capitalized(&fault.to_string()), fault.way_back());
        *trouble = Some((fault, Instant::now()));
        self.ill.store(true, Ordering::Release);
    }

    /// A write worked.
    pub(super) fn works(&self) {
        if !self.ill.load(Ordering::Acquire) {
            return;
        }
        let mut trouble = self.trouble();
        let Some((_, since)) = trouble.as_ref().filter(|(fault, _)| !fault.lasts()) else { return };
        tracing::info!("The database can be used again, after {:?}", since.elapsed());
        *trouble = None;
        self.ill.store(false, Ordering::Release);
    }

    /// What a look at all pages said: where they are sound, what met damage was mistaken.
    pub(super) fn looked_at(&self, damage: Option<String>) {
        match damage {
            Some(text) => self.found(Fault::Damaged(text)),
            None => {
                let mut trouble = self.trouble();
                if trouble.as_ref().is_some_and(|(fault, _)| fault.lasts()) {
                    tracing::info!("The database's pages are sound: what met damage was mistaken");
                    *trouble = None;
                    self.ill.store(false, Ordering::Release);
                }
            }
        }
    }

    /// Answers an error where nothing may be written, since it would be lost.
    pub(super) fn writable(&self) -> Result<(), DbError> {
        match self.fault() {
            Some(fault) if fault.lasts() => Err(refused(&fault)),
            _ => Ok(()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<(Fault, Instant)>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a job that is not begun, or not kept, because of `fault`.
pub(super) fn refused(fault: &Fault) -> DbError {
    DbError::new(kind::CLOSED, format!("{fault}: nothing was written; {}", fault.way_back()))
}

fn same_kind(one: &Fault, other: &Fault) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(faults: &[Fault]) -> Health {
        let health = Health::default();
        faults.iter().for_each(|it| health.found(it.clone()));
        health
    }

    #[test]
    fn what_passes_is_over_with_the_first_write_that_works() {
        let health = after(&[Fault::Full]);
        assert_eq!((health.fault(), health.writable().is_ok()), (Some(Fault::Full), true));
        health.works();
        assert_eq!(health.fault(), None);
    }

    #[test]
    fn a_damaged_file_stays_damaged_and_takes_no_writes() {
        let health = after(&[Fault::Damaged("malformed".into()), Fault::Full]);
        health.works();
        assert_eq!(health.fault(), Some(Fault::Damaged("malformed".into())));
        let refused = health.writable().unwrap_err();
        assert!(refused.message.contains("powernode backup restore"), "{refused}");
    }

    #[test]
    fn damage_that_a_look_does_not_find_is_over() {
        let health = after(&[Fault::Damaged("malformed".into())]);
        health.looked_at(Some("page 7".into()));
        assert!(health.writable().is_err());
        health.looked_at(None);
        assert_eq!((health.fault(), health.writable().is_ok()), (None, true));
        health.looked_at(Some("page 7".into()));
        assert!(health.writable().is_err());
    }

    #[test]
    fn the_fault_that_is_now_counts() {
        assert_eq!(after(&[Fault::Full, Fault::ReadOnly]).fault(), Some(Fault::ReadOnly));
    }
}
