//! SQL types for [`diesel::table!`]: all that both databases know.
//!
//! A `table!` that names `Uuid`, `Timestamptz` or `Jsonb` brings them in:
//!
//! ```
//! diesel::table! {
//!     use powernode_plugin_api::db::sql_types::*;
//!
//!     shop_orders (id) {
//!         id -> Uuid,
//!         details -> Jsonb,
//!         placed_at -> Timestamptz,
//!         shipped_at -> Nullable<Timestamptz>,
//!     }
//! }
//! ```
//!
//! | type | Rust | SQLite column | PostgreSQL column |
//! |---|---|---|---|
//! | `Bool` | `bool` | `BOOLEAN` | `boolean` |
//! | `SmallInt`, `Integer`, `BigInt` | `i16`, `i32`, `i64` | `INTEGER` | `smallint`, `integer`, `bigint` |
//! | `Float`, `Double` | `f32`, `f64` | `REAL` | `real`, `double precision` |
//! | `Numeric` | `bigdecimal::BigDecimal` | `TEXT` | `numeric` |
//! | `Text` | `String` | `TEXT` | `text` |
//! | `Binary` | `Vec<u8>` | `BLOB` | `bytea` |
//! | `Uuid` | `uuid::Uuid` | `BLOB` | `uuid` |
//! | `Json`, `Jsonb` | `serde_json::Value` | `TEXT` | `json`, `jsonb` |
//! | `Date`, `Time`, `Timestamp` | `chrono::NaiveDate`, `NaiveTime`, `NaiveDateTime` | `TEXT` | `date`, `time`, `timestamp` |
//! | `Timestamptz` | `chrono::DateTime<Utc>` | `TEXT` | `timestamptz` |
//!
//! `Numeric` is exact on PostgreSQL alone: money is a `BigInt` of minor units.

pub use diesel::sql_types::{
    BigInt, Binary, Bool, Date, Double, Float, Integer, Json, Jsonb, Nullable, Numeric, SmallInt,
    Text, Time, Timestamp, Timestamptz, Uuid,
};
