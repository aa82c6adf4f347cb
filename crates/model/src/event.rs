//! Events: what happened in an account. Immutable, kept as the bytes that go over the wire.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::id::{AccountId, EventId};
use crate::json::same_value;
use crate::name::EventName;
use crate::time::Timestamp;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The platform's id of it.
    pub id: String,
    /// What kind of thing it is.
    pub resource_type: String,
}

/// Something that happened in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id: ours, or the caller's own.
    pub id: EventId,
    /// Whose it is.
    pub account: AccountId,
    /// What happened.
    pub name: EventName,
    /// To what.
    pub resource: Resource,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// The event as JSON, rendered once: what `GET /events/{id}` answers and every attempt sends, byte for byte.
    pub body: Bytes,
}

/// What a caller gives to make an event; `data` is a JSON object as it was written.
#[derive(Clone, Debug)]
pub struct EventDraft<'a> {
    /// What happened.
    pub name: EventName,
    /// To what.
    pub resource: Resource,
    /// The object, as it was written.
    pub data: &'a str,
}

#[derive(Deserialize)]
struct BodyData<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Event {
    /// Makes the event, and renders its body: `id, name, resource, data, created_at`, in this order.
    pub fn new(account: AccountId, id: EventId, draft: EventDraft<'_>, created_at: Timestamp) -> Self {
        let EventDraft { name, resource, data } = draft;
        let mut body = String::with_capacity(data.len() + name.as_str().len() + resource.id.len() + resource.resource_type.len() + 192);
        body.push_str("{\"id\":");
        push_string(&mut body, &id.to_string());
        body.push_str(",\"name\":");
        push_string(&mut body, name.as_str());
        body.push_str(",\"resource\":{\"id\":");
        push_string(&mut body, &resource.id);
        body.push_str(",\"resource_type\":");
        push_string(&mut body, &resource.resource_type);
        body.push_str("},\"data\":");
        body.push_str(data);
        body.push_str(",\"created_at\":");
        push_string(&mut body, &created_at.to_string());
        body.push('}');
        Self {
            id,
            account,
            name,
            resource,
            created_at,
            body: Bytes::from(body),
        }
    }

    /// `data` as it was written. `{}` where the body is not one of ours.
    pub fn data(&self) -> &str {
        serde_json::from_slice::<BodyData<'_>>(&self.body).map_or("{}", |body| body.data.get())
    }

    /// Whether the other says the same: name, resource and data equal as JSON values, numbers as written.
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.name == other.name && self.resource == other.resource && same_value(self.data(), other.data())
    }
}

fn push_string(out: &mut String, text: &str) {
    let plain = text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f);
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string always has a form in JSON.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}
