//! Reading JSON objects: the text is parsed once into names and raw values that borrow from it, then each field is taken by its name and
//! type. What is wrong is collected, so that one answer names all of it.
//!
//! The functions that read are the description too: run over [`Fields`] that only describe, they say which fields there are. So a field that
//! is read is described, and one that is described is read.

use std::borrow::Cow;

use schemars::Schema;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::description::ObjectSchema;
use crate::error::ApiError;
use crate::fault::{Bad, Faults, Place};
use crate::object::{self, FIELDS_MAX, Members};
use crate::readers::Reader;

/// A JSON value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a, 'p> {
    raw: &'a RawValue,
    place: Place<'p>,
}

impl<'a, 'p> Value<'a, 'p> {
    pub(crate) const fn new(raw: &'a RawValue, place: Place<'p>) -> Self {
        Self { raw, place }
    }

    /// As it was written.
    pub(crate) fn raw(&self) -> &'a str {
        self.raw.get()
    }

    /// Where it stands.
    pub(crate) const fn place(&self) -> Place<'p> {
        self.place
    }
}

/// The fields of one object.
pub(crate) struct Fields<'a, 'p, 'f> {
    place: Place<'p>,
    members: SmallVec<[(Cow<'a, str>, Option<&'a RawValue>); 6]>,
    faults: &'f mut Faults,
    /// Set where there is no object and its fields are only described.
    described: Option<&'f mut ObjectSchema>,
}

/// Reads the body of a request as an object of known fields.
///
/// # Errors
/// At once where it is no object at all; else `faults` has what is wrong, and the value is `None` where it could not be read.
pub(crate) fn read_body<'a, T>(
    body: &'a [u8],
    faults: &mut Faults,
    read: impl FnOnce(&mut Fields<'a, '_, '_>) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| ApiError::not_utf8(error.valid_up_to()))?;
    let members = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(error) => {
            if let Some(malformed) = object::malformed(text, error) {
                return Err(ApiError::malformed_json(&malformed));
            }
            faults.add(&Place::Body, Bad::new("wrong_type", "must be an object"));
            return Ok(None);
        }
    };
    Ok(read_members(members, Place::Body, faults, read))
}

/// Reads the body of a request for which no body means an empty object.
///
/// # Errors
/// As those of `read_body`.
pub(crate) fn read_optional_body<'a, T>(
    body: &'a [u8],
    faults: &mut Faults,
    read: impl FnOnce(&mut Fields<'a, '_, '_>) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    read_body(if body.is_empty() { b"{}" } else { body }, faults, read)
}

/// Reads the members of an object.
pub(crate) fn read_members<'a, T>(
    members: Members<'a>,
    place: Place<'_>,
    faults: &mut Faults,
    read: impl FnOnce(&mut Fields<'a, '_, '_>) -> Option<T>,
) -> Option<T> {
    if members.count > FIELDS_MAX {
        let detail = format!("has {} fields, at most {FIELDS_MAX} are read", members.count);
        faults.add(&place, Bad::new("too_many_fields", detail));
    }
    let members = members.kept.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let mut fields = Fields {
        place,
        members,
        faults,
        described: None,
    };
    let read = read(&mut fields);
    fields.finish();
    read
}

/// What this function reads, field by field.
pub(crate) fn describe_fields<'a, T>(read: impl FnOnce(&mut Fields<'a, '_, '_>) -> Option<T>) -> Schema {
    let (mut faults, mut described) = (Faults::default(), ObjectSchema::default());
    // There is no value to read: it says only which it would.
    drop(read(&mut Fields {
        place: Place::Body,
        members: SmallVec::new(),
        faults: &mut faults,
        described: Some(&mut described),
    }));
    described.into_schema()
}

impl<'a> Fields<'a, '_, '_> {
    /// A field that must be there; `what` says what it is for.
    pub(crate) fn required<R: Reader<'a>>(&mut self, name: &'static str, reader: R, what: &'static str) -> Option<R::Out> {
        if let Some(described) = &mut self.described {
            described.required(name, reader.schema(), what);
            return None;
        }
        match self.take(name) {
            Some(raw) => self.read(name, raw, &reader),
            None => {
                self.fault(name, Bad::new("missing_field", "is required"));
                None
            }
        }
    }

    /// A field that may be left out, but not be null.
    pub(crate) fn optional<R: Reader<'a>>(&mut self, name: &'static str, reader: R, what: &'static str) -> Option<R::Out> {
        if let Some(described) = &mut self.described {
            described.optional(name, reader.schema(), what);
            return None;
        }
        let raw = self.take(name)?;
        self.read(name, raw, &reader)
    }

    /// A field that may be left out (`None`) or be null (`Some(None)`).
    pub(crate) fn nullable<R: Reader<'a>>(&mut self, name: &'static str, reader: R, what: &'static str) -> Option<Option<R::Out>> {
        if let Some(described) = &mut self.described {
            described.nullable(name, reader.schema(), what);
            return None;
        }
        let raw = self.take(name)?;
        if raw.get() == "null" {
            return Some(None);
        }
        self.read(name, raw, &reader).map(Some)
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let mut found = self.members.iter_mut().filter(|(key, _)| key == name);
        let taken = found.next().and_then(|(_, raw)| raw.take());
        let is_repeated = found.fold(false, |_, (_, raw)| raw.take().is_some());
        if is_repeated {
            self.fault(name, Bad::new("duplicate_field", "is there more than once"));
        }
        taken
    }

    fn read<R: Reader<'a>>(&mut self, name: &str, raw: &'a RawValue, reader: &R) -> Option<R::Out> {
        let place = Place::Field(&self.place, name);
        if raw.get() == "null" {
            self.faults.add(&place, Bad::new("null_not_allowed", "must not be null"));
            return None;
        }
        reader.read(Value::new(raw, place), self.faults)
    }

    fn fault(&mut self, name: &str, bad: Bad) {
        self.faults.add(&Place::Field(&self.place, name), bad);
    }

    /// What nobody has taken is unknown.
    fn finish(self) {
        let Self {
            place, members, faults, ..
        } = self;
        for (name, _) in members.iter().filter(|(_, raw)| raw.is_some()) {
            let known = "is not a field that this route reads";
            faults.add(&Place::Field(&place, name), Bad::new("unknown_field", known));
        }
    }
}
