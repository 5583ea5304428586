//! How a run learns that it should end.

use tokio::sync::watch;

/// Why a run should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Somebody cancelled the job: it ends for good.
    Asked,
    /// The extension's gates closed: it may end, and if it gives up it waits until they open.
    Closed,
    /// The worker stops: what does not end within the grace is given back.
    Stopping,
    /// Others took this node for dead, and may run the job already.
    Lost,
}

/// A run's token: whether it should end, and why. It is asked, or awaited; nobody is forced, but for those whose job
/// was lost or whose grace is over.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<Option<Reason>>);

/// The token's other end.
#[derive(Clone, Debug)]
pub(super) struct Canceller(watch::Sender<Option<Reason>>);

impl Canceller {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Says so; the first reason stays, but that a job which is lost is lost.
    pub(super) fn cancel(&self, reason: Reason) {
        self.0.send_if_modified(|it| {
            let news = it.is_none() || (reason == Reason::Lost && *it != Some(Reason::Lost));
            if news {
                *it = Some(reason);
            }
            news
        });
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    pub(super) fn token(&self) -> Cancel {
        Cancel(self.0.subscribe())
    }
}

impl Cancel {
    /// Whether the run should end.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Why, if it should.
    pub fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    /// Waits until it should; for ever, where nobody ever says so.
    pub async fn cancelled(&mut self) -> Reason {
        loop {
            if let Some(reason) = self.reason() {
                return reason;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
