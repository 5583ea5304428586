//! Ids as people see them: `camp_01985c0e2f4b7c2aa1f0c0de5eed0001`.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    serialize::{self, Output, ToSql},
    sql_types,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::db::{HostBackend, HostValue};

/// Something whose ids carry a prefix.
pub trait Identified: 'static {
    /// What stands before the underscore: `camp`.
    const PREFIX: &'static str;
}

/// The id of a `T`: a `UUIDv7` in the database, `<prefix>_<32 hex digits>` for clients.
///
/// The id of something else is none: in a path it finds no row, in a body it is not valid.
#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = sql_types::Uuid)]
pub struct Id<T: 'static>(Uuid, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// A new id, larger than those made before it.
    #[expect(clippy::new_without_default, reason = "each call answers another id")]
    pub fn new() -> Self {
        Uuid::now_v7().into()
    }

    /// The id without its prefix.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl<T> From<Uuid> for Id<T> {
    fn from(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<T: Identified> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", T::PREFIX, self.0.simple())
    }
}

/// A text is no id of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId {
    prefix: &'static str,
}

impl fmt::Display for NoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be an id such as {}_{}", self.prefix, Uuid::nil().simple())
    }
}

impl std::error::Error for NoId {}

impl<T: Identified> FromStr for Id<T> {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let digits = text.strip_prefix(T::PREFIX).and_then(|it| it.strip_prefix('_'));
        digits
            .filter(|it| it.len() == 32)
            .and_then(|it| Uuid::try_parse(it).ok())
            .map(Self::from)
            .ok_or(NoId { prefix: T::PREFIX })
    }
}

impl<T: Identified> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Identified> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl<T: Identified> JsonSchema for Id<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}_id", T::PREFIX).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": format!("^{}_[0-9a-f]{{32}}$", T::PREFIX) })
    }
}

impl<T> FromSql<sql_types::Uuid, HostBackend> for Id<T> {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        FromSql::<sql_types::Uuid, HostBackend>::from_sql(value).map(|it: Uuid| it.into())
    }
}

impl<T> ToSql<sql_types::Uuid, HostBackend> for Id<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, HostBackend>) -> serialize::Result {
        ToSql::<sql_types::Uuid, HostBackend>::to_sql(&self.0, out)
    }
}

// By hand, since a derive would ask all of it of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> hash::Hash for Id<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shoe;

    impl Identified for Shoe {
        const PREFIX: &'static str = "shoe";
    }

    #[track_caller]
    fn check(text: &str, holds: bool) {
        assert_eq!(text.parse::<Id<Shoe>>().is_ok(), holds, "{text}");
    }

    #[test]
    fn only_its_own_text_is_an_id() {
        check("shoe_01985c0e2f4b7c2aa1f0c0de5eed0001", true);
        check("sock_01985c0e2f4b7c2aa1f0c0de5eed0001", false);
        check("01985c0e-2f4b-7c2a-a1f0-c0de5eed0001", false);
        check("shoe_01985c0e-2f4b-7c2a-a1f0-c0de5eed0001", false);
        check("shoe_01985c0e2f4b7c2aa1f0c0de5eed000", false);
        check("shoe01985c0e2f4b7c2aa1f0c0de5eed0001", false);
        check("shoe_", false);
        check("", false);
    }

    #[test]
    fn a_shown_id_reads_back() {
        let id = Id::<Shoe>::new();
        assert_eq!(serde_json::from_value::<Id<Shoe>>(serde_json::json!(id)).unwrap(), id);
    }
}
