//! Waiting for a database server that is not there yet.

use std::{net::TcpListener, thread, time::Duration};

use tokio::runtime::Handle;

use super::{BootError, Core, nodes::Serving};
use crate::{config::Settings, http::starting::Starting};

/// How often the server is tried again.
const PACE: Duration = Duration::from_millis(500);

/// The core, and that this process serves its database: no command has that for itself from here on.
///
/// # Errors
///
/// [`BootError`].
pub fn serving(
    settings: &Settings,
    handle: &Handle,
    listener: Option<&TcpListener>,
) -> Result<(Core, Serving), BootError> {
    let opened = || once_there(handle, listener, || super::there(settings));
    let core = opened()?;
    // First of all: what a command is at, such as putting a backup back, looks like something that broke off.
    let (core, serving) = match Serving::begin(&core.engine)? {
        (serving, false) => (core, serving),
        // What the command did is looked at.
        (serving, true) => (opened()?, serving),
    };
    once_there(handle, listener, || super::ready(&core, settings, handle))?;
    Ok((core, serving))
}

/// Tries until the database's server is there: until then requests on `listener`, where there is one, are told so.
///
/// What no waiting mends, such as a wrong password, ends the start.
fn once_there<T>(
    handle: &Handle,
    listener: Option<&TcpListener>,
    attempt: impl Fn() -> Result<T, BootError>,
) -> Result<T, BootError> {
    let (mut answering, mut said) = (None, false);
    loop {
        let error = match attempt() {
            Err(BootError::Database(error)) => error,
            answer => return answer,
        };
        let Some(fault) = error.passing() else { return Err(error.into()) };
        if answering.is_none() && !said {
            said = listener.is_none();
            let error = anyhow::Error::from(error);
            tracing::warn!("Waiting for the database: {error:#}");
            let Some(listener) = listener else {
                thread::sleep(PACE);
                continue;
            };
            let copy = listener.try_clone();
            answering = match copy.and_then(|it| Starting::answer(it, fault, handle)) {
                Ok(answering) => Some(answering),
                // Then nobody is told, and the wait is the same.
                Err(error) => {
                    tracing::warn!("Nobody is told that the platform waits: {error}");
                    None
                }
            };
        }
        thread::sleep(PACE);
    }
}
