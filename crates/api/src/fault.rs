//! What is wrong with the parameters of one request: all of it, not only the first.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;
use crate::error::ApiError;

/// Most faults that one answer names: a body of 16 MiB could have millions.
pub(crate) const FAULTS_MAX: usize = 1_000;
/// Most characters of a caller's own field name that an answer repeats.
const NAME_CHARS_SHOWN: usize = 100;

/// One parameter that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WrongParameter")]
pub(crate) struct Fault {
    /// Where it stands: `body.url`, `query.limit`, `header.api-version`.
    pub(crate) path: String,
    /// Why, for people.
    pub(crate) detail: Cow<'static, str>,
    /// Why, for programs.
    #[schemars(schema_with = "field::param_code")]
    pub(crate) code: &'static str,
}

/// Why a value is refused, without the place where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// For programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) detail: Cow<'static, str>,
}

impl Bad {
    pub(crate) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// The faults of one request, at most [`FAULTS_MAX`] of them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    named: Vec<Fault>,
    left_out: usize,
}

impl Faults {
    /// Adds one.
    pub(crate) fn add(&mut self, place: &dyn fmt::Display, bad: Bad) {
        if self.named.len() >= FAULTS_MAX {
            self.left_out += 1;
            return;
        }
        self.named.push(Fault {
            path: place.to_string(),
            detail: bad.detail,
            code: bad.code,
        });
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The value that was read, if nothing is wrong.
    ///
    /// # Errors
    /// The answer that names all that is.
    pub(crate) fn settle<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(ApiError::invalid(self.named, self.left_out)),
        }
    }
}

/// A place in the body, written out only where something is wrong with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'p> {
    /// The whole body.
    Body,
    /// A field of an object.
    Field(&'p Self, &'p str),
    /// An item of a list.
    Item(&'p Self, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => out.write_str("body"),
            Self::Field(object, name) => write!(out, "{object}.{name:.NAME_CHARS_SHOWN$}"),
            Self::Item(list, index) => write!(out, "{list}[{index}]"),
        }
    }
}

/// A parameter of the query string.
pub(crate) struct InQuery<'p>(pub(crate) &'p str);

impl fmt::Display for InQuery<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "query.{:.NAME_CHARS_SHOWN$}", self.0)
    }
}
