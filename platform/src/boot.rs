//! boot
pub mod extensions;
