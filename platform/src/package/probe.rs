use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::manifest::{Refusal, Stage};

/// The hidden subcommand that opens a library: `powernode __probe <path>`.
pub const PROBE_COMMAND: &str = "__probe";
/// The line that the child writes to its standard output once the library is open and checked.
///
/// Status 0 alone proves nothing: a constructor may call `exit(0)`.
pub const PROBE_OK: &str = "powernode-probe-ok";
/// How much of the child's output is kept, in bytes.
const OUTPUT_LIMIT: u64 = 8 * 1024;

/// Opens a library in a child process first.
#[derive(Debug)]
pub struct Probe;

impl Probe {
    /// Runs `exe __probe path`, for at most `deadline`.
    ///
    /// # Errors
    ///
    /// Where no child can be started; that says nothing of the library.
    pub fn run(exe: &Path, path: &Path, deadline: Duration) -> io::Result<ProbeVerdict> {
        let mut command = Command::new(exe);
        command.arg(PROBE_COMMAND).arg(path);
        run(command, deadline)
    }
}

fn run(mut command: Command, deadline: Duration) -> io::Result<ProbeVerdict> {
    let end = Instant::now() + deadline;
    // A library that changes how programs are loaded has no business in the child either.
    command.env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, end);
    if status.is_err() || matches!(status, Ok(None)) {
        // It may have ended by itself meanwhile; then there is nothing to kill.
        let _ = child.kill();
        child.wait()?;
    }
    let stderr = received(&stderr);
    Ok(match status? {
        None => ProbeVerdict::TimedOut { after_ms: deadline.as_millis() as u64, stderr },
        Some(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => ProbeVerdict::Crashed { signal, stderr },
            (None, Some(0)) if received(&stdout).lines().any(|line| line == PROBE_OK) => {
                ProbeVerdict::Ok
            }
            (None, code) => ProbeVerdict::Exited { code: code.unwrap_or(-1), stderr },
        },
    })
}

/// Waits until `end`; the standard library has no such wait, so it looks often, and then less so.
fn wait(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Reads a pipe to its end on a thread of its own, and keeps the beginning.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut kept = Vec::new();
        let kept_all = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut kept);
        // Nobody may wait for the result any more.
        let _ = sender.send(String::from_utf8_lossy(&kept).trim().to_owned());
        if kept_all.is_ok() {
            // A full pipe would stop the child.
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
    });
    receiver
}

/// What was collected; a process that the child left behind may hold the pipe open, and is not waited for.
fn received(receiver: &mpsc::Receiver<String>) -> String {
    receiver.recv_timeout(Duration::from_millis(500)).unwrap_or_default()
}

/// What became of the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum ProbeVerdict {
    /// It opened the library and said so.
    Ok,
    /// A signal ended it.
    Crashed {
        /// The signal's number.
        signal: i32,
        /// What it wrote to its standard error, cut to a few kilobytes.
        stderr: String,
    },
    /// It ended before it said so.
    Exited {
        /// Its exit status.
        code: i32,
        /// What it wrote to its standard error, cut to a few kilobytes.
        stderr: String,
    },
    /// It did not end, and was killed.
    TimedOut {
        /// How long it had, in milliseconds.
        after_ms: u64,
        /// What it wrote to its standard error, cut to a few kilobytes.
        stderr: String,
    },
}

impl ProbeVerdict {
    /// The refusal of the library `place`, unless all is well.
    pub fn refusal(&self, place: &Path) -> Option<Refusal> {
        let (code, what, stderr) = match self {
            Self::Ok => return None,
            Self::Crashed { signal, stderr } => (
                "probe_crashed",
                format!("ended the process with {}", signal_name(*signal)),
                stderr,
            ),
            Self::Exited { code, stderr } => {
                ("probe_exited", format!("ended the process with status {code}"), stderr)
            }
            Self::TimedOut { after_ms, stderr } => {
                ("probe_timed_out", format!("did not return within {after_ms} ms"), stderr)
            }
        };
        let said =
            stderr.lines().next_back().map(|it| format!(", saying: {it}")).unwrap_or_default();
        Some(Refusal::new(
            Stage::Probe,
            code,
            format_args!(
                "cannot use `{}`: opening it in a child process {what}{said}; correct the library's constructors and build it again",
                place.display()
            ),
        ))
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell script as the child.
    #[track_caller]
    fn check(script: &str, deadline_ms: u64, outcome: &str) {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        let verdict = run(command, Duration::from_millis(deadline_ms)).unwrap();
        let found = verdict
            .refusal(Path::new("x.so"))
            .map_or("ok".to_owned(), |it| format!("{}: {}", it.code, it.message));
        assert_eq!(found, outcome);
    }

    const WAY_OUT: &str = "correct the library's constructors and build it again";

    #[test]
    fn a_child_that_says_so_is_well() {
        check("echo noise; echo powernode-probe-ok", 10_000, "ok");
    }

    #[test]
    fn a_quiet_exit_is_no_success() {
        check(
            "exit 0",
            10_000,
            &format!(
                "probe_exited: cannot use `x.so`: opening it in a child process ended the process with status 0; {WAY_OUT}"
            ),
        );
        check(
            "echo why >&2; exit 3",
            10_000,
            &format!(
                "probe_exited: cannot use `x.so`: opening it in a child process ended the process with status 3, saying: why; {WAY_OUT}"
            ),
        );
        check(
            "echo powernode-probe-ok; exit 1",
            10_000,
            &format!(
                "probe_exited: cannot use `x.so`: opening it in a child process ended the process with status 1; {WAY_OUT}"
            ),
        );
    }

    #[test]
    fn a_crash_names_its_signal() {
        check(
            "kill -ABRT $$",
            10_000,
            &format!(
                "probe_crashed: cannot use `x.so`: opening it in a child process ended the process with signal 6 (SIGABRT); {WAY_OUT}"
            ),
        );
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        check(
            "exec sleep 600",
            50,
            &format!(
                "probe_timed_out: cannot use `x.so`: opening it in a child process did not return within 50 ms; {WAY_OUT}"
            ),
        );
    }

    #[test]
    fn a_flood_of_output_is_cut() {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
        match run(command, Duration::from_secs(60)).unwrap() {
            ProbeVerdict::Exited { code: 1, stderr } => {
                assert_eq!(stderr.len() as u64, OUTPUT_LIMIT)
            }
            other => panic!("{other:?}"),
        }
    }
}
