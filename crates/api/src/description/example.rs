//! Examples, made of schemas.

use serde_json::{Map, Value, json};

use super::words::referred;

/// How deep an example goes at most: resources hold resources, but not endlessly.
const DEPTH_MAX: usize = 8;

/// A value that this schema describes: its own example, or one that is made of those of its parts. Of an object all fields are there.
/// `schemas` are those that it may refer to.
pub(crate) fn of(schema: &Value, schemas: &Map<String, Value>) -> Value {
    at(schema, schemas, 0)
}

fn at(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(other) = referred(schema).and_then(|name| schemas.get(name)) {
        return at(other, schemas, depth + 1);
    }
    if let Some(first) = schema.pointer("/anyOf/0") {
        return at(first, schemas, depth + 1);
    }
    let given = ["examples", "enum"].into_iter().find_map(|key| schema.get(key)?.get(0));
    if let Some(given) = given.or_else(|| schema.get("default")) {
        return given.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            let fields: Map<String, Value> = fields.map(|(name, field)| (name.clone(), at(field, schemas, depth + 1))).collect();
            fields.into()
        }
        Some("array") => schema
            .get("items")
            .map(|item| vec![at(item, schemas, depth + 1)])
            .unwrap_or_default()
            .into(),
        Some("boolean") => json!(true),
        Some("integer") => schema.get("maximum").or_else(|| schema.get("minimum")).cloned().unwrap_or(json!(1)),
        _ => json!("text"),
    }
}
