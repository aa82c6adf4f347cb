//! Schemas in words.

use serde_json::Value;

/// Most words of an enumeration that are listed.
const WORDS_MAX: usize = 12;

/// What a value of this schema is: `string or null, 1 to 255 characters`.
pub(crate) fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return format!("[{name}](#resource-{name})");
    }
    if let Some(Value::Array(options)) = schema.get("anyOf") {
        return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let mut kind = types(schema);
    if kind == "list" {
        kind = schema.get("items").map_or(kind, |item| format!("list of {}", self::kind(item)));
    }
    // A longer list is told elsewhere.
    if let Some(Value::Array(words)) = schema
        .get("enum")
        .filter(|words| words.as_array().is_some_and(|words| words.len() <= WORDS_MAX))
    {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        kind = format!("{kind}: {}", words.join(", "));
    }
    match limits(schema) {
        Some(limits) => format!("{kind}, {limits}"),
        None => kind,
    }
}

/// The name of the component that a schema refers to.
pub(crate) fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

fn types(schema: &Value) -> String {
    let word = |name: &str| match (name, schema.get("format").and_then(Value::as_str)) {
        ("string", Some("date-time")) => "timestamp".to_owned(),
        ("string", Some("uri")) => "url".to_owned(),
        ("integer", _) => "whole number".to_owned(),
        ("array", _) => "list".to_owned(),
        (name, _) => name.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => word(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn limits(schema: &Value) -> Option<String> {
    let number = |key: &str| schema.get(key).and_then(Value::as_u64);
    let pairs = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ];
    pairs.into_iter().find_map(|(min, max, unit)| match (number(min), number(max)) {
        (Some(min), Some(max)) if min < max => Some(format!("{min} to {max}{unit}")),
        (None, Some(max)) => Some(format!("at most {max}{unit}")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::kind;
    use serde_json::json;

    #[test]
    fn schemas_are_said_as_people_say_them() {
        let cases = [
            (
                json!({"type": "string", "minLength": 1, "maxLength": 255}),
                "string, 1 to 255 characters",
            ),
            (json!({"type": ["string", "null"], "format": "date-time"}), "timestamp or null"),
            (json!({"type": "string", "enum": ["a", "b"]}), "string: `a`, `b`"),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/Key"}, "maxItems": 9}),
                "list of [Key](#resource-Key), at most 9 items",
            ),
            (
                json!({"anyOf": [{"$ref": "#/components/schemas/Key"}, {"type": "null"}]}),
                "[Key](#resource-Key) or null",
            ),
            (json!({"type": "integer", "minimum": 0}), "whole number"),
        ];
        for (schema, words) in cases {
            assert_eq!(kind(&schema), words, "{schema}");
        }
    }
}
