//! A place where all is well, until a fault is planted in it.

use std::any::Any;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use powernode_tests::instance::{Instance, free_port};
use powernode_tests::library::{Build, Library, Package};
use powernode_tests::setup::{Said, Setup};
use serde_json::Value;

/// The user that the platform runs as, where the tests run as root.
const NOBODY: u32 = 65_534;

/// The extension that is installed everywhere, and switched on.
pub(crate) const SLUG: &str = "fixture-000";

/// A place where a platform ran and stopped.
pub(crate) struct House {
    pub(crate) setup: Setup,
    /// Further words for the doctor.
    pub(crate) words: Vec<String>,
    /// What a shell does first.
    pub(crate) first: String,
    /// What must stay while the doctor looks.
    pub(crate) kept: Vec<Box<dyn Any>>,
}

impl House {
    pub(crate) fn new() -> Result<Self> {
        static MODEL: OnceLock<Result<Setup, String>> = OnceLock::new();
        let model = MODEL.get_or_init(|| model().map_err(|error| format!("{error:#}")));
        let model = model.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut setup = Setup::new()?;
        for (from, to) in [(model.data(), setup.data()), (model.extensions(), setup.extensions())] {
            fs::remove_dir_all(&to)?;
            let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
            ensure!(copied.success(), "the model was not copied");
        }
        setup.set("server.port", &free_port()?.to_string());
        Ok(Self { setup, words: Vec::new(), first: String::new(), kept: Vec::new() })
    }

    /// What the doctor says, as JSON.
    pub(crate) fn doctor(&self) -> Result<Said> {
        let mut words = vec!["doctor".to_owned(), "--json".to_owned()];
        words.extend(self.words.iter().cloned());
        let mut model = self.setup.command();
        model.args(&words);
        let mut line = format!("{}exec \"$0\" \"$@\"", self.first);
        if self.first.is_empty() {
            line = "exec \"$0\" \"$@\"".to_owned();
        }
        let mut command = self.shell(&line, &model);
        command.arg(model.get_program()).args(model.get_args());
        said(&mut command)
    }

    /// Runs a fix, in this place, as the platform's user.
    pub(crate) fn fix(&self, line: &str) -> Result<Said> {
        said(&mut self.shell(line, &self.setup.command()))
    }

    fn shell(&self, line: &str, model: &Command) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.setup.directory());
        for (name, value) in model.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.setup.directory().display()));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.setup.data().join(name)
    }

    pub(crate) fn extension(&self) -> PathBuf {
        self.setup.extensions().join(SLUG)
    }

    pub(crate) fn set(&mut self, key: &str, value: impl AsRef<Path>) {
        self.setup.set(key, &value.as_ref().display().to_string());
    }

    /// Writes a file of the platform's user.
    pub(crate) fn write(&self, path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
        fs::write(path, text).with_context(|| path.display().to_string())?;
        own(path)
    }

    /// Writes a settings file, and names it.
    pub(crate) fn settings(&mut self, text: &str) -> Result<PathBuf> {
        let path = self.setup.directory().join("powernode.toml");
        self.write(&path, text)?;
        mode(&path, 0o600)?;
        self.words.extend(["--config".to_owned(), path.display().to_string()]);
        Ok(path)
    }

    /// Runs statements on the database.
    pub(crate) fn sql(&self, statements: &str) -> Result<()> {
        Ok(self.database()?.batch_execute(statements)?)
    }

    pub(crate) fn database(&self) -> Result<SqliteConnection> {
        let path = self.data("powernode.db");
        Ok(SqliteConnection::establish(&path.display().to_string())?)
    }

    /// Changes the installed manifest.
    pub(crate) fn manifest(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let path = self.extension().join("extension.json");
        let mut manifest = serde_json::from_slice(&fs::read(&path)?)?;
        change(&mut manifest);
        self.write(&path, serde_json::to_vec(&manifest)?)
    }

    /// Installs another extension, with what the closure makes of its manifest.
    pub(crate) fn install(&self, slug: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let library = Library::built("faulty", Build::Plain)?.stamped(slug)?;
        let mut package = Package::new(slug, library);
        change(&mut package.manifest);
        self.place(&package, &self.setup.extensions().join(slug))
    }

    /// Installs the extension again, around other bytes.
    pub(crate) fn around(&self, change: impl FnOnce(Library) -> Result<Library>) -> Result<()> {
        let library = change(Library::built("faulty", Build::Plain)?)?;
        self.place(&Package::new(SLUG, library), &self.extension())
    }

    fn place(&self, package: &Package, directory: &Path) -> Result<()> {
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        package.write(directory)?;
        own_all(directory)
    }

    /// The installed library.
    pub(crate) fn library(&self) -> Result<PathBuf> {
        let mut files = fs::read_dir(self.extension().join("lib"))?;
        Ok(files.next().context("no library")??.path())
    }

    /// Starts the platform here, and lets it run.
    pub(crate) fn start(mut self) -> Result<Self> {
        let port = free_port()?;
        let mut command = self.setup.command();
        let log = fs::File::create(self.setup.directory().join("log"))?;
        command.args(["serve", "--port", &port.to_string()]).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        self.kept.push(Box::new(Running(child)));
        let socket = self.data("admin.sock");
        let serves = powernode_tests::instance::within(std::time::Duration::from_secs(30), || {
            socket.exists() && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        ensure!(serves, "{}", fs::read_to_string(self.setup.directory().join("log"))?);
        Ok(self)
    }
}

/// A platform that is killed when this is dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A place where a platform ran and stopped, and which is its user's alone.
fn model() -> Result<Setup> {
    let setup = Setup::new()?;
    mode(&setup.data(), 0o700)?;
    let setup = setup.with_fixture()?;
    own_all(&setup.extensions())?;
    let instance: Instance = setup.start()?;
    let stopped = instance.stop()?;
    // The file itself is to be damaged, and not what the log before it would make good.
    let path = stopped.setup().data().join("powernode.db");
    SqliteConnection::establish(&path.display().to_string())?
        .batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
    // Its directory goes with it, so that it is kept by a copy.
    let kept = Setup::new()?;
    for (from, to) in
        [(stopped.setup().data(), kept.data()), (stopped.setup().extensions(), kept.extensions())]
    {
        fs::remove_dir_all(&to)?;
        let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
        ensure!(copied.success(), "the model was not copied");
    }
    Ok(kept)
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Gives a path to the platform's user.
pub(crate) fn own(path: &Path) -> Result<()> {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

fn own_all(path: &Path) -> Result<()> {
    own(path)?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            own_all(&entry?.path())?;
        }
    }
    Ok(())
}
