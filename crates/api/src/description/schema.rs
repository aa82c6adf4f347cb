//! Pieces of JSON Schema 2020-12, which is what OpenAPI 3.1 describes values with.

use postrider_model::attempt::ErrorKind;
use postrider_model::delivery::FailedReason;
use postrider_model::id::ID_CHARS_MAX;
use postrider_model::key::Scope;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::code::Code;
use crate::json::node::NodeStatus;

/// A moment, as examples show it.
pub(crate) const MOMENT_EXAMPLE: &str = "2026-01-15T10:30:00.000Z";
/// What stands behind the prefix of the ids in examples.
const ID_EXAMPLE: &str = "01kf0f8q3e7vk8w2n6s4t1x5z9";

/// A string of so many characters, without U+0000.
pub(crate) fn chars(min: usize, max: usize) -> Schema {
    json_schema!({ "type": "string", "minLength": min, "maxLength": max, "pattern": "^[^\\u0000]*$" })
}

/// One of these strings.
pub(crate) fn one_of(words: impl IntoIterator<Item = &'static str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    json_schema!({ "type": "string", "enum": words })
}

/// A moment of RFC 3339.
pub(crate) fn moment() -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "examples": [MOMENT_EXAMPLE] })
}

/// An id that begins with this.
pub(crate) fn id(prefix: &str) -> Schema {
    let example = format!("{prefix}{ID_EXAMPLE}");
    json_schema!({ "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX, "examples": [example] })
}

/// The same, or null.
pub(crate) fn or_null(mut schema: Schema) -> Schema {
    if let Some(Value::String(kind)) = schema.get("type").cloned() {
        schema.insert("type".to_owned(), json!([kind, "null"]));
        if let Some(Value::Array(words)) = schema.get_mut("enum") {
            words.push(Value::Null);
        }
        return schema;
    }
    json_schema!({ "anyOf": [schema, { "type": "null" }] })
}

/// The schema with an example in it.
pub(crate) fn with_example(mut schema: Schema, example: &str) -> Schema {
    schema.insert("examples".to_owned(), json!([example]));
    schema
}

/// The schema with what it is for.
pub(crate) fn with_description(mut schema: Schema, description: &str) -> Schema {
    schema.insert("description".to_owned(), json!(description));
    schema
}

/// Functions for fields whose types know nothing of schemas: `#[schemars(schema_with = "...")]`.
pub(crate) mod field {
    use super::super::remedies::PARAM_CODES;
    use super::{Code, ErrorKind, FailedReason, NodeStatus, Schema, SchemaGenerator, Scope, json_schema};
    use postrider_model::id::{AccountId, AttemptId, DeliveryId, JobId, KeyId, MadeEventId, NodeId, WebhookId};
    use postrider_model::job::{JobKind, JobStatus};

    pub(crate) fn account_id(_: &mut SchemaGenerator) -> Schema {
        super::id(AccountId::PREFIX)
    }

    pub(crate) fn node_id(_: &mut SchemaGenerator) -> Schema {
        super::id(NodeId::PREFIX)
    }

    pub(crate) fn node_status(_: &mut SchemaGenerator) -> Schema {
        super::one_of(NodeStatus::ALL.map(NodeStatus::as_str))
    }

    pub(crate) fn roles(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": super::one_of(["api", "dispatch"]), "examples": [["api", "dispatch"]] })
    }

    pub(crate) fn key_id(_: &mut SchemaGenerator) -> Schema {
        super::id(KeyId::PREFIX)
    }

    pub(crate) fn webhook_id(_: &mut SchemaGenerator) -> Schema {
        super::id(WebhookId::PREFIX)
    }

    pub(crate) fn webhook_id_or_null(generator: &mut SchemaGenerator) -> Schema {
        super::or_null(webhook_id(generator))
    }

    pub(crate) fn job_id(_: &mut SchemaGenerator) -> Schema {
        super::id(JobId::PREFIX)
    }

    pub(crate) fn job_kind(_: &mut SchemaGenerator) -> Schema {
        super::one_of(JobKind::ALL.map(JobKind::as_str))
    }

    pub(crate) fn job_status(_: &mut SchemaGenerator) -> Schema {
        super::one_of(JobStatus::ALL.map(JobStatus::as_str))
    }

    pub(crate) fn event_id(_: &mut SchemaGenerator) -> Schema {
        super::id(MadeEventId::PREFIX)
    }

    pub(crate) fn delivery_id(_: &mut SchemaGenerator) -> Schema {
        super::id(DeliveryId::PREFIX)
    }

    pub(crate) fn attempt_id(_: &mut SchemaGenerator) -> Schema {
        super::id(AttemptId::PREFIX)
    }

    pub(crate) fn event_id_or_null(generator: &mut SchemaGenerator) -> Schema {
        super::or_null(event_id(generator))
    }

    pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
        super::moment()
    }

    pub(crate) fn moment_or_null(_: &mut SchemaGenerator) -> Schema {
        super::or_null(super::moment())
    }

    /// Milliseconds, whole.
    pub(crate) fn millis(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "examples": [48] })
    }

    pub(crate) fn object_or_null(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "null"] })
    }

    pub(crate) fn headers_or_null(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } })
    }

    pub(crate) fn scopes(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": super::one_of(Scope::ALL.into_iter().map(Scope::as_str)), "uniqueItems": true })
    }

    pub(crate) fn error_type(_: &mut SchemaGenerator) -> Schema {
        super::one_of(ErrorKind::ALL.into_iter().map(ErrorKind::as_str))
    }

    pub(crate) fn failed_reason_or_null(_: &mut SchemaGenerator) -> Schema {
        super::or_null(super::one_of(FailedReason::ALL.into_iter().map(FailedReason::as_str)))
    }

    pub(crate) fn code(_: &mut SchemaGenerator) -> Schema {
        super::one_of(Code::ALL.into_iter().map(Code::as_str))
    }

    pub(crate) fn param_code(_: &mut SchemaGenerator) -> Schema {
        super::one_of(PARAM_CODES.iter().map(|(code, _)| *code))
    }

    pub(crate) fn delivery_status(_: &mut SchemaGenerator) -> Schema {
        super::one_of(crate::json::delivery::STATUSES)
    }

    pub(crate) fn outcome(_: &mut SchemaGenerator) -> Schema {
        super::one_of(["succeeded", "failed"])
    }
}
