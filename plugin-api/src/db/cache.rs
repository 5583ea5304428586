//! Texts of queries whose type decides them.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use super::backend::Dialect;

/// A query's text, kept because every query of its type has it.
///
/// There are as many as a library has query types, so that nothing needs to be dropped.
static TEXTS: LazyLock<RwLock<Texts>> = LazyLock::new(RwLock::default);

type Texts = HashMap<(TypeId, Dialect), Arc<str>>;

pub(super) fn get(query: TypeId, dialect: Dialect) -> Option<Arc<str>> {
    let texts = TEXTS.read().unwrap_or_else(PoisonError::into_inner);
    texts.get(&(query, dialect)).cloned()
}

pub(super) fn put(query: TypeId, dialect: Dialect, text: &Arc<str>) {
    let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
    texts.insert((query, dialect), Arc::clone(text));
}
