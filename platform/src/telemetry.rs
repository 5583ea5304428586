//! What is logged, how, and how that is changed while the platform runs.

use std::fmt;
use std::io;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;

/// Changes what is logged, from any thread.
#[derive(Clone)]
pub struct Telemetry {
    filter: Handle<EnvFilter, Registry>,
}

/// Logging cannot begin, or cannot change.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The text is no filter.
    #[error(
        "`{filter}` is no log filter ({reason}); write it as `info` or `info,powernode::gate=debug`"
    )]
    Filter {
        /// The text.
        filter: String,
        /// Which part of it, and why.
        reason: String,
    },
    /// The process has a subscriber already.
    #[error("this process logs already")]
    Twice,
}

impl Telemetry {
    /// Begins to log to standard error, for the rest of the process.
    ///
    /// # Errors
    ///
    /// [`TelemetryError`]; nothing is logged then.
    pub fn init(filter: &str, format: LogFormat) -> Result<Telemetry, TelemetryError> {
        let (subscriber, telemetry) = build(filter, format, io::stderr)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
        Ok(telemetry)
    }

    /// Logs by `filter` from the next line on.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Filter`]; the filter so far stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), TelemetryError> {
        // The handle fails only where the subscriber is gone, and then nothing is logged by anything.
        self.filter.reload(parse(filter)?).map_err(|error| not_a_filter(filter, &error))
    }

    /// Returns the filter in force.
    pub fn filter(&self) -> String {
        self.filter.with_current(ToString::to_string).unwrap_or_default()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("filter", &self.filter()).finish()
    }
}

fn build<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> Result<(impl tracing::Subscriber + use<W>, Telemetry), TelemetryError>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        // Colours are for a terminal; a log that is collected has none.
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok((subscriber, Telemetry { filter: handle }))
}

/// Looks whether a text is a log filter.
///
/// # Errors
///
/// [`TelemetryError::Filter`].
pub fn check(filter: &str) -> Result<(), TelemetryError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder().parse(filter).map_err(|error| not_a_filter(filter, &error))
}

fn not_a_filter(filter: &str, reason: &dyn fmt::Display) -> TelemetryError {
    TelemetryError::Filter { filter: filter.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn read(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logged(filter: &str, format: LogFormat, run: impl FnOnce(&Telemetry)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, telemetry) = build(filter, format, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || run(&telemetry));
        lines.read()
    }

    #[test]
    fn the_filter_changes_while_the_platform_runs() {
        let said = logged("info", LogFormat::Text, |telemetry| {
            tracing::debug!("before");
            telemetry.set_filter("debug").unwrap();
            tracing::debug!("after");
            assert!(telemetry.set_filter("powernode=loud").is_err());
            assert_eq!(telemetry.filter(), "debug");
        });
        assert!(said.contains("after") && !said.contains("before"), "{said}");
    }

    #[test]
    fn a_json_line_is_one_object() {
        let said =
            logged("info", LogFormat::Json, |_| tracing::info!(slug = "marketing", "Loaded"));
        let line: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(
            (line["message"].as_str(), line["slug"].as_str(), line["level"].as_str()),
            (Some("Loaded"), Some("marketing"), Some("INFO"))
        );
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = parse("powernode=loud").unwrap_err().to_string();
        assert!(
            error.starts_with("`powernode=loud` is no log filter (error parsing level filter"),
            "{error}"
        );
    }
}
