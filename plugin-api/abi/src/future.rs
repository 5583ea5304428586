//! A future that crosses the boundary, and keeps panics on its own side.
//!
//! UNSAFE: hand-written. A future is a pointer with the functions of the library
//! that made it; a waker is a pointer with the functions of the side that polls.
//! Libraries are never unloaded, so the functions outlive every value.

#![expect(unsafe_code, reason = "futures and wakers cross as pointers with functions")]

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use abi_stable::{
    StableAbi,
    std_types::{RResult, RString},
};

use crate::{
    error::{AbiError, PANICKED},
    guard::panic_text,
};

/// What one poll answers.
#[repr(C, u8)]
#[derive(Debug, StableAbi)]
pub enum PPoll<T> {
    /// The value; the future may not be polled again.
    Ready(T),
    /// Not yet; the waker will be called.
    Pending,
    /// The other side's code panicked; the text is the panic's.
    Panicked(RString),
}

impl<T> PPoll<T> {
    /// Runs one poll of `body` inside a guard.
    pub fn guarded(body: impl FnOnce() -> Poll<T>) -> Self {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Poll::Ready(value)) => Self::Ready(value),
            Ok(Poll::Pending) => Self::Pending,
            Err(payload) => Self::Panicked(panic_text(payload).into()),
        }
    }
}

/// The other side's code panicked while it was polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollPanicked(pub String);

impl fmt::Display for PollPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PollPanicked {}

impl From<PollPanicked> for AbiError {
    fn from(panic: PollPanicked) -> Self {
        Self::new(PANICKED, panic.0)
    }
}

/// A future of the other side that may move between threads.
#[repr(C)]
#[derive(StableAbi)]
#[must_use = "a future does nothing unless it is polled"]
pub struct PFuture<T> {
    raw: RawFuture<T>,
}

/// A future of the other side that stays on its thread.
#[repr(C)]
#[derive(StableAbi)]
#[must_use = "a future does nothing unless it is polled"]
pub struct LocalPFuture<T> {
    raw: RawFuture<T>,
    // `*const ()` is neither Send nor Sync.
    thread: PhantomData<*const ()>,
}

impl<T> PFuture<T> {
    /// Boxes `future`.
    pub fn new<F>(future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self { raw: RawFuture::new(future) }
    }

    /// A future that answers at once.
    pub fn ready(value: T) -> Self
    where
        T: Send + 'static,
    {
        Self::new(std::future::ready(value))
    }
}

impl<T> LocalPFuture<T> {
    /// Boxes `future`.
    pub fn new<F>(future: F) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        Self { raw: RawFuture::new(future), thread: PhantomData }
    }
}

// SAFETY: `PFuture::new` is the only constructor, and asks for a future that is Send.
unsafe impl<T> Send for PFuture<T> {}

impl<T> Future for PFuture<T> {
    type Output = Result<T, PollPanicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.raw.poll(context)
    }
}

impl<T> Future for LocalPFuture<T> {
    type Output = Result<T, PollPanicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.raw.poll(context)
    }
}

impl<T> PFuture<RResult<T, AbiError>> {
    /// Awaits the future; a panic is an error like the others.
    ///
    /// # Errors
    ///
    /// What the future answers, or [`PANICKED`].
    pub async fn flat(self) -> Result<T, AbiError> {
        self.await?.into_result()
    }
}

impl<T> LocalPFuture<RResult<T, AbiError>> {
    /// Awaits the future; a panic is an error like the others.
    ///
    /// # Errors
    ///
    /// What the future answers, or [`PANICKED`].
    pub async fn flat(self) -> Result<T, AbiError> {
        self.await?.into_result()
    }
}

impl<T> fmt::Debug for PFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PFuture")
    }
}

impl<T> fmt::Debug for LocalPFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalPFuture")
    }
}

/// A boxed future, with the functions of the library that boxed it.
///
/// OWNERSHIP: `data` belongs to this value; null once it ended.
#[repr(C)]
#[derive(StableAbi)]
struct RawFuture<T> {
    data: *mut (),
    poll: unsafe extern "C" fn(*mut (), &PWaker) -> PPoll<T>,
    drop: unsafe extern "C" fn(*mut ()),
}

impl<T> RawFuture<T> {
    fn new<F: Future<Output = T> + 'static>(future: F) -> Self {
        Self {
            data: Box::into_raw(Box::new(future)).cast(),
            poll: poll_box::<F>,
            drop: drop_box::<F>,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, PollPanicked>> {
        if self.data.is_null() {
            return Poll::Ready(Err(PollPanicked("the future was polled after it ended".into())));
        }
        let waker = PWaker::borrowing(context.waker());
        // SAFETY: `data` is the live box that `new` made together with `poll`.
        let answer = unsafe { (self.poll)(self.data, &waker) };
        let ended = match answer {
            PPoll::Pending => return Poll::Pending,
            PPoll::Ready(value) => Ok(value),
            PPoll::Panicked(text) => Err(PollPanicked(text.into())),
        };
        self.free();
        Poll::Ready(ended)
    }

    fn free(&mut self) {
        let data = mem::replace(&mut self.data, ptr::null_mut());
        if !data.is_null() {
            // SAFETY: `data` is the live box that `new` made together with `drop`, and was just taken out.
            unsafe { (self.drop)(data) }
        }
    }
}

impl<T> Drop for RawFuture<T> {
    fn drop(&mut self) {
        self.free();
    }
}

unsafe extern "C" fn poll_box<F: Future>(data: *mut (), waker: &PWaker) -> PPoll<F::Output> {
    // SAFETY: the caller passes the box of `RawFuture::new::<F>`, and holds it exclusively.
    let future = unsafe { &mut *data.cast::<F>() };
    // SAFETY: the box never moves, and is dropped in place.
    let future = unsafe { Pin::new_unchecked(future) };
    PPoll::guarded(|| waker.with(|waker| future.poll(&mut Context::from_waker(waker))))
}

unsafe extern "C" fn drop_box<F>(data: *mut ()) {
    // SAFETY: the caller passes the box of `RawFuture::new::<F>`, and gives it up.
    let future = unsafe { Box::from_raw(data.cast::<F>()) };
    crate::guard::drop_guarded(future);
}

/// The waker of the side that polls.
///
/// OWNERSHIP: `data` and `vtable` are the parts of a [`Waker`]; whether they are
/// borrowed or owned follows from where the value stands: a `&PWaker` that is
/// passed to a poll borrows, a `PWaker` that [`WakerFns::clone`] returned owns.
#[repr(C)]
#[derive(StableAbi)]
pub struct PWaker {
    data: *const (),
    vtable: *const (),
    fns: &'static WakerFns,
}

/// The functions of a waker's maker.
#[repr(C)]
#[derive(StableAbi)]
struct WakerFns {
    clone: unsafe extern "C" fn(*const (), *const ()) -> PWaker,
    wake: unsafe extern "C" fn(*const (), *const ()),
    wake_by_ref: unsafe extern "C" fn(*const (), *const ()),
    drop: unsafe extern "C" fn(*const (), *const ()),
}

impl PWaker {
    /// Passes `waker` on for the time of a poll; allocates nothing.
    pub fn borrowing(waker: &Waker) -> Self {
        Self { data: waker.data(), vtable: ptr::from_ref(waker.vtable()).cast(), fns: &MAKER }
    }

    /// Lends a [`Waker`] of this side's own type to `body`.
    ///
    /// A clone of it allocates, since it outlives the poll.
    pub fn with<R>(&self, body: impl FnOnce(&Waker) -> R) -> R {
        let raw = RawWaker::new(ptr::from_ref(self).cast(), &BORROWED);
        // SAFETY: `BORROWED` reads its pointer as a `PWaker`, which lives until this method returns.
        let waker = mem::ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
        body(&waker)
    }
}

impl fmt::Debug for PWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PWaker")
    }
}

static MAKER: WakerFns = WakerFns {
    clone: maker_clone,
    wake: maker_wake,
    wake_by_ref: maker_wake_by_ref,
    drop: maker_drop,
};

/// # Safety
///
/// `data` and `vtable` are the parts of a waker of this side that is alive.
unsafe fn revive(data: *const (), vtable: *const ()) -> mem::ManuallyDrop<Waker> {
    // SAFETY: `borrowing` stored a `&'static RawWakerVTable` of this side.
    let vtable = unsafe { &*vtable.cast::<RawWakerVTable>() };
    // SAFETY: the caller promises that the parts belong together.
    mem::ManuallyDrop::new(unsafe { Waker::new(data, vtable) })
}

unsafe extern "C" fn maker_clone(data: *const (), vtable: *const ()) -> PWaker {
    // SAFETY: passed on.
    let waker = unsafe { revive(data, vtable) };
    let owned = mem::ManuallyDrop::new(Waker::clone(&waker));
    PWaker::borrowing(&owned)
}

unsafe extern "C" fn maker_wake(data: *const (), vtable: *const ()) {
    // SAFETY: passed on; the caller gives the waker up.
    let waker = unsafe { revive(data, vtable) };
    mem::ManuallyDrop::into_inner(waker).wake();
}

unsafe extern "C" fn maker_wake_by_ref(data: *const (), vtable: *const ()) {
    // SAFETY: passed on.
    let waker = unsafe { revive(data, vtable) };
    waker.wake_by_ref();
}

unsafe extern "C" fn maker_drop(data: *const (), vtable: *const ()) {
    // SAFETY: passed on; the caller gives the waker up.
    let waker = unsafe { revive(data, vtable) };
    drop(mem::ManuallyDrop::into_inner(waker));
}

/// Wakers that point to a `PWaker` on the stack of a poll.
static BORROWED: RawWakerVTable =
    RawWakerVTable::new(clone_to_owned, borrowed_wake, foreign_wake_by_ref, borrowed_drop);

/// Wakers that own a boxed `PWaker`.
static OWNED: RawWakerVTable =
    RawWakerVTable::new(clone_to_owned, owned_wake, foreign_wake_by_ref, owned_drop);

unsafe fn clone_to_owned(data: *const ()) -> RawWaker {
    // SAFETY: both tables keep a live `PWaker` behind `data`.
    let foreign = unsafe { &*data.cast::<PWaker>() };
    // SAFETY: `data` and `vtable` are what the maker stored, and alive.
    let owned = unsafe { (foreign.fns.clone)(foreign.data, foreign.vtable) };
    RawWaker::new(Box::into_raw(Box::new(owned)).cast(), &OWNED)
}

unsafe fn foreign_wake_by_ref(data: *const ()) {
    // SAFETY: both tables keep a live `PWaker` behind `data`.
    let foreign = unsafe { &*data.cast::<PWaker>() };
    // SAFETY: `data` and `vtable` are what the maker stored, and alive.
    unsafe { (foreign.fns.wake_by_ref)(foreign.data, foreign.vtable) }
}

unsafe fn borrowed_wake(data: *const ()) {
    // SAFETY: a borrowed waker is never owned, so that waking must not give it up.
    unsafe { foreign_wake_by_ref(data) }
}

unsafe fn borrowed_drop(_: *const ()) {}

unsafe fn owned_wake(data: *const ()) {
    // SAFETY: an owned waker's box is given up here.
    let foreign = unsafe { Box::from_raw(data.cast_mut().cast::<PWaker>()) };
    // SAFETY: the maker's clone is owned by this value, and given up.
    unsafe { (foreign.fns.wake)(foreign.data, foreign.vtable) }
}

unsafe fn owned_drop(data: *const ()) {
    // SAFETY: an owned waker's box is given up here.
    let foreign = unsafe { Box::from_raw(data.cast_mut().cast::<PWaker>()) };
    // SAFETY: the maker's clone is owned by this value, and given up.
    unsafe { (foreign.fns.drop)(foreign.data, foreign.vtable) }
}

#[cfg(test)]
mod tests;
