//! An event as it is shown: the bytes that are stored, signed and sent are those that are answered, so no struct renders it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::description::schema::{self, field};
use crate::rules::{Name, ResourcePart, Rule as _};

/// The shape of an event.
pub(crate) enum EventJson {}

impl JsonSchema for EventJson {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = schema::with_description;
        json_schema!({
            "type": "object",
            "description": "Something that happened in an account. What is delivered is this, byte for byte.",
            "properties": {
                "id": described(field::event_id(generator), "Made here, or the caller's own."),
                "name": described(Name.schema(), "What happened."),
                "resource": {
                    "type": "object",
                    "description": "What it happened to.",
                    "properties": {
                        "id": described(ResourcePart("o-1001").schema(), "The platform's id of it."),
                        "resource_type": described(ResourcePart("order").schema(), "What kind of thing it is."),
                    },
                    "required": ["id", "resource_type"],
                },
                "data": { "type": "object", "description": "What the producer says of it, as it was written.", "examples": [{ "total": 12 }] },
                "created_at": described(schema::moment(), "When it was taken in."),
            },
            "required": ["id", "name", "resource", "data", "created_at"],
        })
    }
}

/// The shape of the events of a batch.
pub(crate) enum EventsJson {}

impl JsonSchema for EventsJson {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "events": {
                    "type": "array",
                    "description": "In the order in which they were given.",
                    "items": generator.subschema_for::<EventJson>(),
                },
            },
            "required": ["events"],
        })
    }
}
