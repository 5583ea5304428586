//! PostgreSQL's database by way of `pg_dump` and `pg_restore`.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, PgConnection, connection::SimpleConnection as _, prelude::*, sql_types::Text,
};

use super::CopyError;

/// One of PostgreSQL's programs did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error(
        "cannot run `{0}`: backups and rehearsals on PostgreSQL need it (Debian: `postgresql-client`), \
         no older than the server"
    )]
    Missing(&'static str, #[source] std::io::Error),
    /// It says why.
    #[error("`{0}` failed: {1}")]
    Failed(&'static str, String),
}

/// Where a database is, as the programs are told it: the address, and the password apart, which others could read in
/// the list of processes.
struct Target {
    address: String,
    password: Option<String>,
}

impl Target {
    fn new(url: &str) -> Self {
        let whole = || Self { address: url.to_owned(), password: None };
        let Some((scheme, rest)) = url.split_once("://") else { return whole() };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let Some((authority, place)) = rest.split_at_checked(end) else { return whole() };
        let Some((user, host)) = authority.rsplit_once('@') else { return whole() };
        let Some((user, password)) = user.split_once(':') else { return whole() };
        Self {
            address: format!("{scheme}://{user}@{host}{place}"),
            password: Some(decoded(password)),
        }
    }

    fn run(
        &self,
        program: &'static str,
        configure: impl FnOnce(&mut Command),
    ) -> Result<(), ToolError> {
        let mut command = Command::new(program);
        command.arg("--dbname").arg(&self.address).arg("--no-password");
        command.envs(self.password.iter().map(|it| ("PGPASSWORD", it)));
        configure(&mut command);
        run(program, command)
    }
}

fn run(program: &'static str, mut command: Command) -> Result<(), ToolError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| ToolError::Missing(program, error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ToolError::Failed(program, String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// `%40` as `@`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        let code = others.get(..2).filter(|_| *first == b'%').and_then(|it| hex::decode(it).ok());
        match code {
            Some(code) => {
                bytes.extend(code);
                rest = others.get(2..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The platform's schemas.
pub(super) fn dump(url: &str, to: &Path) -> Result<(), CopyError> {
    let schemas = schemas(&mut connect(url)?)?;
    Target::new(url).run("pg_dump", |command| {
        command.args([
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--lock-wait-timeout=60s",
        ]);
        command.args(schemas.iter().map(|it| format!("--schema=\"{}\"", it.replace('"', ""))));
        command.arg("--file").arg(to);
    })?;
    Ok(())
}

pub(super) fn check(from: &Path) -> Result<(), ToolError> {
    let mut command = Command::new("pg_restore");
    // All of it is read and unpacked.
    command.args(["--file=/dev/null"]).arg(from);
    run("pg_restore", command)
}

pub(super) fn is_empty(url: &str) -> Result<bool, CopyError> {
    Ok(schemas(&mut connect(url)?)?.is_empty())
}

/// Loads a dump into a database that has none of it.
pub(super) fn load(url: &str, from: &Path) -> Result<(), CopyError> {
    Target::new(url).run("pg_restore", |command| {
        command.env("PGAPPNAME", NAME);
        command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]);
        command.arg(from);
    })?;
    // A dump without rights makes functions that everybody may call; those of the core are for login roles alone,
    // which the next start gives the right.
    connect(url)?.batch_execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA core FROM PUBLIC")?;
    Ok(())
}

/// Loads a dump in the place of what is there; what is there moves aside, and goes once the dump is loaded.
pub(super) fn restore(url: &str, from: &Path) -> Result<(), CopyError> {
    mend(url)?;
    let mut connection = connect(url)?;
    let former = schemas(&mut connection)?;
    let rename = |pairs: Vec<(String, String)>| {
        let lines =
            pairs.iter().map(|(from, to)| format!("ALTER SCHEMA \"{from}\" RENAME TO \"{to}\";"));
        format!("BEGIN; {} COMMIT;", lines.collect::<String>())
    };
    let aside = |name: &String| format!("{ASIDE}{name}");
    let left = query(&mut connection, LEFT)?;
    let dropped = |names: &[String]| {
        let lines = names.iter().map(|it| format!("DROP SCHEMA \"{it}\" CASCADE;"));
        format!("BEGIN; {} COMMIT;", lines.collect::<String>())
    };
    // Of a restore that was killed: what it moved aside, or had loaded already.
    connection.batch_execute(&dropped(&left))?;
    connection.batch_execute(&rename(former.iter().map(|it| (it.clone(), aside(it))).collect()))?;
    if let Err(error) = load(url, from) {
        connection
            .batch_execute(&rename(former.iter().map(|it| (aside(it), it.clone())).collect()))?;
        return Err(error);
    }
    connection.batch_execute(&dropped(&former.iter().map(aside).collect::<Vec<_>>()))?;
    Ok(())
}

/// Moves back what a restore had moved aside when it was killed before its copy was loaded; answers what is still left
/// of one that was killed after that.
pub(super) fn mend(url: &str) -> Result<Vec<String>, CopyError> {
    let mut connection = connect(url)?;
    let began = Instant::now();
    loop {
        let left = query(&mut connection, LEFT)?;
        let aside = query(&mut connection, MOVED)?;
        if !left.is_empty() || aside.is_empty() {
            return Ok(left);
        }
        // The program that the killed one had started goes on by itself, and may yet load the copy.
        query(&mut connection, END)?;
        let lines = aside.iter().filter_map(|it| {
            Some(format!("ALTER SCHEMA \"{it}\" RENAME TO \"{}\";", it.strip_prefix(ASIDE)?))
        });
        let moved =
            connection.batch_execute(&format!("BEGIN; {} COMMIT;", lines.collect::<String>()));
        match moved {
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => {
                connection.batch_execute("ROLLBACK")?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(()) => {}
        }
    }
}

/// How long the programs of a killed restore may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Under which name a restore's connections are known.
const NAME: &str = "powernode_restore";
const END: &str = "SELECT pg_terminate_backend(pid)::text AS name FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name = 'powernode_restore'";
const MOVED: &str =
    "SELECT nspname::text AS name FROM pg_namespace WHERE nspname LIKE 'powernode\\_former\\_%'";

/// What the names of schemas begin with that a restore moved aside.
const ASIDE: &str = "powernode_former_";
const LEFT: &str = "SELECT nspname::text AS name FROM pg_namespace \
    WHERE nspname LIKE 'powernode\\_former\\_%' AND to_regclass('core.core_migrations') IS NOT NULL";

/// The role, as SQL names it, where it may make no database.
const NO_RIGHT: &str = "SELECT quote_ident(rolname) AS name FROM pg_roles \
    WHERE rolname = current_user AND NOT rolcreatedb AND NOT rolsuper";

/// Makes an empty database on the same server; answers its address.
pub(super) fn create(url: &str, name: &str) -> Result<String, CopyError> {
    let mut server = connect(url)?;
    // What the server says of it is in its own language.
    if let Some(Named { name }) = diesel::sql_query(NO_RIGHT).load(&mut server)?.pop() {
        return Err(CopyError::NoRight(name));
    }
    server.batch_execute(&format!("CREATE DATABASE \"{name}\""))?;
    let uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    Ok(match (uri, url.contains('?')) {
        (true, true) => format!("{url}&dbname={name}"),
        (true, false) => format!("{url}?dbname={name}"),
        (false, _) => format!("{url} dbname='{name}'"),
    })
}

pub(super) fn drop(url: &str, name: &str) -> Result<(), CopyError> {
    connect(url)?.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))?;
    Ok(())
}

/// The core's schema and those of extensions, where there is a ledger that names them.
fn schemas(connection: &mut PgConnection) -> Result<Vec<String>, CopyError> {
    let there = "SELECT 'core' AS name WHERE to_regclass('core.core_migrations') IS NOT NULL";
    if query(connection, there)?.is_empty() {
        return Ok(Vec::new());
    }
    let named = "SELECT n.nspname::text AS name FROM pg_namespace n WHERE n.nspname = 'core' \
                 OR n.nspname IN (SELECT lower(replace(extension, '-', '_')) FROM core.core_migrations) ORDER BY 1";
    query(connection, named)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

fn query(connection: &mut PgConnection, sql: &str) -> Result<Vec<String>, CopyError> {
    let rows: Vec<Named> = diesel::sql_query(sql).load(connection)?;
    Ok(rows.into_iter().map(|it| it.name).collect())
}

fn connect(url: &str) -> Result<PgConnection, CopyError> {
    PgConnection::establish(url).map_err(CopyError::Server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, address: &str, password: Option<&str>) {
        let target = Target::new(url);
        assert_eq!((target.address.as_str(), target.password.as_deref()), (address, password));
    }

    #[test]
    fn a_password_is_no_argument() {
        check("postgres://me:a%40b:c@db:1/x?y=z", "postgres://me@db:1/x?y=z", Some("a@b:c"));
        check("postgres://me@db/x", "postgres://me@db/x", None);
        check("postgres://db", "postgres://db", None);
        check("host=db user=me", "host=db user=me", None);
        check("postgres://a:%4@db", "postgres://a@db", Some("%4"));
    }
}
