//! The reference of the API as a page: every route with its parameters, an example and its answers, then the resources.

use serde_json::{Map, Value};

use super::blocks::Block;
use super::failures::is_shared;
use super::words::{kind, referred};
use super::{errors, example};

/// The whole reference, of the OpenAPI document. `server` is what the examples ask.
pub(crate) fn blocks(document: &Value, server: &str) -> Vec<Block> {
    let mut blocks = vec![Block::heading(1, "top", "The HTTP API")];
    blocks.extend(Block::read(text(document, "/info/description")));
    let page = Page {
        schemas: object(document, "/components/schemas"),
        server,
    };
    let paths = object(document, "/paths");
    for tag in document.get("tags").and_then(Value::as_array).into_iter().flatten() {
        let tag = text(tag, "/name");
        blocks.push(Block::heading(2, anchor(tag), tag));
        for (path, methods) in &paths {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if text(operation, "/tags/0") == tag {
                    blocks.extend(page.route(&method.to_ascii_uppercase(), path, operation));
                }
            }
        }
    }
    blocks.push(Block::heading(2, "resources", "Resources"));
    // What is wrong comes behind what there is.
    let (errors, resources): (Vec<_>, Vec<_>) = page
        .schemas
        .iter()
        .partition(|(name, _)| ["Error", "WrongParameter"].contains(&name.as_str()));
    for (name, schema) in resources.into_iter().chain(errors) {
        blocks.extend(page.resource(name, schema));
    }
    blocks
}

/// The text at a place, or nothing.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn object(value: &Value, pointer: &str) -> Map<String, Value> {
    value.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn anchor(text: &str) -> String {
    text.to_lowercase().replace(' ', "-")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

struct Page<'a> {
    schemas: Map<String, Value>,
    server: &'a str,
}

impl Page<'_> {
    fn route(&self, method: &str, path: &str, operation: &Value) -> Vec<Block> {
        let id = text(operation, "/operationId");
        let mut blocks = vec![Block::heading(3, id, text(operation, "/summary"))];
        blocks.push(Block::Text(format!("`{method} {path}` · {}", access(operation))));
        let notes = text(operation, "/description");
        if !notes.is_empty() {
            blocks.push(Block::Text(notes.to_owned()));
        }
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        // What every route reads is said once, at the top.
        let own = parameters.filter(|parameter| parameter.get("in").is_some_and(|place| place != "header"));
        let rows: Vec<Vec<String>> = own.map(parameter).collect();
        if !rows.is_empty() {
            blocks.push(Block::Table(&["parameter", "in", "what it is"], rows));
        }
        let body = operation.pointer("/requestBody/content/application~1json/schema");
        let form = operation.pointer("/requestBody/content/application~1x-www-form-urlencoded/schema");
        if let Some(schema) = body.or(form) {
            let mut rows = Vec::new();
            fields("", schema, &mut rows);
            if !rows.is_empty() {
                blocks.push(Block::Table(&["field", "", "what it is"], rows));
            }
        }
        blocks.push(Block::Code("sh", self.curl(method, path, operation, body)));
        blocks.extend(self.answers(operation));
        blocks
    }

    /// A request to try.
    fn curl(&self, method: &str, path: &str, operation: &Value, body: Option<&Value>) -> String {
        let mut lines = vec![format!(
            "curl {}'{}{}'",
            if method == "GET" { String::new() } else { format!("-X {method} ") },
            self.server,
            path
        )];
        if operation.pointer("/security/0/client").is_some() {
            lines.push("  -u 'KEY_ID:TOKEN'".to_owned());
            lines.push("  -d 'grant_type=client_credentials'".to_owned());
        } else if operation.pointer("/security/0").is_some() {
            lines.push("  -H 'Authorization: Bearer TOKEN'".to_owned());
        }
        if let Some(schema) = body {
            let example = example::of(schema, &self.schemas);
            lines.push("  -H 'Content-Type: application/json'".to_owned());
            lines.push(format!("  -d '{}'", example.to_string().replace('\'', r"'\''")));
        }
        lines.join(" \\\n")
    }

    /// What comes back: the first success with an example, then all that may come.
    fn answers(&self, operation: &Value) -> Vec<Block> {
        let mut blocks = Vec::new();
        let (mut rows, mut codes) = (Vec::new(), Vec::new());
        for (status, answer) in &object(operation, "/responses") {
            let schema = answer.pointer("/content/application~1json/schema");
            let is_success = status.starts_with('2');
            if is_success {
                let shape = schema.map(|schema| format!(" ({})", kind(schema))).unwrap_or_default();
                rows.push(vec![format!("`{status}`"), format!("{}{shape}", text(answer, "/description"))]);
            }
            if let (true, true, Some(schema)) = (is_success, blocks.is_empty(), schema) {
                let example = example::of(schema, &self.schemas);
                if example.as_object().is_none_or(|example| !example.is_empty()) {
                    blocks.push(Block::Code("json", pretty(&example)));
                }
            }
            let words = schema.and_then(|schema| schema.pointer("/allOf/1/properties/code/enum"));
            let words = words.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            codes.extend(words.filter(|word| !is_success && !is_shared(word)).map(errors::link));
        }
        codes.push("those that [many requests](#errors) can meet".to_owned());
        rows.push(vec!["errors".to_owned(), codes.join(", ")]);
        blocks.push(Block::Table(&["answer", "what it says"], rows));
        blocks
    }

    fn resource(&self, name: &str, schema: &Value) -> Vec<Block> {
        let mut rows = Vec::new();
        shown_fields("", schema, &mut rows);
        let mut blocks = vec![Block::heading(3, format!("resource-{name}"), name)];
        let what = text(schema, "/description");
        if !what.is_empty() {
            blocks.push(Block::Text(what.to_owned()));
        }
        blocks.push(Block::Table(&["field", "type", "what it is"], rows));
        blocks
    }
}

/// Who may ask.
fn access(operation: &Value) -> String {
    match (operation.pointer("/security/0"), operation.pointer("/security/0/bearer/0")) {
        (None, _) => "no token".to_owned(),
        (_, None) => "any key".to_owned(),
        (_, Some(scope)) => format!("scope `{}`", scope.as_str().unwrap_or_default()),
    }
}

fn parameter(parameter: &Value) -> Vec<String> {
    let schema = parameter.get("schema").unwrap_or(&Value::Null);
    vec![
        format!("`{}`", text(parameter, "/name")),
        text(parameter, "/in").to_owned(),
        format!("{} {}.", text(parameter, "/description"), sentence(&kind(schema))),
    ]
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// The fields of a body, those of its objects too.
fn fields(prefix: &str, schema: &Value, rows: &mut Vec<Vec<String>>) {
    for (name, field) in &object(schema, "/properties") {
        let name = format!("{prefix}{name}");
        let required = if is_required(schema, &name, prefix) { "required" } else { "" };
        rows.push(vec![
            format!("`{name}`"),
            required.to_owned(),
            format!("{} {}.", text(field, "/description"), sentence(&kind(field))),
        ]);
        fields(&format!("{name}."), field, rows);
        fields(&format!("{name}[]."), field.get("items").unwrap_or(&Value::Null), rows);
    }
}

/// The fields of a resource, those of its objects too; what has a name of its own is told there.
fn shown_fields(prefix: &str, schema: &Value, rows: &mut Vec<Vec<String>>) {
    for (name, field) in &object(schema, "/properties") {
        let name = format!("{prefix}{name}");
        let sometimes = if is_required(schema, &name, prefix) {
            ""
        } else {
            " Not always there."
        };
        let what = format!("{}{sometimes}", text(field, "/description"));
        rows.push(vec![format!("`{name}`"), kind(field), what.trim().to_owned()]);
        if referred(field).is_none() {
            shown_fields(&format!("{name}."), field, rows);
        }
    }
}

fn is_required(schema: &Value, name: &str, prefix: &str) -> bool {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    let mut required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.any(|required| required == name)
}
