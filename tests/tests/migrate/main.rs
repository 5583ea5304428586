//! Migrations through the built platform and a built library, on both databases: planned, run once by whoever comes
//! first, gone back, purged, refused in words that say the way out, and whole whenever the process is killed.

mod crash;
mod life;
mod place;
mod refusals;
