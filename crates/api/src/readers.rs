//! Readers of JSON values, by type. What a reader lets pass and what its schema says are written side by side.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use schemars::{Schema, json_schema};

use crate::fault::{Bad, Faults, Place};
use crate::object;
use crate::params::{Fields, Value, describe_fields, read_members};
use crate::rules::Rule;

/// Reads one JSON value, and describes what it may be.
pub(crate) trait Reader<'a> {
    /// What becomes of a value.
    type Out;

    /// What is read; where that is refused, the fault is noted.
    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<Self::Out>;

    /// What `read` lets pass.
    fn schema(&self) -> Schema;
}

fn wrong_type(wanted: &str) -> Bad {
    Bad::new("wrong_type", format!("must be {wanted}"))
}

/// What is read of a value; where that is refused, the fault is noted.
fn judge<T>(value: &Value<'_, '_>, faults: &mut Faults, judged: Result<T, Bad>) -> Option<T> {
    judged.map_err(|bad| faults.add(&value.place(), bad)).ok()
}

/// Reads a string that keeps to a rule.
pub(crate) struct Text<R>(R);

/// Reads a string that keeps to this rule.
pub(crate) const fn text<R: Rule>(rule: R) -> Text<R> {
    Text(rule)
}

fn as_text<'a>(raw: &'a str) -> Result<Cow<'a, str>, Bad> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or_else(|| wrong_type("a string"))?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let unescaped = serde_json::from_str(raw).map(Cow::Owned);
    unescaped.map_err(|_| Bad::new("invalid_string", "holds half of a surrogate pair (\\ud800 to \\udfff)"))
}

impl<'a, R: Rule> Reader<'a> for Text<R> {
    type Out = R::Out;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<R::Out> {
        judge(&value, faults, as_text(value.raw()).and_then(|text| self.0.judge(&text)))
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }
}

/// Reads true or false.
pub(crate) struct Boolean;

impl<'a> Reader<'a> for Boolean {
    type Out = bool;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<bool> {
        let judged = match value.raw() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(wrong_type("true or false")),
        };
        judge(&value, faults, judged)
    }

    fn schema(&self) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// The whole number that a text of JSON stands for. JSON knows one kind of numbers: `60`, `60.0` and `6e1` are the same.
fn whole(raw: &str) -> Option<u64> {
    /// Above it not every whole number is one of those that a float can be.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    raw.parse().ok().or_else(|| {
        let number: f64 = raw.parse().ok()?;
        (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number)).then_some(number as u64)
    })
}

/// Reads a whole number from 0 to this.
pub(crate) struct WholeNumber(pub(crate) u64);

impl<'a> Reader<'a> for WholeNumber {
    type Out = u64;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<u64> {
        let is_number = value.raw().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let judged = match whole(value.raw()) {
            Some(number) if number <= self.0 => Ok(number),
            _ if is_number => Err(Bad::new("out_of_range", format!("must be a whole number from 0 to {}", self.0))),
            _ => Err(wrong_type("a number")),
        };
        judge(&value, faults, judged)
    }

    fn schema(&self) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": self.0 })
    }
}

/// Reads an object as it was written, of at most so many bytes.
pub(crate) struct RawObject(pub(crate) usize);

impl<'a> Reader<'a> for RawObject {
    type Out = &'a str;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<&'a str> {
        let judged = match value.raw() {
            raw if !raw.starts_with('{') => Err(wrong_type("an object")),
            raw if raw.len() > self.0 => {
                let detail = format!("has {} bytes, at most {} are allowed", raw.len(), self.0);
                Err(Bad::new("too_large", detail))
            }
            raw => Ok(raw),
        };
        judge(&value, faults, judged)
    }

    fn schema(&self) -> Schema {
        json_schema!({ "type": "object", "examples": [{ "total": 12 }] })
    }
}

/// Reads an object of known fields.
pub(crate) struct Object<F>(F);

/// Reads an object of known fields with this function.
pub(crate) fn object<'a, T, F>(read: F) -> Object<F>
where
    F: Fn(&mut Fields<'a, '_, '_>) -> Option<T>,
{
    Object(read)
}

impl<'a, T, F> Reader<'a> for Object<F>
where
    F: Fn(&mut Fields<'a, '_, '_>) -> Option<T>,
{
    type Out = T;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<T> {
        let members = serde_json::from_str(value.raw()).map_err(|_| wrong_type("an object"));
        let members = judge(&value, faults, members)?;
        read_members(members, value.place(), faults, &self.0)
    }

    fn schema(&self) -> Schema {
        describe_fields(&self.0)
    }
}

/// Reads a list of so many items, each with a reader.
pub(crate) struct List<R> {
    items: RangeInclusive<usize>,
    item: R,
}

/// Reads a list of so many items, each with this reader.
pub(crate) const fn list<R>(items: RangeInclusive<usize>, item: R) -> List<R> {
    List { items, item }
}

/// Reads a list of so many strings that keep to this rule.
pub(crate) const fn texts<R: Rule>(items: RangeInclusive<usize>, rule: R) -> List<Text<R>> {
    list(items, text(rule))
}

impl<'a, R: Reader<'a>> Reader<'a> for List<R> {
    type Out = Vec<R::Out>;

    fn read(&self, value: Value<'a, '_>, faults: &mut Faults) -> Option<Vec<R::Out>> {
        let (items_min, items_max) = (*self.items.start(), *self.items.end());
        let items = object::parse_list(value.raw(), items_max).map_err(|_| wrong_type("a list"));
        let items = judge(&value, faults, items)?;
        if items.count > items_max {
            let detail = format!("has {} items, at most {items_max} are allowed", items.count);
            faults.add(&value.place(), Bad::new("too_many_items", detail));
        }
        if items.count < items_min {
            faults.add(
                &value.place(),
                Bad::new("too_short", format!("must have at least {items_min} item")),
            );
        }
        let mut values = Vec::with_capacity(items.kept.len());
        let list = value.place();
        // All are read, also behind one that is wrong: each is to be named.
        for (index, raw) in items.kept.into_iter().enumerate() {
            let place = Place::Item(&list, index);
            values.extend(self.item.read(Value::new(raw, place), faults));
        }
        Some(values)
    }

    fn schema(&self) -> Schema {
        let (items_min, items_max) = (self.items.start(), self.items.end());
        json_schema!({ "type": "array", "items": self.item.schema(), "minItems": items_min, "maxItems": items_max })
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_whole_number_may_be_written_in_any_way() {
        for (raw, number) in [
            ("60", 60),
            ("60.0", 60),
            ("6e1", 60),
            ("6.0E+1", 60),
            ("0", 0),
            ("-0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(whole(raw), Some(number), "{raw}");
        }
        for raw in ["-1", "0.5", "1e400", "18446744073709551616", "\"60\"", "true"] {
            assert_eq!(whole(raw), None, "{raw}");
        }
    }
}
