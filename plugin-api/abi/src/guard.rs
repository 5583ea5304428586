//! Keeps panics inside the library that raised them.
//!
//! A panic that crosses the boundary ends the process, whatever the other side
//! does: so each entry, each poll and each Drop runs inside a guard of its own side.

use std::{
    any::Any,
    fmt,
    mem::{self, ManuallyDrop},
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
};

use abi_stable::std_types::RResult::{RErr, ROk};

use crate::error::{AbiError, PANICKED, Res};

/// Runs `entry`, and turns a panic into an error that carries its text.
pub fn guard<T>(entry: impl FnOnce() -> Result<T, AbiError>) -> Res<T> {
    match catch_unwind(AssertUnwindSafe(entry)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error),
        Err(payload) => RErr(AbiError::new(PANICKED, panic_text(payload))),
    }
}

/// The text of a panic; the payload is dropped, and a payload that panics while it is dropped is forgotten.
pub fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without text".to_owned(),
    };
    drop_guarded(payload);
    text
}

/// Drops `value`; a panic in its Drop ends here.
pub fn drop_guarded<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Its Drop may panic as well, and there is nobody left to ask.
        mem::forget(payload);
    }
}

/// A value whose Drop may panic without harm.
///
/// Whatever an author's code is kept in and the other side drops stands in one.
pub struct Guarded<T>(ManuallyDrop<T>);

impl<T> Guarded<T> {
    /// Guards `value`.
    pub fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }

    /// The value, no longer guarded.
    #[expect(unsafe_code, reason = "a value is taken out of its ManuallyDrop, once")]
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so that this is the only place that takes the value.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Guarded<T> {
    #[expect(unsafe_code, reason = "a value is taken out of its ManuallyDrop, once")]
    fn drop(&mut self) {
        // SAFETY: this is the only place that takes the value, and runs once.
        let value = unsafe { ManuallyDrop::take(&mut self.0) };
        drop_guarded(value);
    }
}

impl<T: fmt::Debug> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&*self.0).finish()
    }
}
