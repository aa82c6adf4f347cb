//! The description as OpenAPI 3.1.

use http::StatusCode;
use postrider_model::key::Scope;
use postrider_model::limits::PAGE_ROWS_MAX;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::arguments::parameters;
use super::failures::codes;
use super::{Content, Parameter, Success};
use crate::api::API_VERSION;
use crate::code::Code;
use crate::error::ErrorJson;
use crate::route::{Access, Route, Table};

/// Says that an answer is not the first.
const REPLAYED: &str = "Idempotency-Replayed";
/// What is to be known before the first request.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The whole API as an OpenAPI 3.1 document. `server` is where it is reached: a whole url, or `/` for where the document was found.
pub(crate) fn document(table: &Table, server: &str) -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let paths = paths(table, &mut generator);
    generator.subschema_for::<ErrorJson<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Postrider",
            "version": API_VERSION,
            "summary": "Webhook delivery: events in, signed deliveries out.",
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "tags": tags(table),
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn tags(table: &Table) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for route in &table.0 {
        if !names.contains(&route.about.tag) {
            names.push(route.about.tag);
        }
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn paths(table: &Table, generator: &mut SchemaGenerator) -> Value {
    let mut paths = Map::new();
    for route in &table.0 {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route, generator));
        }
    }
    Value::Object(paths)
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let about = &route.about;
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(about.id));
    operation.insert("tags".to_owned(), json!([about.tag]));
    operation.insert("summary".to_owned(), json!(about.summary));
    if !about.notes.is_empty() {
        operation.insert("description".to_owned(), json!(about.notes));
    }
    operation.insert("security".to_owned(), security(route.access));
    operation.insert("parameters".to_owned(), parameters(route).iter().map(parameter).collect());
    if let Some(body) = &about.body {
        let content = json!({ route.media_type(): { "schema": (body.schema)() } });
        let body = json!({ "required": !body.is_optional, "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    operation.insert("responses".to_owned(), responses(route, generator));
    Value::Object(operation)
}

/// The route that gives short tokens for keys.
const TOKENS: &str = "/auth/token";

fn security_schemes() -> Value {
    let scopes: Map<String, Value> = Scope::ALL.into_iter().map(|scope| (scope.as_str().to_owned(), json!(""))).collect();
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "The token of a key, or an access token." },
        "client": { "type": "http", "scheme": "basic", "description": "A key's id and its token. They may stand in the form instead." },
        "oauth2": {
            "type": "oauth2",
            "description": "A key's id is the `client_id`, its token the `client_secret`. What comes back is used like the token of a key.",
            "flows": { "clientCredentials": { "tokenUrl": TOKENS, "scopes": scopes } },
        },
    })
}

fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Client => json!([{ "client": [] }, {}]),
        Access::AnyKey => json!([{ "bearer": [] }]),
        Access::Scope(scope) => json!([{ "bearer": [scope.as_str()] }]),
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let Parameter {
        name,
        place,
        is_required,
        schema,
        what,
    } = parameter;
    json!({ "name": name, "in": place, "required": is_required, "description": what, "schema": schema })
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for success in &route.about.successes {
        responses.insert(success.status.as_u16().to_string(), self::success(success, generator));
    }
    let codes = codes(route);
    let mut statuses: Vec<StatusCode> = codes.iter().map(|code| code.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let codes = codes.iter().filter(|code| code.status() == status);
        responses.insert(
            status.as_u16().to_string(),
            failure(status, &codes.copied().collect::<Vec<_>>(), generator),
        );
    }
    if route.is_replayed() {
        let headers = responses
            .values_mut()
            .filter_map(|response| response.get_mut("headers")?.as_object_mut());
        for headers in headers {
            headers.insert(REPLAYED.to_owned(), header(REPLAYED));
        }
    }
    Value::Object(responses)
}

fn success(success: &Success, generator: &mut SchemaGenerator) -> Value {
    let mut headers = common_headers();
    let schema = match success.content {
        Content::Nothing => return json!({ "description": success.what, "headers": headers }),
        Content::Text(media_type) => {
            let content = json!({ media_type: { "schema": { "type": "string" } } });
            return json!({ "description": success.what, "headers": headers, "content": content });
        }
        Content::Json(schema) => schema(generator),
        Content::Page(schema) => {
            headers.insert("Link".to_owned(), header("Link"));
            json_schema!({ "type": "array", "items": schema(generator), "maxItems": PAGE_ROWS_MAX })
        }
    };
    let content = json!({ "application/json": { "schema": schema } });
    json!({ "description": success.what, "headers": headers, "content": content })
}

fn failure(status: StatusCode, codes: &[Code], generator: &mut SchemaGenerator) -> Value {
    let mut headers = common_headers();
    match status {
        StatusCode::UNAUTHORIZED => headers.insert("WWW-Authenticate".to_owned(), header("WWW-Authenticate")),
        StatusCode::SERVICE_UNAVAILABLE => headers.insert("Retry-After".to_owned(), header("Retry-After")),
        _ => None,
    };
    let told: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.detail())).collect();
    json!({
        "description": told.join("\n\n"),
        "headers": headers,
        "content": { "application/json": { "schema": error_schema(codes, generator) } },
    })
}

/// The error body with one of these codes.
fn error_schema(codes: &[Code], generator: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    json_schema!({
        "allOf": [generator.subschema_for::<ErrorJson<'_>>(), { "properties": { "code": { "enum": words } } }],
    })
}

fn common_headers() -> Map<String, Value> {
    let names = ["Request-Id", "Api-Version", "Client-Request-Id"];
    names.into_iter().map(|name| (name.to_owned(), header(name))).collect()
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The headers of answers, once for all.
fn headers() -> Value {
    let text = |what: &str, example: &str| json!({ "description": what, "schema": { "type": "string", "examples": [example] } });
    json!({
        "Request-Id": text("Names this request, for asking about it.", "req_5d41402abc4b2a76b9719d911f"),
        REPLAYED: text("There where the request was answered before, under its `Idempotency-Key`: this is that answer.", "true"),
        "Api-Version": text("The version of the API that answered.", API_VERSION),
        "Client-Request-Id": text("As the request had it.", "mine-1"),
        "Link": text(
            "The next page, as RFC 8288 writes it. Where it is missing, this page is the last.",
            "</webhooks?limit=50&cursor=AZt…>; rel=\"next\"",
        ),
        "WWW-Authenticate": text("How to authenticate.", "Bearer"),
        "Retry-After": { "description": "Seconds to wait before asking again.", "schema": { "type": "integer", "minimum": 1 } },
    })
}
