//! What belongs to one account does not exist for another: every route with an id, from the list of routes, so that a new one is tried the
//! day it is written.

use std::collections::BTreeMap;

use postrider_api::{PathArg, RouteLine, routes};
use postrider_model::key::Scope;
use serde_json::{Value, json};

use super::{World, code, event, expect, id};
use crate::world::{Account, Answer, OPERATOR_KEY};

/// Ids of everything that the account has, by kind.
type Ids = Vec<(PathArg, String)>;

fn things(world: &World) -> Ids {
    let webhook = id(&world.webhook());
    let made = id(&world.event("a"));
    let mut own = event("b");
    own["id"] = json!("own-1");
    world.expect(201, "POST /events", Some(&own));
    world.until("/deliveries", |list| {
        list.as_array().unwrap().iter().filter(|row| row["status"] == "succeeded").count() == 2
    });
    let delivery = id(&world.expect(200, "GET /deliveries", None)[0]);
    let since = json!({ "since": "2020-01-01T00:00:00Z" });
    let job = id(&world.expect(202, &format!("POST /webhooks/{webhook}/recover"), Some(&since)));
    world.until(&format!("/jobs/{job}"), |job| job["status"] != "running");
    vec![
        (PathArg::Webhook, webhook),
        (PathArg::Event, made),
        (PathArg::Event, "own-1".to_owned()),
        (PathArg::Delivery, delivery),
        (PathArg::Job, job),
        (PathArg::Account, world.account_id()),
        (PathArg::Key, world.key_id()),
    ]
}

/// The paths of a route with each of these ids in each of its places; a kind that is not among them fails.
fn paths(route: &RouteLine, ids: &Ids) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut args = route.args.iter();
    for segment in route.path.split('/').skip(1) {
        let choices: Vec<&str> = if segment.starts_with('{') {
            let kind = args.next().unwrap();
            ids.iter().filter(|(known, _)| known == kind).map(|(_, id)| id.as_str()).collect()
        } else {
            vec![segment]
        };
        assert!(
            !choices.is_empty(),
            "{} has a kind of id that this test does not know: make one in `things`",
            route.path
        );
        paths = paths
            .iter()
            .flat_map(|path| choices.iter().map(move |choice| format!("{path}/{choice}")))
            .collect();
    }
    paths
}

/// Every answer to a GET of the account's that needs no foreign id, and to each single one of its things.
fn everything(world: &World, ids: &Ids) -> BTreeMap<String, Value> {
    // What a node has to do changes by itself.
    let gets = routes().filter(|route| route.method == "GET" && route.needs_token && route.path != "/nodes");
    let paths = gets.flat_map(|route| paths(&route, ids));
    let header = format!("Account-Id: {}\r\n", world.account_id());
    paths
        .map(|path| {
            (
                path.clone(),
                without_use(world.ask_as(OPERATOR_KEY, &format!("GET {path}"), &header, None)),
            )
        })
        .collect()
}

/// When a key was used last changes by looking.
fn without_use(answer: Answer) -> Value {
    let text = answer.body.to_string();
    let parts = text.split("\"last_used_at\":");
    let kept = parts.enumerate().map(|(index, part)| {
        if index == 0 {
            part
        } else {
            part.split_once(',').map_or("", |(_, rest)| rest)
        }
    });
    json!([answer.status, kept.collect::<String>()])
}

fn try_all(world: &World, ids: &Ids, ask: impl Fn(&str, Option<&Value>) -> Answer, wanted: impl Fn(&RouteLine) -> bool) -> usize {
    let mut tried = 0;
    for route in routes().filter(|route| !route.args.is_empty() && route.needs_token && wanted(route)) {
        for path in paths(&route, ids) {
            let line = format!("{} {path}", route.method);
            let error = expect(404, &line, ask(&line, route.body.as_ref()));
            assert!(code(&error).ends_with("_not_found"), "{line}: {error}");
            tried += 1;
        }
    }
    assert!(world.ask("GET /me", None).status == 200);
    tried
}

fn is_the_operators(route: &RouteLine) -> bool {
    matches!(route.args.first(), Some(PathArg::Account | PathArg::Key))
}

#[test]
fn every_route_with_an_id_is_a_404_to_another_account_and_changes_nothing() {
    let world = World::new();
    let ids = things(&world);
    let before = everything(&world, &ids);
    assert!(before.len() >= 12, "{:?}", before.keys());
    let other = Account::make(world.server.address);
    let tried = try_all(
        &world,
        &ids,
        |line, body| world.ask_as(&other.token, line, "", body),
        |route| !is_the_operators(route),
    );
    assert!(tried >= 13, "only {tried} were tried");
    // An operator that acts for the other account sees no more than that account does.
    let other_id = id(&expect(200, "GET /me", world.ask_as(&other.token, "GET /me", "", None))["account"]);
    let header = format!("Account-Id: {other_id}\r\n");
    try_all(
        &world,
        &ids,
        |line, body| world.ask_as(OPERATOR_KEY, line, &header, body),
        |route| !is_the_operators(route),
    );
    // Nor is a key found below another account than its own, or among the operator's.
    let mut crossed = ids.clone();
    crossed.retain(|(kind, _)| *kind != PathArg::Account);
    crossed.push((PathArg::Account, other_id));
    let keys = |route: &RouteLine| is_the_operators(route) && route.args.last() == Some(&PathArg::Key);
    assert!(try_all(&world, &crossed, |line, body| world.operator(line, body), keys) >= 6);
    // The list of accounts has one more by now.
    let mut after = everything(&world, &ids);
    after.insert("/accounts".to_owned(), before["/accounts"].clone());
    assert_eq!(after, before);
    for list in ["/webhooks", "/deliveries", "/jobs"] {
        assert_eq!(
            world.ask_as(&other.token, &format!("GET {list}"), "", None).body,
            json!([]),
            "{list}"
        );
    }
}

#[test]
fn the_operators_routes_are_a_403_to_every_account() {
    let world = World::new();
    let ids = things(&world);
    let before = everything(&world, &ids);
    for route in routes().filter(|route| route.scope == Some(Scope::AccountsAdmin)) {
        for path in paths(&route, &ids) {
            let line = format!("{} {path}", route.method);
            assert_eq!(
                code(&expect(403, &line, world.ask(&line, route.body.as_ref()))),
                "insufficient_scope",
                "{line}"
            );
        }
    }
    assert_eq!(everything(&world, &ids), before);
}
