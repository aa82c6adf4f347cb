//! One level of JSON, parsed without copying: the members of an object, the items of a list.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// Most fields of one object that are kept: none that we read has nearly as many.
pub(crate) const FIELDS_MAX: usize = 64;

/// The members of an object, in their order, of which the first [`FIELDS_MAX`] are kept.
pub(crate) struct Members<'a> {
    pub(crate) kept: SmallVec<[(Cow<'a, str>, &'a RawValue); 6]>,
    pub(crate) count: usize,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members {
            kept: SmallVec::new(),
            count: 0,
        };
        while members.count < FIELDS_MAX {
            let Some(Name(name)) = map.next_key()? else { return Ok(members) };
            members.kept.push((name, map.next_value()?));
            members.count += 1;
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            members.count += 1;
        }
        Ok(members)
    }
}

/// A name that borrows from the text unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor).map(Name)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The items of a list, of which the first so many are kept.
pub(crate) struct Items<'a> {
    pub(crate) kept: Vec<&'a RawValue>,
    pub(crate) count: usize,
}

/// Reads a list and keeps its first `kept_max` items.
pub(crate) fn parse_list(text: &str, kept_max: usize) -> Result<Items<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(ItemsVisitor { kept_max })
}

struct ItemsVisitor {
    kept_max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Items {
            kept: Vec::new(),
            count: 0,
        };
        while items.count < self.kept_max {
            let Some(item) = list.next_element()? else { return Ok(items) };
            items.kept.push(item);
            items.count += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            items.count += 1;
        }
        Ok(items)
    }
}

/// What makes a text no JSON, given why it could not be read as an object; `None` where it is JSON of another kind.
pub(crate) fn malformed(text: &str, error: serde_json::Error) -> Option<serde_json::Error> {
    if text.trim_start().starts_with('{') {
        return Some(error);
    }
    serde_json::from_str::<IgnoredAny>(text).err()
}
