//! The database: two engines, and each caller confined to its own tables.

pub mod schema;
