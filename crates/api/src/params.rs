//! Reading JSON objects: the text is parsed once into names and raw values that borrow from it, then each field is taken by its name and
//! type. What is wrong is collected, so that one answer names all of it.

use std::borrow::Cow;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::error::ApiError;
use crate::fault::{Bad, Faults, Place};
use crate::object::{self, FIELDS_MAX, Members};

/// A JSON value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a, 'p> {
    raw: &'a RawValue,
    place: Place<'p>,
}

impl<'a, 'p> Value<'a, 'p> {
    /// As it was written.
    pub(crate) fn raw(&self) -> &'a str {
        self.raw.get()
    }

    /// Where it stands, for a fault of the whole of it.
    pub(crate) const fn place(&self) -> Place<'p> {
        self.place
    }

    fn is_null(&self) -> bool {
        self.raw() == "null"
    }

    /// What is read of it; where that is refused, the fault is noted.
    fn judge<T>(&self, faults: &mut Faults, judged: Result<T, Bad>) -> Option<T> {
        judged.map_err(|bad| faults.add(&self.place, bad)).ok()
    }

    fn as_text(&self) -> Result<Cow<'a, str>, Bad> {
        let inner = self.raw().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.ok_or_else(|| wrong_type("a string"))?;
        if !inner.contains('\\') {
            return Ok(Cow::Borrowed(inner));
        }
        let unescaped = serde_json::from_str(self.raw()).map(Cow::Owned);
        unescaped.map_err(|_| Bad::new("invalid_string", "holds half of a surrogate pair (\\ud800 to \\udfff)"))
    }
}

fn wrong_type(wanted: &str) -> Bad {
    Bad::new("wrong_type", format!("must be {wanted}"))
}

/// Reads a string that `judge` accepts.
pub(crate) fn text<'a, T>(judge: impl FnOnce(Cow<'a, str>) -> Result<T, Bad>) -> impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T> {
    move |value, faults| value.judge(faults, value.as_text().and_then(judge))
}

/// Reads true or false.
pub(crate) fn boolean(value: Value<'_, '_>, faults: &mut Faults) -> Option<bool> {
    let judged = match value.raw() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong_type("true or false")),
    };
    value.judge(faults, judged)
}

/// Reads a whole number from 0 to `max`.
pub(crate) fn whole_number(max: u64) -> impl FnOnce(Value<'_, '_>, &mut Faults) -> Option<u64> {
    move |value, faults| {
        let is_number = value.raw().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let judged = match value.raw().parse::<u64>() {
            Ok(number) if number <= max => Ok(number),
            _ if is_number => Err(Bad::new("out_of_range", format!("must be a whole number from 0 to {max}"))),
            _ => Err(wrong_type("a number")),
        };
        value.judge(faults, judged)
    }
}

/// Reads an object as it was written, of at most `bytes_max` bytes.
pub(crate) fn raw_object<'a>(bytes_max: usize) -> impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<&'a str> {
    move |value, faults| {
        let judged = match value.raw() {
            raw if !raw.starts_with('{') => Err(wrong_type("an object")),
            raw if raw.len() > bytes_max => {
                let detail = format!("has {} bytes, at most {bytes_max} are allowed", raw.len());
                Err(Bad::new("too_large", detail))
            }
            raw => Ok(raw),
        };
        value.judge(faults, judged)
    }
}

/// Reads an object of known fields.
pub(crate) fn object<'a, T>(
    read: impl FnOnce(&mut Fields<'a, '_, '_>) -> Option<T>,
) -> impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T> {
    move |value, faults| {
        let members = serde_json::from_str(value.raw()).map_err(|_| wrong_type("an object"));
        let members = value.judge(faults, members)?;
        read_members(members, value.place, faults, read)
    }
}

/// Reads a list of at most `items_max` items, each with `read`.
pub(crate) fn list<'a, T>(
    items_max: usize,
    mut read: impl FnMut(Value<'a, '_>, &mut Faults) -> Option<T>,
) -> impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<Vec<T>> {
    move |value, faults| {
        let items = object::parse_list(value.raw(), items_max).map_err(|_| wrong_type("a list"));
        let items = value.judge(faults, items)?;
        if items.count > items_max {
            let detail = format!("has {} items, at most {items_max} are allowed", items.count);
            faults.add(&value.place, Bad::new("too_many_items", detail));
        }
        let mut values = Vec::with_capacity(items.kept.len());
        // All are read, also behind one that is wrong: each is to be named.
        for (index, raw) in items.kept.into_iter().enumerate() {
            let place = Place::Item(&value.place, index);
            values.extend(read(Value { raw, place }, faults));
        }
        Some(values)
    }
}

/// Reads a list of strings, each accepted by `judge`.
pub(crate) fn texts<'a, T>(
    items_max: usize,
    judge: impl Fn(&str) -> Result<T, Bad>,
) -> impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<Vec<T>> {
    list(items_max, move |value: Value<'a, '_>, faults| {
        value.judge(faults, value.as_text().and_then(|text| judge(&text)))
    })
}

/// The fields of one object.
pub(crate) struct Fields<'a, 'p, 'f> {
    place: Place<'p>,
    members: SmallVec<[(Cow<'a, str>, Option<&'a RawValue>); 6]>,
    faults: &'f mut Faults,
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
            faults.add(&Place::Body, wrong_type("an object"));
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

fn read_members<'a, T>(
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
    let mut fields = Fields { place, members, faults };
    let read = read(&mut fields);
    fields.finish();
    read
}

impl<'a> Fields<'a, '_, '_> {
    /// A field that must be there.
    pub(crate) fn required<T>(&mut self, name: &'static str, read: impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T>) -> Option<T> {
        match self.take(name) {
            Some(raw) => self.read(name, raw, read),
            None => {
                self.fault(name, Bad::new("missing_field", "is required"));
                None
            }
        }
    }

    /// A field that may be left out, but not be null.
    pub(crate) fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T>) -> Option<T> {
        let raw = self.take(name)?;
        self.read(name, raw, read)
    }

    /// A field that may be left out (`None`) or be null (`Some(None)`).
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T>,
    ) -> Option<Option<T>> {
        let raw = self.take(name)?;
        if raw.get() == "null" {
            return Some(None);
        }
        self.read(name, raw, read).map(Some)
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

    fn read<T>(&mut self, name: &str, raw: &'a RawValue, read: impl FnOnce(Value<'a, '_>, &mut Faults) -> Option<T>) -> Option<T> {
        let place = Place::Field(&self.place, name);
        let value = Value { raw, place };
        if value.is_null() {
            self.faults.add(&place, Bad::new("null_not_allowed", "must not be null"));
            return None;
        }
        read(value, self.faults)
    }

    fn fault(&mut self, name: &str, bad: Bad) {
        self.faults.add(&Place::Field(&self.place, name), bad);
    }

    /// What nobody has taken is unknown.
    fn finish(self) {
        let Self { place, members, faults } = self;
        for (name, _) in members.iter().filter(|(_, raw)| raw.is_some()) {
            let known = "is not a field that this route reads";
            faults.add(&Place::Field(&place, name), Bad::new("unknown_field", known));
        }
    }
}
