//! Events in pages, and as they happen.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{World, event, expect, id, params};
use crate::world::PATIENCE;

/// An open stream of events.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Opens one as HTTP/1.0: then the body comes as it is, without chunks.
    fn open(world: &World, query: &str, last: &str) -> Self {
        let mut stream = TcpStream::connect(world.server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = &world.account.token;
        write!(
            stream,
            "GET /events{query} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n{last}\r\n"
        )
        .unwrap();
        let mut opened = Self {
            lines: BufReader::new(stream),
        };
        let head: Vec<String> = std::iter::from_fn(|| opened.line().filter(|line| !line.is_empty())).collect();
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        opened
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).unwrap();
        (count > 0).then(|| line.trim_end_matches('\n').trim_end_matches('\r').to_owned())
    }

    /// The next event, and the id that stands before it; comments are passed over.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut last = String::new();
        loop {
            let line = self.line()?;
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut last);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((last, serde_json::from_str(data).unwrap()));
            } else {
                assert!(line.is_empty() || line.starts_with(':'), "{line:?}");
            }
        }
    }
}

#[test]
fn get_events_is_filtered() {
    let world = World::new();
    let first = world.event("order.filled");
    let mut other = event("order.item.added");
    other["resource"] = json!({ "id": "inv_1", "resource_type": "invoice" });
    // A moment of its own, so that the filters of time can tell them apart.
    let mut second = world.expect(201, "POST /events", Some(&other));
    while second["created_at"] == first["created_at"] {
        second = world.expect(201, "POST /events", Some(&other));
    }
    let names = |query: &str| -> Vec<String> {
        let list = world.expect(200, &format!("GET /events?limit=200&{query}"), None);
        let names = list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let moment = first["created_at"].as_str().unwrap();
    for (query, wanted) in [
        ("", vec!["order.filled", "order.item.added"]),
        ("name=order.filled", vec!["order.filled"]),
        ("name=order.*", vec!["order.filled", "order.item.added"]),
        ("name=order.item.*", vec!["order.item.added"]),
        ("name=order", vec![]),
        ("resource[id]=ord_1", vec!["order.filled"]),
        ("resource[type]=invoice", vec!["order.item.added"]),
        ("resource[type]=invoice&resource[id]=ord_1", vec![]),
    ] {
        assert_eq!(names(query), wanted, "{query}");
    }
    assert_eq!(names(&format!("created[lt]={moment}")), Vec::<String>::new());
    assert_eq!(names(&format!("created[lte]={moment}&name=order.filled")), ["order.filled"]);
    assert_eq!(
        names(&format!("created[gte]={}", second["created_at"].as_str().unwrap())),
        ["order.item.added"]
    );
    assert_eq!(world.refused(400, "GET /events?order=sideways", None), "invalid_request");
}

#[test]
fn get_events_is_newest_first_and_shows_what_was_sent() {
    let world = World::new();
    let made: Vec<Value> = (0..3).map(|number| world.event(&format!("n{number}"))).collect();
    let list = world.expect(200, "GET /events", None);
    assert_eq!(list, json!([made[2], made[1], made[0]]));
}

#[test]
fn order_asc_always_has_a_next_and_lets_a_poller_miss_nothing() {
    let world = World::new();
    let mut client = world.account.client(world.server.address);
    let (mut made, mut seen) = (Vec::new(), Vec::new());
    let mut path = "/events?order=asc&limit=2".to_owned();
    for round in 0..12 {
        if round % 3 != 2 {
            made.push(id(&world.event("a")));
        }
        let answer = client.ask("GET", &path, None).unwrap();
        let link = answer.head.get("link").to_owned();
        let page = expect(200, &path, answer);
        seen.extend(page.as_array().unwrap().iter().map(id));
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, made);
}

#[test]
fn a_stream_starts_at_now_with_each_event_on_a_line_and_its_id() {
    let world = World::new();
    world.event("before");
    let mut stream = Stream::open(&world, "", "");
    let mut laid_out = event("laid.out");
    laid_out["data"] = json!({ "a": "b\nc" });
    let made = world.expect(201, "POST /events", Some(&laid_out));
    assert_eq!(stream.next(), Some((id(&made), made)));
}

#[test]
fn a_stream_takes_the_same_filters() {
    let world = World::new();
    let mut stream = Stream::open(&world, "?name=order.*", "");
    world.event("invoice.paid");
    let made = world.event("order.filled");
    assert_eq!(stream.next().unwrap().0, id(&made));
}

#[test]
fn a_stream_goes_on_without_a_gap_behind_last_event_id_also_after_a_crash() {
    let world = World::new();
    let made: Vec<String> = (0..4).map(|_| id(&world.event("a"))).collect();
    let mut world = world.after_a_crash(&[]);
    let mut stream = Stream::open(&world, "", &format!("Last-Event-ID: {}\r\n", made[0]));
    assert_eq!([(); 3].map(|()| stream.next().unwrap().0), made[1..]);
    let fresh = world.event("a");
    assert_eq!(stream.next().unwrap().0, id(&fresh));
    world = world.after_a_crash(&[]);
    let answer = world.ask_as(
        &world.account.token,
        "GET /events",
        "Accept: text/event-stream\r\nLast-Event-ID: evt_nothing\r\n",
        None,
    );
    assert_eq!(params(&expect(400, "unknown", answer))[0].0, "header.last-event-id");
}

#[test]
fn a_stream_closes_when_its_token_ends() {
    let world = World::new();
    let keys = format!("/accounts/{}/keys", world.account_id());
    let made = world.operator(&format!("POST {keys}"), Some(&json!({ "name": "short" }))).body;
    let short = World {
        account: crate::world::Account {
            token: made["token"].as_str().unwrap().to_owned(),
        },
        ..world
    };
    let mut stream = Stream::open(&short, "", "");
    assert_eq!(short.operator(&format!("DELETE {keys}/{}", id(&made)), None).status, 204);
    assert_eq!(stream.next(), None);
}
