//! Jobs that reach no database: an extension whose manifest says `"worker": {"api_only": true}` works through the API.
//!
//! What a handler does in its own future is told from what routes do by the thread that polls it. A task that it begins
//! with `runtime().spawn` is no job, and is not kept from the tables: this holds authors to their word, and is no wall.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use powernode_abi::{
    DbError, DbObject, PFuture,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RArc, RResult},
    },
    data::{JobObject, RawDb, RawDb_TO, kind},
};

thread_local! {
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work`; where `api_only` says so, as a part of a job that reaches no database.
pub fn within<T>(api_only: bool, work: impl FnOnce() -> T) -> T {
    /// Also where the work panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            WITHOUT.set(self.0);
        }
    }
    let _before = Before(WITHOUT.replace(api_only));
    work()
}

/// The run of a job, which reaches no database where that is said.
#[derive(Debug)]
pub struct ApiOnly<F> {
    run: Pin<Box<F>>,
    api_only: bool,
}

impl<F: Future> ApiOnly<F> {
    /// A run.
    pub fn new(run: F, api_only: bool) -> Self {
        Self { run: Box::pin(run), api_only }
    }
}

impl<F: Future> Future for ApiOnly<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let api_only = self.api_only;
        within(api_only, || self.run.as_mut().poll(context))
    }
}

/// The database of an extension whose jobs reach none.
pub struct JobsWithout {
    db: DbObject,
    slug: String,
}

impl JobsWithout {
    /// That database, of the extension with that slug.
    pub fn of(db: DbObject, slug: &str) -> DbObject {
        RawDb_TO::from_ptr(RArc::new(Self { db, slug: slug.to_owned() }), TD_Opaque)
    }
}

impl RawDb for JobsWithout {
    fn dialect(&self) -> u32 {
        self.db.dialect()
    }

    fn run(&self, mode: u32, job: JobObject) -> PFuture<RResult<(), DbError>> {
        if !WITHOUT.get() {
            return self.db.run(mode, job);
        }
        let text = format!(
            "jobs of `{}` reach no database: its manifest says `\"worker\": {{\"api_only\": true}}`; ask the platform's API with `host.http().api(…)`",
            self.slug
        );
        PFuture::ready(RResult::RErr(DbError::new(kind::DENIED, text)))
    }
}

impl std::fmt::Debug for JobsWithout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JobsWithout of `{}`", self.slug)
    }
}
