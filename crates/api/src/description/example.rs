//! Examples, made of schemas.

use serde_json::{Map, Value, json};

/// A value that this schema describes: its own example, or one that is made of those of its parts. Of an object all fields are there.
pub(crate) fn of(schema: &Value) -> Value {
    let given = ["examples", "enum"].into_iter().find_map(|key| schema.get(key)?.get(0));
    if let Some(given) = given.or_else(|| schema.get("default")) {
        return given.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("object") => fields(schema),
        Some("array") => schema.get("items").map(|item| vec![of(item)]).unwrap_or_default().into(),
        Some("boolean") => json!(true),
        Some("integer") => schema.get("maximum").or_else(|| schema.get("minimum")).cloned().unwrap_or(json!(1)),
        _ => json!("text"),
    }
}

fn fields(schema: &Value) -> Value {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return json!({});
    };
    let fields: Map<String, Value> = properties.iter().map(|(name, schema)| (name.clone(), of(schema))).collect();
    Value::Object(fields)
}
