//! The description and the server say the same: what is generated from the one is tried on the other.

use std::collections::BTreeSet;

use http::Method;
use postrider_api::{PathArg, RouteLine, routes};
use serde_json::{Value, json};

use crate::app::{App, OPERATOR, Reply};
use crate::described::{DESCRIPTION, validator};
use crate::things::Things;

fn operation(route: &RouteLine) -> &'static Value {
    &DESCRIPTION["paths"][route.path][route.method.as_str().to_ascii_lowercase()]
}

fn body_schema(route: &RouteLine) -> &'static Value {
    &operation(route)["requestBody"]["content"]["application/json"]["schema"]
}

/// The one route that reads a form: its own tests say what it reads.
const FORM: &str = "/auth/token";

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let served: BTreeSet<(String, String)> = routes()
        .map(|route| (route.path.to_owned(), route.method.as_str().to_ascii_lowercase()))
        .collect();
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (path.clone(), method.clone()))
    });
    assert_eq!(described.collect::<BTreeSet<_>>(), served);
}

#[test]
fn every_route_says_what_it_does_and_what_it_answers() {
    let mut ids = BTreeSet::new();
    for route in routes() {
        let operation = operation(&route);
        assert!(ids.insert(route.id), "{} names two routes", route.id);
        assert!(!operation["summary"].as_str().unwrap().ends_with('.'), "{route:?}");
        assert!(operation["tags"][0].as_str().is_some_and(|tag| !tag.is_empty()), "{route:?}");
        let statuses = operation["responses"].as_object().unwrap().keys();
        assert!(statuses.into_iter().any(|status| status.starts_with('2')), "{route:?}");
        assert_eq!(
            route.args.len(),
            route.path.matches('{').count(),
            "a part of {} is of no known kind",
            route.path
        );
        let is_written = route.method == Method::POST || route.method == Method::PUT;
        assert_eq!(route.body.is_some(), is_written && route.path != FORM, "{route:?}");
    }
}

#[test]
fn every_parameter_and_field_says_what_it_is_for() {
    fn check(place: &str, schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            let what = field["description"].as_str().unwrap_or_default();
            assert!(what.ends_with('.'), "{place}: {what:?}");
            check(&place, field);
            check(&place, &field["items"]);
        }
    }
    for route in routes() {
        check(route.id, body_schema(&route));
        for parameter in operation(&route)["parameters"].as_array().unwrap() {
            let what = parameter["description"].as_str().unwrap_or_default();
            assert!(what.ends_with('.'), "{}: {parameter}", route.id);
        }
    }
}

#[test]
fn the_example_of_every_body_is_as_described() {
    for route in routes() {
        if let Some(body) = &route.body {
            let validator = validator(route.id, body_schema(&route));
            let faults: Vec<String> = validator.iter_errors(body).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{}: {faults:?}\n{body:#}", route.id);
        }
    }
}

/// A request of the operator's for an account.
async fn ask(app: &App, things: &Things, route: &RouteLine, query: &str, body: Option<&Value>) -> Reply {
    let path = format!("{}{query}", things.path(route));
    let ask = app
        .ask(route.method.clone(), &path)
        .token(OPERATOR)
        .header("account-id", &things.account.id);
    match body {
        Some(body) => ask.json(body).send().await,
        None => ask.send().await,
    }
}

/// Every place in a value that is an object or a field of one of which the schema knows the fields: its path, and the schema.
fn places<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), schema));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        places(&format!("{path}/{name}"), field, found);
    }
    if schema["items"].is_object() {
        places(&format!("{path}/0"), &schema["items"], found);
    }
}

/// `/events/0/name` as an answer names it.
fn shown(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    parts.fold("body".to_owned(), |shown, part| match part.parse::<usize>() {
        Ok(index) => format!("{shown}[{index}]"),
        Err(_) => format!("{shown}.{part}"),
    })
}

#[tokio::test]
async fn every_declared_field_is_read_and_every_other_is_refused() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes().filter(|route| route.body.is_some()) {
        let example = route.body.clone().unwrap();
        let mut found = Vec::new();
        places("", body_schema(&route), &mut found);
        for (pointer, schema) in found {
            let mut cases = Vec::new();
            let mut wrong = example.clone();
            *wrong.pointer_mut(&pointer).unwrap() = if schema["type"] == "integer" { json!([]) } else { json!(7) };
            cases.push((shown(&pointer), "wrong_type", wrong));
            if !pointer.is_empty() && schema["type"].is_string() {
                let mut null = example.clone();
                *null.pointer_mut(&pointer).unwrap() = Value::Null;
                let code = if pointer.ends_with("/0") {
                    "wrong_type"
                } else {
                    "null_not_allowed"
                };
                cases.push((shown(&pointer), code, null));
            }
            if schema["properties"].is_object() {
                let mut more = example.clone();
                more.pointer_mut(&pointer).unwrap()["undeclared"] = json!(1);
                cases.push((format!("{}.undeclared", shown(&pointer)), "unknown_field", more));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap();
                let mut less = example.clone();
                less.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().remove(name);
                cases.push((format!("{}.{name}", shown(&pointer)), "missing_field", less));
            }
            for (path, code, body) in cases {
                let params = ask(&app, &things, &route, "", Some(&body)).await.params();
                assert_eq!(params, [(path, code.to_owned())], "{}: {body}", route.id);
            }
        }
    }
}

#[tokio::test]
async fn a_body_with_every_declared_field_is_accepted_and_so_is_one_with_those_alone_that_are_required() {
    for route in routes().filter(|route| route.body.is_some()) {
        let app = App::new().await;
        let things = Things::new(&app).await;
        let full = route.body.clone().unwrap();
        let mut least = full.clone();
        let schema = body_schema(&route);
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        least.as_object_mut().unwrap().retain(|name, _| required.contains(&name.as_str()));
        let mut nulls = full.clone();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if field["type"].is_array() {
                nulls[name] = Value::Null;
            }
        }
        for body in [least, nulls, full] {
            let reply = ask(&app, &things, &route, "", Some(&body)).await;
            assert!(reply.status.is_success(), "{}: {body}\n{}", route.id, reply.json());
        }
    }
}

#[tokio::test]
async fn every_declared_parameter_is_read_and_every_other_is_refused() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes().filter(|route| route.path != FORM) {
        let reply = ask(&app, &things, &route, "?undeclared=1", route.body.as_ref()).await;
        assert_eq!(
            reply.params(),
            crate::app::named(&[("query.undeclared", "unknown_parameter")]),
            "{}",
            route.id
        );
        for parameter in operation(&route)["parameters"].as_array().unwrap() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let twice = format!("?{name}=1&{name}=2");
            let reply = ask(&app, &things, &route, &twice, None).await;
            let path = format!("query.{name}");
            assert_eq!(reply.params(), crate::app::named(&[(&path, "duplicate_parameter")]), "{}", route.id);
        }
    }
}

#[test]
fn the_routes_of_the_table_name_what_their_paths_name() {
    let args = |id: &str| routes().find(|route| route.id == id).unwrap().args;
    assert_eq!(args("get_account_key"), [PathArg::Account, PathArg::Key]);
    assert_eq!(args("list_webhook_deliveries"), [PathArg::Webhook]);
    assert_eq!(args("list_webhooks"), []);
}
