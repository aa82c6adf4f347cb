//! What holds for every route, tried on each of the table: methods, media types, headers, tokens.

use std::collections::BTreeSet;

use http::Method;
use postrider_api::{RouteLine, routes};

use crate::app::{App, Ask, OPERATOR, named};
use crate::things::Things;

/// A request of the operator's for the account, without a body.
fn ask<'a>(app: &'a App, things: &Things, method: Method, route: &RouteLine) -> Ask<'a> {
    let ask = app.ask(method, &things.path(route)).token(OPERATOR);
    ask.header("account-id", &things.account.id)
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_a_405_that_names_those_that_it_has() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes() {
        let path = things.path(&route);
        // A path that is written out may be one of another route's with `{…}` too.
        let is_of = |other: &RouteLine| things.path(other) == path || (route.path == "/events/batch" && other.path == "/events/{id}");
        let mut served: BTreeSet<String> = routes().filter(is_of).map(|other| other.method.to_string()).collect();
        if served.contains("GET") {
            served.insert("HEAD".to_owned());
        }
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            if served.contains(method.as_str()) {
                continue;
            }
            let reply = ask(&app, &things, method, &route).send().await;
            assert_eq!(reply.code(405), "method_not_allowed", "{route:?}");
            let allowed: BTreeSet<String> = reply.header("allow").split(", ").map(str::to_owned).collect();
            assert_eq!(allowed, served, "{route:?}");
        }
    }
}

#[tokio::test]
async fn a_head_has_the_status_and_headers_of_a_get() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes().filter(|route| route.method == Method::GET) {
        let get = ask(&app, &things, Method::GET, &route).send().await;
        let head = ask(&app, &things, Method::HEAD, &route).send().await;
        assert_eq!(
            (head.status, head.header("content-type")),
            (get.status, get.header("content-type")),
            "{route:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_a_415() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes() {
        let Some(body) = &route.body else { continue };
        for media_type in ["", "text/plain", "application/jsonp", "application/xml; charset=utf-8"] {
            let request = ask(&app, &things, route.method.clone(), &route).header("content-type", media_type);
            let reply = request.body(body.to_string()).send().await;
            assert_eq!(reply.code(415), "unsupported_media_type", "{route:?} {media_type:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_version_is_refused_on_every_route_and_the_one_served_is_named() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    // The one that reads a form names what that lacks, too.
    for route in routes().filter(|route| route.path != "/auth/token") {
        let request = ask(&app, &things, route.method.clone(), &route).header("api-version", "1999-12-31");
        let reply = match &route.body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        };
        assert_eq!(reply.params(), named(&[("header.api-version", "unknown_version")]), "{route:?}");
        assert_eq!(reply.header("api-version"), "2026-01-01");
    }
}

#[tokio::test]
async fn a_token_is_judged_the_same_way_on_every_route_that_needs_one() {
    let app = App::new().await;
    let things = Things::new(&app).await;
    for route in routes().filter(|route| route.needs_token) {
        let refused = async |authorization: &str| {
            let request = app
                .ask(route.method.clone(), &things.path(&route))
                .header("authorization", authorization);
            let reply = request.send().await;
            assert_eq!(reply.header("www-authenticate"), "Bearer", "{route:?}");
            reply.code(401)
        };
        for authorization in ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", OPERATOR] {
            assert_eq!(refused(authorization).await, "unauthenticated", "{route:?} {authorization:?}");
        }
        assert_eq!(refused("Bearer ptr_nobody").await, "invalid_token", "{route:?}");
    }
}
