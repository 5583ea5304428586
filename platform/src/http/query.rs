//! The query string of a route of the core.

use std::{fmt::Display, str::FromStr};

use actix_web::{HttpRequest, web::Query};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The query as `T`, whose fields are texts: [`value`] reads what they mean.
///
/// # Errors
///
/// 422 where a field is there twice.
pub(super) fn of<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    let query = Query::<T>::from_query(request.query_string());
    query.map(Query::into_inner).map_err(|error| ApiError::invalid("query", error.to_string()))
}

/// One field of it.
///
/// # Errors
///
/// 422, with what it must be.
pub(super) fn value<T: FromStr>(
    field: &str,
    text: Option<&String>,
    must_be: impl Display,
) -> Result<Option<T>, ApiError> {
    let bad = |_| ApiError::invalid(field, format!("must be {must_be}"));
    text.map(|it| it.parse().map_err(bad)).transpose()
}
