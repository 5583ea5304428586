//! The one error of the boundary.

use abi_stable::{
    StableAbi,
    std_types::{RResult, RString},
};

/// What every call across the boundary answers: also a panic is a value.
pub type Res<T> = RResult<T, AbiError>;

/// The call failed; the message says why.
pub const FAILED: u32 = 0;
/// The other side's code panicked; the message is the panic's.
pub const PANICKED: u32 = 1;
/// The other side is older and has no such method.
pub const UNSUPPORTED: u32 = 2;
/// The work was given up before it ended.
pub const CANCELLED: u32 = 3;
/// Something that was named does not exist.
pub const NOT_FOUND: u32 = 4;
/// The caller may not do this.
pub const DENIED: u32 = 5;
/// The input is larger than the limit.
pub const TOO_LARGE: u32 = 6;
/// The input did not arrive in time.
pub const TIMED_OUT: u32 = 7;
/// What is needed is not available now; a later try may succeed.
pub const UNAVAILABLE: u32 = 8;

/// Why a call across the boundary failed.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct AbiError {
    /// One of this module's constants; an unknown one means [`FAILED`].
    pub code: u32,
    /// What happened, for a person; a sentence without a full stop.
    pub message: RString,
}

impl AbiError {
    /// An error with a code of this module.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into().into() }
    }

    /// An error that says no more than its message.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    /// The answer of a default method body.
    pub fn unsupported(method: &str) -> Self {
        Self::new(UNSUPPORTED, format!("the other side has no `{method}`"))
    }

    /// Whether the other side's code panicked.
    pub fn is_panic(&self) -> bool {
        self.code == PANICKED
    }
}

impl std::fmt::Display for AbiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AbiError {}
