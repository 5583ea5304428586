//! A PostgreSQL server that lives as long as the test process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::skipped::skipped;

const NOBODY: u32 = 65_534;
/// The password of the server's own role: others must show theirs too, as on a real server.
const PASSWORD: &str = "of-the-tests";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A throw-away server on a free port of 127.0.0.1, shared by the tests of a process.
#[derive(Debug)]
pub struct Cluster {
    port: u16,
    folder: PathBuf,
    process: u32,
}

impl Cluster {
    /// The server, which the first caller starts; `None` where PostgreSQL is not installed.
    ///
    /// Says `skipped: …` then.
    ///
    /// # Panics
    ///
    /// When the server is installed and does not start, and when it is missing under `CI=true`.
    pub fn shared() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER
            .get_or_init(|| {
                if program("postgres").exists() {
                    return Some(
                        Self::start(&[], |_| Ok(()))
                            .unwrap_or_else(|error| panic!("PostgreSQL did not start: {error:#}")),
                    );
                }
                skipped("PostgreSQL is not installed (package `postgresql`)");
                None
            })
            .as_ref()
    }

    /// A server of its own that speaks TLS alone, with a certificate for `localhost`; `None` as with
    /// [`Cluster::shared`]. It ends with this process.
    ///
    /// # Errors
    ///
    /// What `openssl` or the server says.
    pub fn with_tls() -> Result<Option<Self>> {
        if Self::shared().is_none() {
            return Ok(None);
        }
        let settings = ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"];
        Self::start(&settings, |folder| {
            authority(folder, "ca")?;
            authority(folder, "other")?;
            let path = |name: &str| folder.join(name).into_os_string();
            run(openssl("req")
                .args(["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"])
                .arg("-keyout")
                .arg(path("server.key"))
                .arg("-out")
                .arg(path("server.csr")))?;
            fs::write(path("names"), "subjectAltName=DNS:localhost")?;
            run(openssl("x509")
                .args(["-req", "-days", "1", "-CAcreateserial"])
                .arg("-in")
                .arg(path("server.csr"))
                .arg("-out")
                .arg(path("server.crt"))
                .arg("-CA")
                .arg(path("ca.crt"))
                .arg("-CAkey")
                .arg(path("ca.key"))
                .arg("-extfile")
                .arg(path("names")))?;
            let hba = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n\
                       hostssl all all ::1/128 scram-sha-256\n";
            fs::write(folder.join("data/pg_hba.conf"), hba)?;
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(folder.join("server.key"), Some(NOBODY), Some(NOBODY))?;
            }
            Ok(())
        })
        .map(Some)
    }

    /// A server of its own, with these settings, which may be stopped and started; `None` as with
    /// [`Cluster::shared`]. It ends with this process.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn own(settings: &[&str]) -> Result<Option<Self>> {
        if Self::shared().is_none() {
            return Ok(None);
        }
        Self::start(settings, |_| Ok(())).map(Some)
    }

    /// A standby that follows this server; from now on, this one acknowledges what the standby has as well.
    ///
    /// # Errors
    ///
    /// What `pg_basebackup` or either server says.
    pub fn with_standby(&self) -> Result<Self> {
        let folder = place()?;
        let address = self.address("postgres", PASSWORD, "postgres");
        run(unprivileged(&folder, "pg_basebackup")
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", &address, "-D"])
            .arg(folder.join("data")))?;
        let standby = Self::launch(folder, free_port()?, &[])?;
        self.administer("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.administer("SELECT pg_reload_conf()")?;
        let follows = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let began = Instant::now();
        while self.ask(&address, follows)? != "1" {
            if began.elapsed() > START_TIMEOUT {
                bail!("the standby does not follow");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(standby)
    }

    /// Makes the standby the server that takes writes.
    ///
    /// # Errors
    ///
    /// What `pg_ctl` says.
    pub fn promote(&self) -> Result<()> {
        let data = self.folder.join("data");
        run(unprivileged(&self.folder, "pg_ctl").args(["promote", "-w", "-s", "-D"]).arg(data))
    }

    /// Stops the server as a crash does: nobody is asked.
    ///
    /// # Errors
    ///
    /// What `pg_ctl` says.
    pub fn crash(&self) -> Result<()> {
        let data = self.folder.join("data");
        let stop = ["stop", "-m", "immediate", "-w", "-s", "-D"];
        run(unprivileged(&self.folder, "pg_ctl").args(stop).arg(data))
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    ///
    /// It does not become ready.
    pub fn restart(&self, settings: &[&str]) -> Result<()> {
        Self::launch(self.folder.clone(), self.port, settings).map(drop)
    }

    /// A client that takes a connection of `database`'s, until it is dropped.
    ///
    /// # Errors
    ///
    /// It does not get one.
    pub fn guest(&self, database: &str) -> Result<Guest> {
        let mut psql = Command::new(program("psql"));
        let psql = psql.args(["-X", "-q", "-A", "-t", database]);
        let psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guest = Guest(psql.spawn().context("cannot run psql")?);
        guest.say("SELECT 'in';").context("no connection is left")?;
        Ok(guest)
    }

    /// Sends a signal such as `STOP` to the server and all its processes.
    ///
    /// # Errors
    ///
    /// What `pkill` says.
    pub fn signal(&self, name: &str) -> Result<()> {
        let process = self.process.to_string();
        let mut children = Command::new("pkill");
        // A server has children, always.
        run(children.args([&format!("-{name}"), "-P", &process]))?;
        run(Command::new("kill").args([&format!("-{name}"), &process]))
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    ///
    /// What `createdb` says.
    pub fn database(&self) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.administer(&format!("CREATE DATABASE {name}"))?;
        Ok(self.address("postgres", PASSWORD, &name))
    }

    /// The address of a new, empty database whose owner is no superuser, and has these rights (`CREATEROLE`).
    ///
    /// # Errors
    ///
    /// What `psql` says.
    pub fn database_of_operator(&self, rights: &str) -> Result<String> {
        let database = self.database()?;
        let name = database.rsplit('/').next().unwrap_or_default();
        let role = format!("operator_{name}");
        self.administer(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' {rights}"))?;
        self.administer(&format!("ALTER DATABASE {name} OWNER TO {role}"))?;
        Ok(self.address(&role, PASSWORD, name))
    }

    /// Runs statements on `database`, as the server's own role; answers their rows, a line for each.
    ///
    /// # Errors
    ///
    /// What `psql` says.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String> {
        let name = database.rsplit('/').next().unwrap_or_default();
        let name = name.split('?').next().unwrap_or_default();
        let address = self.address("postgres", PASSWORD, name);
        let mut psql = Command::new(program("psql"));
        let output = psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = output.arg(address).output().context("cannot run psql")?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn address(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts every connection of `database`'s, as a server that restarts does.
    ///
    /// # Errors
    ///
    /// What `psql` says.
    pub fn cut(&self, database: &str) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        run(Command::new(program("psql")).args(["-q", "-o", "/dev/null", "-c", sql, database]))
    }

    /// Takes a database away, until it is given back: its connections end, and new ones are refused.
    ///
    /// # Errors
    ///
    /// What `psql` says.
    pub fn take_away(&self, database: &str) -> Result<()> {
        let name = database.rsplit('/').next().unwrap_or_default();
        self.administer(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false"))?;
        self.administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
    }

    /// Gives a database back.
    ///
    /// # Errors
    ///
    /// What `psql` says.
    pub fn give_back(&self, database: &str) -> Result<()> {
        let name = database.rsplit('/').next().unwrap_or_default();
        self.administer(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true"))
    }

    fn administer(&self, sql: &str) -> Result<()> {
        let address = self.address("postgres", PASSWORD, "postgres");
        run(Command::new(program("psql")).args(["-q", "-o", "/dev/null", "-c", sql, &address]))
    }

    /// The process of the server.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Where its data is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a server with these settings, once `configure` did the rest in its folder.
    fn start(settings: &[&str], configure: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = place()?;
        let data = folder.join("data");
        let password = folder.join("password");
        fs::write(&password, PASSWORD)?;
        run(unprivileged(&folder, "initdb")
            .args(["-A", "scram-sha-256", "-U", "postgres", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("-D")
            .arg(&data))?;
        configure(&folder)?;
        Self::launch(folder, free_port()?, settings)
    }

    /// Runs the server whose data is in `folder`, until it is ready.
    fn launch(folder: PathBuf, port: u16, settings: &[&str]) -> Result<Self> {
        let mut server = unprivileged(&folder, "postgres");
        server
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(fs::File::options().create(true).append(true).open(folder.join("log"))?);
        // The server ends with the thread that started it, which lasts as long as the process.
        let (sender, started) = mpsc::channel();
        std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            let child = server.spawn();
            let lasts = child.is_ok();
            let told = sender.send(child.map(|child| child.id()));
            while lasts && told.is_ok() {
                std::thread::park();
            }
        })?;
        let process = started.recv()??;
        let cluster = Self { port, folder, process };
        cluster.wait()?;
        Ok(cluster)
    }

    fn wait(&self) -> Result<()> {
        let began = Instant::now();
        let port = self.port.to_string();
        while began.elapsed() < START_TIMEOUT {
            let ready = Command::new(program("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-t", "1", "-p", &port])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("not ready in time: {}", fs::read_to_string(self.folder.join("log"))?)
    }
}

/// A client that has a connection, and lets it go when it is dropped.
#[derive(Debug)]
pub struct Guest(Child);

impl Guest {
    /// Runs statements of which the last one answers a row, and waits for it.
    ///
    /// # Errors
    ///
    /// It is not there any more.
    pub fn say(&mut self, sql: &str) -> Result<()> {
        let (stdin, stdout) = (self.0.stdin.as_mut(), self.0.stdout.as_mut());
        let (stdin, stdout) = stdin.zip(stdout).context("psql has no pipes")?;
        writeln!(stdin, "{sql}")?;
        if BufReader::new(stdout).read_line(&mut String::new())? == 0 {
            bail!("psql ended");
        }
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Its own child, by its own id: nothing else can be meant.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A new folder for a server, which it may write.
fn place() -> Result<PathBuf> {
    remove_left_overs();
    let folder = tempfile::Builder::new().prefix("powernode-postgres-").tempdir()?.keep();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(folder)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Makes an authority, `<name>.crt` and `<name>.key`.
fn authority(folder: &Path, name: &str) -> Result<()> {
    let subject = format!("/CN={name}");
    run(openssl("req")
        .args(["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", &subject])
        .arg("-keyout")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.crt"))))
}

fn openssl(command: &str) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.arg(command);
    openssl
}

/// A program of PostgreSQL's, without root's rights, that ends with us.
fn unprivileged(folder: &Path, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "SIGINT"]).arg(self::program(program)).current_dir(folder);
    command
}

/// Removes what servers of earlier processes left: they end after the process that could.
fn remove_left_overs() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let ours = folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("powernode-postgres-"));
        let age = fs::metadata(&folder).and_then(|facts| facts.modified()).ok();
        let old = age.and_then(|age| age.elapsed().ok()).is_some_and(|age| age > START_TIMEOUT);
        if ours && old && !folder.join("data/postmaster.pid").exists() {
            // Another process may be removing it at this moment.
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// The server's program of that name, of the newest version installed.
///
/// Debian keeps these programs out of the search path, one directory for each version.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(version).unwrap_or_default();
    newest.join("bin").join(name)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr))
}
