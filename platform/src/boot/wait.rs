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
    let found = core(settings, handle, listener)?;
    match Serving::begin(&found.engine)? {
        (serving, false) => Ok((found, serving)),
        // What the command did, such as putting a backup back, is looked at.
        (serving, true) => Ok((core(settings, handle, listener)?, serving)),
    }
}

/// As [`super::core`], once the database's server is there: until then requests on `listener`, where there is one, are
/// told so.
///
/// What no waiting mends, such as a wrong password, ends the start.
///
/// # Errors
///
/// [`BootError`].
pub fn core(
    settings: &Settings,
    handle: &Handle,
    listener: Option<&TcpListener>,
) -> Result<Core, BootError> {
    let (mut answering, mut said) = (None, false);
    loop {
        let error = match super::core(settings, handle) {
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
