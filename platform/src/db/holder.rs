//! Who has the one connection that writes, so that the platform's own work need not wait for an extension without end.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{AbortHandle, spawn_blocking},
};

use super::{Principal, job::Control};

/// How long an extension may have the connection to itself while the core waits for it.
const MOST: Duration = Duration::from_secs(2);
/// How often who waits looks, and how often a statement is interrupted again.
const PACE: Duration = Duration::from_millis(50);

/// The extension's job that has the connection now, if it is one.
#[derive(Default)]
pub(super) struct Holder(Mutex<Option<Held>>);

struct Held {
    slug: Arc<str>,
    since: Instant,
    control: Arc<Control>,
}

/// The connection is an extension's until this is dropped.
pub(super) struct Holding(Arc<Holder>);

/// Somebody of the core waits until this is dropped.
pub(super) struct Waiting(AbortHandle);

impl Holder {
    /// `principal`'s job has the connection from now on.
    pub(super) fn hold(self: &Arc<Self>, principal: &Principal, control: &Arc<Control>) -> Holding {
        let (slug, control) = (principal.slug().into(), Arc::clone(control));
        *self.held() = Some(Held { slug, since: Instant::now(), control });
        Holding(Arc::clone(self))
    }

    /// The core waits: who has had the connection for too long is interrupted, and rolled back.
    pub(super) fn wait(self: &Arc<Self>, runtime: &Handle) -> Waiting {
        let holder = Arc::clone(self);
        let watch = runtime.spawn(async move {
            loop {
                tokio::time::sleep(PACE).await;
                let Some(control) = holder.overdue() else { continue };
                // Interrupting may have to wait for the connection.
                let _ = spawn_blocking(move || control.stop()).await;
            }
        });
        Waiting(watch.abort_handle())
    }

    fn overdue(&self) -> Option<Arc<Control>> {
        let held = self.held();
        let Held { slug, since, control } = held.as_ref()?;
        let time = since.elapsed();
        if time < MOST {
            return None;
        }
        let text = format!(
            "it wrote for {:.1} s while the platform waited: it was interrupted, and rolled back",
            time.as_secs_f32()
        );
        if control.cancel(text) {
            tracing::warn!(
                extension = %slug,
                "Extension `{slug}` has written for {:.1} s while the platform waits: its transaction is interrupted, and rolled back",
                time.as_secs_f32()
            );
        }
        Some(Arc::clone(control))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Holder").field(&self.held().as_ref().map(|it| &it.slug)).finish()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        *self.0.held() = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
