//! Parameters of statements: each knows its type in PostgreSQL, so that a statement needs no round trip to learn them.

use bytes::BytesMut;
use postgres_types::{IsNull, ToSql, Type};
use uuid::Uuid;

/// A value that a statement is given.
pub(crate) trait Param: ToSql + Sync {
    /// Its type in PostgreSQL.
    fn sql_type(&self) -> Type;
}

/// A Rust type that stands for one type of PostgreSQL, and for an array of it.
pub(crate) trait Scalar: ToSql + Sync {
    const ONE: Type;
    const ARRAY: Type;
}

impl<T: Scalar> Param for T {
    fn sql_type(&self) -> Type {
        T::ONE
    }
}

impl Scalar for bool {
    const ONE: Type = Type::BOOL;
    const ARRAY: Type = Type::BOOL_ARRAY;
}

impl Scalar for i16 {
    const ONE: Type = Type::INT2;
    const ARRAY: Type = Type::INT2_ARRAY;
}

impl Scalar for i32 {
    const ONE: Type = Type::INT4;
    const ARRAY: Type = Type::INT4_ARRAY;
}

impl Scalar for i64 {
    const ONE: Type = Type::INT8;
    const ARRAY: Type = Type::INT8_ARRAY;
}

impl Scalar for Uuid {
    const ONE: Type = Type::UUID;
    const ARRAY: Type = Type::UUID_ARRAY;
}

impl Scalar for String {
    const ONE: Type = Type::TEXT;
    const ARRAY: Type = Type::TEXT_ARRAY;
}

impl Scalar for &str {
    const ONE: Type = Type::TEXT;
    const ARRAY: Type = Type::TEXT_ARRAY;
}

impl Scalar for Vec<u8> {
    const ONE: Type = Type::BYTEA;
    const ARRAY: Type = Type::BYTEA_ARRAY;
}

impl Scalar for Blob<'_> {
    const ONE: Type = Type::BYTEA;
    const ARRAY: Type = Type::BYTEA_ARRAY;
}

/// Bytes that are borrowed: written without a copy of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blob<'a>(pub(crate) &'a [u8]);

impl ToSql for Blob<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::BYTEA
    }

    postgres_types::to_sql_checked!();
}

impl<T: Scalar> Param for Option<T> {
    fn sql_type(&self) -> Type {
        T::ONE
    }
}

/// An array of values.
#[derive(Debug)]
pub(crate) struct Array<T>(pub(crate) Vec<T>);

impl<T: Scalar> Param for Array<T>
where
    Self: ToSql,
{
    fn sql_type(&self) -> Type {
        T::ARRAY
    }
}

/// An array of values that may be NULL.
#[derive(Debug)]
pub(crate) struct Nullable<T>(pub(crate) Vec<Option<T>>);

impl<T: Scalar> Param for Nullable<T> {
    fn sql_type(&self) -> Type {
        T::ARRAY
    }
}

impl<T: Scalar + std::fmt::Debug> ToSql for Array<T> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.as_slice().to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        *of == T::ARRAY
    }

    postgres_types::to_sql_checked!();
}

impl<T: Scalar + std::fmt::Debug> ToSql for Nullable<T> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.as_slice().to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        *of == T::ARRAY
    }

    postgres_types::to_sql_checked!();
}

impl<T> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl<T> FromIterator<Option<T>> for Nullable<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Values as a prepared statement takes them.
pub(crate) fn values<'a>(params: &[&'a dyn Param]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}

/// Values and what they are in SQL, for a statement that is sent whole.
pub(crate) fn typed<'a>(params: &[&'a dyn Param]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values(params)
        .into_iter()
        .zip(params.iter().map(|param| param.sql_type()))
        .collect()
}
