//! Every answer that a test sees is held against the description: its status, its headers and its body.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use http::Method;
use jsonschema::{Draft, Validator};
use parking_lot::Mutex;
use postrider_api::openapi;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::app::Reply;

/// The description, as the server answers it.
pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(openapi);
/// The same, with objects that may hold nothing but what is described: clients must not count on that, we must.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut strict = DESCRIPTION.clone();
    close(&mut strict["components"]["schemas"]);
    strict
});
/// What was made of schemas already: as many as there are answers described.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The described path with this method that this path is one of.
fn template(method: &str, path: &str) -> Option<&'static str> {
    let given: Vec<&str> = path.split('/').collect();
    let matches = |template: &&str| {
        let wanted: Vec<&str> = template.split('/').collect();
        let fits = |(wanted, given): (&&str, &&str)| wanted == given || (wanted.starts_with('{') && !given.is_empty());
        wanted.len() == given.len() && wanted.iter().zip(&given).all(fits)
    };
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let with_method = paths.filter(|(_, methods)| !methods[method].is_null());
    // What is written out is meant before what varies.
    let found = with_method.map(|(path, _)| path.as_str()).filter(matches);
    found.min_by_key(|template| template.matches('{').count())
}

/// A validator of a schema of the description.
pub(crate) fn validator(name: &str, schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock();
    let make = || {
        let mut schema = schema.clone();
        schema["components"] = STRICT["components"].clone();
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap())
    };
    validators.entry(name.to_owned()).or_insert_with(make).clone()
}

/// Fails where an answer is not as it is described.
pub(crate) fn check(method: &Method, path: &str, reply: &Reply) {
    let status = reply.status.as_u16();
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    let asked = asked.as_str().to_ascii_lowercase();
    let template = template(&asked, path);
    let operation = template.map_or(&Value::Null, |path| &DESCRIPTION["paths"][path][&asked]);
    let name = format!("{asked} {} {status}", template.unwrap_or("nothing"));
    for header in ["request-id", "api-version"] {
        assert!(!reply.header(header).is_empty(), "{name} has no {header}");
    }
    if operation.is_null() {
        assert!([404, 405].contains(&status), "{name} of an unknown route");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{name}");
        return check_body(&name, &json!({ "$ref": "#/components/schemas/Error" }), reply);
    }
    let answer = &operation["responses"][status.to_string()];
    assert!(
        !answer.is_null(),
        "{name} is not described: {}",
        String::from_utf8_lossy(&reply.body)
    );
    for (header, told) in [("www-authenticate", "WWW-Authenticate"), ("retry-after", "Retry-After")] {
        let is_told = !answer["headers"][told].is_null();
        assert_eq!(reply.headers.contains_key(header), is_told, "{name}: {header}");
    }
    assert!(
        !reply.headers.contains_key("idempotency-replayed") || !answer["headers"]["Idempotency-Replayed"].is_null(),
        "{name}: Idempotency-Replayed is not described"
    );
    assert!(
        !reply.headers.contains_key("link") || !answer["headers"]["Link"].is_null(),
        "{name}: Link is not described"
    );
    let Some(content) = answer["content"].as_object() else {
        assert!(reply.body.is_empty(), "{name} has a body");
        return;
    };
    let media_type = reply.header("content-type").split(';').next().unwrap_or_default();
    assert!(content.contains_key(media_type), "{name} has the type {media_type}");
    if media_type == "application/json" {
        check_body(&name, &content[media_type]["schema"], reply);
    }
}

fn check_body(name: &str, schema: &Value, reply: &Reply) {
    assert_eq!(reply.header("content-type"), "application/json", "{name}");
    // What a producer wrote comes back as it was, and not every number and string of JSON fits into a `Value`.
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        serde_json::from_slice::<&RawValue>(&reply.body).expect(name);
        return;
    };
    let faults: Vec<String> = validator(name, schema)
        .iter_errors(&body)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{name} is not as described: {faults:#?}\n{body:#}");
    let has_secret = ["secret", "token", "access_token"].into_iter().any(|name| body.get(name).is_some());
    assert_eq!(
        reply.header("cache-control") == "no-store",
        has_secret,
        "{name}: what holds a secret is kept by nobody"
    );
}
