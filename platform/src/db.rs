//! The database: two engines, and each caller confined to its own tables.
//!
//! Data flows settings → engine → executor (whose turn it is) → driver (SQLite or
//! PostgreSQL) → a connection that is lent to a job. A job comes from an extension
//! or from the core, and sees the tables of its [`Principal`] alone.

pub mod copy;
mod engine;
pub mod epoch;
mod health;
mod holder;
pub mod inspect;
mod job;
mod owners;
mod postgres;
mod principal;
pub mod rescue;
mod rows;
pub mod schema;
mod session;
mod settings;
mod sql;
mod sqlite;
mod within;

pub use self::{
    engine::{DbOpenError, Engine},
    health::{Fault, Health},
    postgres::Vault,
    principal::{Principal, table_prefix},
    rows::{MAX_BYTES, MAX_ROWS, TooLarge},
    settings::{Confinement, DatabaseSettings, Durability},
};
pub(crate) use self::{
    postgres::{Channel, Presence},
    principal::REFERABLE,
    session::{Session, refused},
    sql::{Sql, json},
    within::{Function, Twin, Within},
};
