//! Values of any type in a column of JSON.

use std::ops::{Deref, DerefMut};

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Jsonb,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Unkept, backend::HostBackend, rows::HostValue};

/// A `T` kept as JSON in a `Jsonb` column; for clients it is the `T` itself.
#[derive(
    AsExpression,
    FromSqlRow,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[diesel(sql_type = Jsonb)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct AsJson<T: 'static>(pub T);

impl<T> Deref for AsJson<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for AsJson<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: DeserializeOwned> FromSql<Jsonb, HostBackend> for AsJson<T> {
    fn from_sql(value: HostValue<'_>) -> deserialize::Result<Self> {
        let json: serde_json::Value = FromSql::<Jsonb, HostBackend>::from_sql(value)?;
        Ok(Self(serde_json::from_value(json)?))
    }
}

impl<T: Serialize + std::fmt::Debug> ToSql<Jsonb, HostBackend> for AsJson<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, HostBackend>) -> serialize::Result {
        let text = serde_json::to_string(&self.0)?;
        Unkept::check_json_text(&text)?;
        out.set_value(text);
        Ok(IsNull::No)
    }
}
