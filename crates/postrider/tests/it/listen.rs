//! `postrider listen`: events forwarded to a receiver, over a stream that a script plays: what a server sends, and how it breaks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver as Asked, SyncSender, sync_channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{Account, Arrival, Client, OPERATOR_KEY, PATIENCE, Receiver, Site, postrider, read_http};

/// What is asked at most: a script has fewer lines.
const ASKED_MAX: usize = 64;
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A server that plays one line of its script for each request for events.
struct Script {
    address: SocketAddr,
    /// The path and `Last-Event-ID` of each of those requests.
    asked: Asked<(String, String)>,
}

impl Script {
    /// Each line: what is answered, and whether the connection stays open then.
    fn play(lines: Vec<(String, bool)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = sync_channel(ASKED_MAX);
        std::thread::spawn(move || {
            let mut lines = lines.into_iter();
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                kept.extend(serve(stream, &mut lines, &tell));
            }
        });
        Self { address, asked }
    }

    fn next(&self) -> (String, String) {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }
}

/// Answers until a stream has been played; the connection, where it stays open.
fn serve(stream: TcpStream, lines: &mut impl Iterator<Item = (String, bool)>, tell: &SyncSender<(String, String)>) -> Option<TcpStream> {
    let mut stream = BufReader::new(stream);
    while let Ok(Some((head, _))) = read_http(&mut stream) {
        if head.word(1) == "/me" {
            let me = json!({ "account": { "id": "acc_1", "name": "Corner shop" } }).to_string();
            write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{me}", me.len()).unwrap();
            continue;
        }
        assert_eq!(head.get("accept"), "text/event-stream");
        tell.send((head.word(1).to_owned(), head.get("last-event-id").to_owned())).unwrap();
        let (answer, stays) = lines.next()?;
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        return stays.then(|| stream.into_inner());
    }
    None
}

fn event(number: u32) -> String {
    format!(
        "id: evt_{number}\ndata: {{\"id\":\"evt_{number}\",\"name\":\"order.filled\",\"resource\":{{\"id\":\"1\",\"resource_type\":\"order\"}},\"data\":{{\"price\":12.50}},\"created_at\":\"2026-01-15T10:30:00.000Z\"}}\n\n"
    )
}

/// The command at work; killed when it is dropped.
struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    secret: String,
}

impl Listener {
    fn start(site: &Site, server: &str, to: &str, more: &[&str]) -> Self {
        Self::start_as("ptr_any", site, &[&["--server", server, "--forward-to", to], more].concat())
    }

    fn start_as(token: &str, site: &Site, args: &[&str]) -> Self {
        let mut child = postrider(&[&["listen", "--json"], args].concat())
            .env("POSTRIDER_KEY", token)
            .env("XDG_CONFIG_HOME", site.path("."))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().expect("it ended").unwrap()).unwrap();
        let secret = first["secret"].as_str().unwrap().to_owned();
        Self { child, lines, secret }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("it ended").unwrap()).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_genuine(site: &Site, secret: &str, arrival: &Arrival) -> bool {
    std::fs::write(site.path("body"), &arrival.body).unwrap();
    let (timestamp, signature) = (arrival.head.get("webhook-timestamp"), arrival.head.get("webhook-signature"));
    let args = [
        "verify",
        "--secret",
        secret,
        "--id",
        &arrival.delivery,
        "--timestamp",
        timestamp,
        "--signature",
        signature,
        "body",
    ];
    site.run(&args).status.code() == Some(0)
}

#[test]
fn events_are_forwarded_signed_and_none_is_lost_or_repeated_where_the_stream_breaks() {
    let script = Script::play(vec![
        (format!("{STREAM}: hello\n\n{}{}", event(1), event(2)), false),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(), false),
        (format!("{STREAM}{}: quiet\n\n", event(3)), true),
    ]);
    let (site, receiver) = (Site::new(), Receiver::start());
    let server = format!("http://{}", script.address);
    let mut listener = Listener::start(&site, &server, &format!("{}hooks?a=1", receiver.url()), &["--name", "order.*"]);
    let told: Vec<Value> = (0..3).map(|_| listener.next()).collect();
    let ids: Vec<&str> = told.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(ids, ["evt_1", "evt_2", "evt_3"]);
    assert!(
        told.iter().all(|line| line["status"] == 200 && line["name"] == "order.filled"),
        "{told:?}"
    );
    assert_eq!(script.next(), ("/events?name=order.%2A".to_owned(), String::new()));
    assert_eq!(script.next().1, "evt_2");
    assert_eq!(script.next().1, "evt_2");
    for arrival in receiver.wait(|arrivals| arrivals.len() == 3) {
        assert!(is_genuine(&site, &listener.secret, &arrival), "{arrival:?}");
        assert!(arrival.delivery.starts_with("whd_"));
        assert_eq!(arrival.head.word(1), "/hooks?a=1");
        assert_eq!(arrival.head.get("webhook-attempt"), "1");
        assert_eq!(arrival.head.get("event-id"), arrival.event["id"].as_str().unwrap());
        assert_eq!(arrival.head.get("content-type"), "application/json");
        assert!(arrival.head.get("user-agent").starts_with("Postrider/"));
    }
    kill_process(Pid::from_child(&listener.child), Signal::INT).unwrap();
    assert_eq!(listener.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_secret_stays_the_same_and_a_receiver_that_is_gone_is_told() {
    let site = Site::new();
    let start = || {
        let script = Script::play(vec![(format!("{STREAM}{}", event(1)), true)]);
        Listener::start(&site, &format!("http://{}", script.address), "http://127.0.0.1:1/", &[])
    };
    let mut first = start();
    let told = first.next();
    assert!(
        told["status"].is_null() && told["error"].as_str().unwrap().contains("127.0.0.1:1"),
        "{told}"
    );
    assert_eq!(start().secret, first.secret);
}

#[test]
fn what_is_no_longer_kept_is_told_and_it_goes_on_from_now() {
    let refusal = json!({ "code": "invalid_request", "detail": "d", "params": [{ "path": "header.last-event-id", "detail": "d", "code": "event_id_expired" }] });
    let refusal = refusal.to_string();
    let script = Script::play(vec![
        (format!("{STREAM}{}", event(1)), false),
        (
            format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{refusal}", refusal.len()),
            false,
        ),
        (format!("{STREAM}{}", event(9)), true),
    ]);
    let (site, receiver) = (Site::new(), Receiver::start());
    let mut listener = Listener::start(&site, &format!("http://{}", script.address), &receiver.url(), &[]);
    assert_eq!(listener.next()["event"], "evt_1");
    assert_eq!(listener.next()["event"], "evt_9");
    let ids: Vec<String> = (0..3).map(|_| script.next().1).collect();
    assert_eq!(ids, ["", "evt_1", ""]);
}

#[test]
fn what_is_wrong_is_named() {
    let site = Site::new();
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 43\r\n\r\n{\"code\":\"insufficient_scope\",\"detail\":\"no\"}";
    let script = Script::play(vec![(refusal.to_owned(), false)]);
    let server = format!("http://{}", script.address);
    for (args, code, named) in [
        (&["--forward-to", "3000"][..], 2, "--forward-to"),
        (&["--forward-to", "http://localhost:1", "--name", "a..b"], 2, "--name"),
        (&[], 2, "--forward-to"),
        (
            &["--forward-to", "http://localhost:1", "--server", "http://127.0.0.1:1"],
            1,
            "127.0.0.1:1",
        ),
        (
            &["--forward-to", "http://localhost:1", "--server", &server],
            1,
            "insufficient_scope",
        ),
    ] {
        let mut command = postrider(&[&["listen", "--key", "ptr_any"], args].concat());
        let output = command.env("XDG_CONFIG_HOME", site.path(".")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(named), "{args:?}: {said}");
    }
}

#[test]
fn what_a_server_takes_in_arrives_once_each_also_over_a_crash_of_the_server() {
    let (site, receiver) = (Site::new(), Receiver::start());
    let server = site.start(&[]);
    let address = server.address.to_string();
    let account = Account::make(server.address);
    let post = |name: &str| {
        let event = json!({ "name": name, "resource": { "id": "1", "resource_type": "order" }, "data": { "price": 12.50 } });
        account.client(server.address).post("/events", &event)["id"].clone()
    };
    post("order.before");
    let url = format!("http://{address}");
    let args = ["--server", &url, "--forward-to", &receiver.url(), "--name", "order.*"];
    let mut listener = Listener::start_as(&account.token, &site, &args);
    let first = post("order.filled");
    post("user.made");
    assert_eq!(listener.next()["event"], first);
    let address = server.address;
    server.kill();
    let server = site.start(&["--listen", &address.to_string()]);
    let mut client = account.client(server.address);
    let event = json!({ "name": "order.sent", "resource": { "id": "1", "resource_type": "order" } });
    for _ in 0..20 {
        let id = client.post("/events", &event)["id"].clone();
        let told = listener.next();
        assert_eq!((&told["event"], &told["status"]), (&id, &json!(200)));
    }
    let arrivals = receiver.wait(|arrivals| arrivals.len() >= 21);
    assert_eq!(arrivals.len(), 21, "something came twice, or from before");
    assert!(arrivals.iter().all(|arrival| is_genuine(&site, &listener.secret, arrival)));
}

#[test]
fn it_ends_where_its_key_does() {
    let (site, receiver) = (Site::new(), Receiver::start());
    let server = site.start(&[]);
    let mut operator = Client::connect(server.address, OPERATOR_KEY).unwrap();
    let account = operator.post("/accounts", &json!({ "name": "first" }));
    let path = format!("/accounts/{}/keys", account["id"].as_str().unwrap());
    let key = operator.post(&path, &json!({ "name": "listen" }));
    let url = format!("http://{}", server.address);
    let args = ["--server", &url, "--forward-to", &receiver.url()];
    let mut listener = Listener::start_as(key["token"].as_str().unwrap(), &site, &args);
    let gone = operator
        .ask("DELETE", &format!("{path}/{}", key["id"].as_str().unwrap()), None)
        .unwrap();
    assert_eq!(gone.status, 204);
    assert_eq!(listener.child.wait().unwrap().code(), Some(1));
}
