//! Values on their way to the database.

use diesel::{
    query_builder::{BindCollector, MoveableBindCollector},
    result::{Error, QueryResult},
    serialize::{IsNull, Output, ToSql},
    sql_types::HasSqlType,
};
use powernode_abi::Param;

use super::backend::{HostBackend, TypeTag};

/// A value as [`ToSql`] hands it over: `out.set_value(…)` takes whatever becomes one.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HostBind<'a> {
    /// NULL.
    #[default]
    Null,
    /// Numbers, bits of floats, and moments.
    Number(i64),
    /// Text or bytes, borrowed from the query.
    Borrowed(&'a [u8]),
    /// Text or bytes made for the occasion.
    Owned(Vec<u8>),
}

impl HostBind<'_> {
    fn to_owned(&self) -> HostBind<'static> {
        match self {
            Self::Null => HostBind::Null,
            Self::Number(number) => HostBind::Number(*number),
            Self::Borrowed(bytes) => HostBind::Owned(bytes.to_vec()),
            Self::Owned(bytes) => HostBind::Owned(bytes.clone()),
        }
    }
}

impl From<i64> for HostBind<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for HostBind<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for HostBind<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<String> for HostBind<'_> {
    fn from(text: String) -> Self {
        Self::Owned(text.into_bytes())
    }
}

impl From<Vec<u8>> for HostBind<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

/// The values of one query, in the order of its placeholders.
#[derive(Debug, Default)]
pub struct HostBinds<'a> {
    binds: Vec<(TypeTag, HostBind<'a>)>,
}

impl HostBinds<'_> {
    /// The values as the boundary's parameters, borrowed from here.
    pub(crate) fn params(&self) -> Vec<Param<'_>> {
        self.binds
            .iter()
            .map(|(TypeTag(tag), bind)| {
                let (null, num, bytes) = match bind {
                    HostBind::Null => (1, 0, &[][..]),
                    HostBind::Number(number) => (0, *number, &[][..]),
                    HostBind::Borrowed(bytes) => (0, 0, *bytes),
                    HostBind::Owned(bytes) => (0, 0, bytes.as_slice()),
                };
                Param { tag: *tag, null, num, bytes: bytes.into() }
            })
            .collect()
    }
}

impl<'a> BindCollector<'a, HostBackend> for HostBinds<'a> {
    type Buffer = HostBind<'a>;

    fn push_bound_value<T, U>(&mut self, bind: &'a U, lookup: &mut ()) -> QueryResult<()>
    where
        HostBackend: HasSqlType<T>,
        U: ToSql<T, HostBackend> + ?Sized + 'a,
    {
        let mut out = Output::new(HostBind::Null, lookup);
        let null = bind.to_sql(&mut out).map_err(Error::SerializationError)?;
        let value = match null {
            IsNull::No => out.into_inner(),
            IsNull::Yes => HostBind::Null,
        };
        let tag = <HostBackend as HasSqlType<T>>::metadata(lookup);
        self.binds.push((tag, value));
        Ok(())
    }

    fn push_null_value(&mut self, tag: TypeTag) -> QueryResult<()> {
        self.binds.push((tag, HostBind::Null));
        Ok(())
    }
}

/// Values that own what they refer to.
#[derive(Debug)]
pub struct OwnedBinds {
    binds: Vec<(TypeTag, HostBind<'static>)>,
}

impl MoveableBindCollector<HostBackend> for HostBinds<'_> {
    type BindData = OwnedBinds;

    fn moveable(&self) -> OwnedBinds {
        OwnedBinds { binds: self.binds.iter().map(|(tag, bind)| (*tag, bind.to_owned())).collect() }
    }

    fn append_bind_data(&mut self, from: &OwnedBinds) {
        self.binds.extend(from.binds.iter().map(|(tag, bind)| (*tag, bind.clone())));
    }

    fn push_debug_binds<'a, 'b>(
        data: &OwnedBinds,
        out: &'a mut Vec<Box<dyn std::fmt::Debug + 'b>>,
    ) {
        out.extend(data.binds.iter().map(|(_, bind)| Box::new(bind.clone()) as Box<_>));
    }
}
