//! A platform that runs as a process of its own.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::raw::Raw;
use crate::setup::{Said, Setup};

/// How long the platform may take to start.
const START: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// A platform that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    setup: Arc<Setup>,
    port: u16,
    token: Option<String>,
}

impl Instance {
    /// Starts the platform, and waits until it serves.
    pub(crate) fn start(setup: Setup) -> Result<Instance> {
        Instance::start_on(Arc::new(setup), free_port()?, None)
    }

    fn start_on(setup: Arc<Setup>, port: u16, token: Option<String>) -> Result<Instance> {
        let mut instance = Instance::spawn(setup, port, token)?;
        instance.await_ready()?;
        Ok(instance)
    }

    fn spawn(setup: Arc<Setup>, port: u16, token: Option<String>) -> Result<Instance> {
        let printed = setup.directory().join("printed");
        // What an earlier start printed is not what this one prints.
        let _ = fs::remove_file(&printed);
        let child = setup
            .command()
            .args(["serve", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(setup.append(&printed)?)
            .stderr(setup.append(&setup.log_file())?)
            .spawn()
            .context("cannot start the platform")?;
        Ok(Instance { child, setup, port, token })
    }

    fn await_ready(&mut self) -> Result<()> {
        let instance = self;
        let printed = instance.setup.directory().join("printed");
        let asked = instance.anonymous();
        let begun = Instant::now();
        while !asked.get("/readyz").is_ok_and(|answer| answer.status == 200) {
            if let Some(status) = instance.child.try_wait()? {
                bail!("the platform ended, {status}: {}", instance.printed_and_log());
            }
            if begun.elapsed() > START {
                bail!("the platform does not answer: {}", instance.printed_and_log());
            }
            thread::sleep(STEP);
        }
        // A token of an earlier start stays; the first start prints one before or just after it serves.
        if instance.token.is_none() {
            let found = || token_in(&fs::read_to_string(&printed).unwrap_or_default());
            within(Duration::from_secs(5), || found().is_some());
            instance.token = found();
        }
        Ok(())
    }

    /// Returns a client with the operator's token.
    ///
    /// # Panics
    ///
    /// When the platform printed none.
    pub fn operator(&self) -> Client {
        let token = self.token.as_deref();
        assert!(token.is_some(), "the platform printed no token: {}", self.printed_and_log());
        Client::new(self.port, token)
    }

    /// Returns a client with this token.
    pub fn client(&self, token: &str) -> Client {
        Client::new(self.port, Some(token))
    }

    /// Returns a client without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(self.port, None)
    }

    /// Opens a bare connection.
    ///
    /// # Errors
    ///
    /// The platform does not accept it.
    pub fn raw(&self) -> Result<Raw> {
        Raw::connect(self.port)
    }

    /// Returns the operator's token, where the platform printed one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the SHA-256 of the library that was loaded for an extension, as the platform says it.
    ///
    /// # Errors
    ///
    /// It loaded none.
    pub fn library(&self, slug: &str) -> Result<String> {
        let answer = self.operator().get(&format!("/api/v1/admin/extensions/{slug}"))?;
        let hash = answer.data()["library"]["sha256"].as_str().map(str::to_owned);
        hash.with_context(|| format!("`{slug}` has no library: {}", answer.text()))
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the place.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Returns everything that was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.setup.log_file()).unwrap_or_default()
    }

    /// Returns what this start wrote to the standard output.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.setup.directory().join("printed")).unwrap_or_default()
    }

    /// Runs a command of the command line on the same place, to its end.
    ///
    /// # Errors
    ///
    /// It cannot be run.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        self.setup.cli(arguments)
    }

    /// Asks the platform to stop, with SIGTERM.
    ///
    /// # Errors
    ///
    /// It is gone already.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits until the platform ended.
    ///
    /// # Errors
    ///
    /// It did not in time.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > deadline {
                bail!("the platform still runs after {deadline:?}: {}", self.printed_and_log());
            }
            thread::sleep(STEP);
        }
    }

    /// Kills the platform with SIGKILL, whatever it does, and returns its place.
    ///
    /// # Errors
    ///
    /// It is gone already.
    pub fn kill(mut self) -> Result<Stopped> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(self.stopped())
    }

    /// Starts a platform that ended by itself again, on the same place and port, and does not wait until it serves.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn again(mut self) -> Result<Instance> {
        self.child.wait()?;
        self.stopped().start_without_waiting()
    }

    /// Stops the platform with SIGTERM, and returns its place.
    ///
    /// # Errors
    ///
    /// It did not stop in time, or not with success.
    pub fn stop(mut self) -> Result<Stopped> {
        self.terminate()?;
        let status = self.wait(Duration::from_secs(40))?;
        if !status.success() {
            bail!("the platform stopped with {status}: {}", self.printed_and_log());
        }
        Ok(self.stopped())
    }

    fn stopped(mut self) -> Stopped {
        Stopped { setup: Arc::clone(&self.setup), port: self.port, token: self.token.take() }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(id.context("no process")?, signal)?)
    }

    fn printed_and_log(&self) -> String {
        format!("{}\n{}", self.printed(), self.log())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Its own child, by its own id: nothing else can be meant.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A platform that ran, and its place.
#[derive(Debug)]
pub struct Stopped {
    setup: Arc<Setup>,
    port: u16,
    token: Option<String>,
}

impl Stopped {
    /// Starts the platform again, on the same port; the operator's token stays.
    ///
    /// # Errors
    ///
    /// As [`Setup::start`].
    pub fn start(self) -> Result<Instance> {
        Instance::start_on(self.setup, self.port, self.token)
    }

    /// Starts the platform again, and does not wait until it serves.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start_without_waiting(self) -> Result<Instance> {
        Instance::spawn(self.setup, self.port, self.token)
    }

    /// Returns the place.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }
}

/// Waits until a condition holds, and answers whether it did in time.
pub fn within(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if begun.elapsed() > deadline {
            return false;
        }
        thread::sleep(STEP);
    }
}

/// Returns a port that nobody listens on.
///
/// Below those that the system gives to connections, so that none of them takes it in between.
///
/// # Errors
///
/// Everything is taken.
pub fn free_port() -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(start) + u32::from(next)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Finds a token: `pn_`, eight characters, an underscore, forty-three characters.
fn token_in(text: &str) -> Option<String> {
    let is_part =
        |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
    text.split(is_part).find(|word| word.starts_with("pn_") && word.len() == 55).map(str::to_owned)
}
