//! `postrider accounts` and `postrider keys`, over the API of a real server.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::mpsc::sync_channel;

use postrider_testkit::ca::{Leaf, TestCa};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::{Client, OPERATOR_KEY, Server, Site, postrider};

/// The operator at a terminal.
struct Desk {
    url: String,
    server: Server,
}

impl Desk {
    fn new() -> Self {
        let server = Site::new().start(&[]);
        Self {
            url: format!("http://{}", server.address),
            server,
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = postrider(args);
        command.env("POSTRIDER_SERVER", &self.url).env("POSTRIDER_KEY", OPERATOR_KEY);
        command.output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn an_account_is_made_shown_changed_and_deleted() {
    let desk = Desk::new();
    let made = desk.json(&["accounts", "create", "Corner shop", "--external-id", "shop-17"]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        desk.json(&["accounts", "create", "Again", "--external-id", "shop-17"])["id"],
        made["id"]
    );
    assert_eq!(desk.json(&["accounts", "show", "shop-17"]), made);
    let changed = desk.json(&[
        "accounts",
        "update",
        id,
        "--name",
        "Corner",
        "--external-id",
        "",
        "--active",
        "false",
    ]);
    assert_eq!(
        (&changed["name"], &changed["external_id"], &changed["is_active"]),
        (&json!("Corner"), &Value::Null, &json!(false))
    );
    let shown = desk.done(&["accounts", "show", id]);
    assert!(shown.contains("Corner") && shown.contains("no"), "{shown}");
    let unasked = desk.refused(&["accounts", "delete", id], 2);
    assert!(unasked.contains("--yes") && unasked.contains("Corner"), "{unasked}");
    assert_eq!(desk.json(&["accounts", "delete", id, "--yes"])["id"], made["id"]);
    let gone = desk.refused(&["accounts", "show", id], 1);
    assert!(gone.contains("account_not_found"), "{gone}");
}

#[test]
fn a_list_goes_over_as_many_pages_as_it_takes() {
    let desk = Desk::new();
    let mut client = Client::connect(desk.server.address, OPERATOR_KEY).unwrap();
    for number in 0..205 {
        client.post("/accounts", &json!({ "name": format!("account {number}") }));
    }
    let names = |args: &[&str]| -> Vec<String> {
        let list = desk.json(args);
        list.as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = names(&["accounts", "list", "--limit", "1000"]);
    let newest_first: Vec<String> = (0..205).rev().map(|number| format!("account {number}")).collect();
    assert_eq!(all, newest_first);
    assert_eq!(names(&["accounts", "list", "--limit", "3"]), newest_first[..3]);
    let table = desk.run(&["accounts", "list", "--limit", "2"]);
    let lines = String::from_utf8(table.stdout).unwrap();
    assert!(lines.starts_with("ID ") && lines.lines().count() == 3, "{lines}");
    assert!(!lines.contains('\u{1b}'), "{lines}");
    assert!(
        String::from_utf8(table.stderr).unwrap().contains("--limit"),
        "it does not say that there are more"
    );
}

#[test]
fn keys_of_an_account_and_of_the_operator_are_kept_apart() {
    let desk = Desk::new();
    desk.json(&["accounts", "create", "Corner shop", "--external-id", "shop-17"]);
    let key = desk.json(&[
        "keys",
        "create",
        "--account",
        "shop-17",
        "--name",
        "ci",
        "--scopes",
        "events:write,webhooks:read",
    ]);
    assert_eq!(key["scopes"], json!(["webhooks:read", "events:write"]));
    let id = key["id"].as_str().unwrap();
    let token = key["token"].as_str().unwrap();
    assert!(token.starts_with("ptr_"));
    let plain = desk.done(&["keys", "create", "--account", "shop-17"]);
    assert!(plain.starts_with("ptr_") && plain.lines().count() == 1, "{plain}");
    let of_operator = desk.done(&["keys", "create", "--operator", "--server", &desk.url]);
    assert!(of_operator.starts_with("ptrop_"), "{of_operator}");

    let listed = desk.json(&["keys", "list", "--account", "shop-17"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(desk.json(&["keys", "list"]).as_array().unwrap().len(), 1);
    let changed = desk.json(&[
        "keys",
        "update",
        id,
        "--account",
        "shop-17",
        "--name",
        "ci 2",
        "--expires-at",
        "2099-01-01T00:00:00Z",
    ]);
    assert_eq!(changed["expires_at"], "2099-01-01T00:00:00.000Z");
    let forever = desk.json(&["keys", "update", id, "--account", "shop-17", "--expires-at", "never"]);
    assert!(forever["expires_at"].is_null() && forever["name"] == "ci 2");
    let elsewhere = desk.refused(&["keys", "show", id], 1);
    assert!(elsewhere.contains("key_not_found"), "{elsewhere}");
    desk.done(&["keys", "delete", id, "--account", "shop-17", "--yes"]);
    let mut client = Client::connect(desk.server.address, token).unwrap();
    assert_eq!(client.ask("GET", "/me", None).unwrap().status, 401);
}

#[test]
fn what_the_server_refuses_is_said_with_each_parameter() {
    let desk = Desk::new();
    let long = "x".repeat(300);
    let said = desk.refused(&["accounts", "create", &long, "--external-id", ""], 1);
    assert!(
        said.contains("400 ") && said.contains("body.name:") && said.contains("body.external_id:"),
        "{said}"
    );
    let said = desk.refused(&["keys", "create", "--account", "nobody"], 1);
    assert!(said.contains("account_not_found"), "{said}");
}

#[test]
fn wrong_usage_is_told_apart_from_what_failed() {
    let desk = Desk::new();
    for (args, named) in [
        (&["accounts"][..], "accounts"),
        (&["accounts", "create"], "<NAME>"),
        (&["accounts", "update", "acc_1"], "--name"),
        (&["accounts", "list", "--limit", "0"], "--limit"),
        (&["accounts", "list", "--server", "nowhere"], "--server"),
        (&["accounts", "list", "--ca-file", "/nowhere.pem"], "/nowhere.pem"),
        (&["accounts", "list", "--key", "@/nowhere"], "/nowhere"),
        (&["keys", "create"], "--operator"),
        (&["keys", "create", "--operator", "--account", "a"], "--account"),
        (&["keys", "create", "--account", "a", "--store", "sqlite:x"], "--store"),
    ] {
        let said = desk.refused(args, 2);
        assert!(said.contains(named), "{args:?}: {said}");
    }
    let output = postrider(&["accounts", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("POSTRIDER_KEY"));
    let nobody = desk.refused(&["accounts", "list", "--server", "http://127.0.0.1:1"], 1);
    assert!(nobody.contains("http://127.0.0.1:1"), "{nobody}");
    let hush = desk.refused(&["accounts", "list", "--key", "hush-hush"], 1);
    assert!(hush.contains("401") && !hush.contains("hush"), "{hush}");
}

/// Speaks TLS for a server that does not, as a proxy before it does; the port of it.
fn speak_tls(ca: &TestCa, server: SocketAddr) -> u16 {
    let acceptor = TlsAcceptor::from(ca.server_config(&Leaf::of(&["localhost"]).http1_only()));
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust us ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut server = TcpStream::connect(server).await.unwrap();
                // How a connection ends is the client's to judge.
                tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut stream, &mut server).await) });
            }
        });
    });
    told.recv().unwrap()
}

#[test]
fn a_server_behind_tls_is_reached_where_it_is_trusted_and_nowhere_else() {
    let (desk, site, ca) = (Desk::new(), Site::new(), TestCa::new());
    let port = speak_tls(&ca, desk.server.address);
    let file = site.path("ca.pem").display().to_string();
    std::fs::write(&file, ca.root_pem()).unwrap();
    let at = |host: &str| format!("https://{host}:{port}");
    let made = desk.json(&["accounts", "create", "first", "--server", &at("localhost"), "--ca-file", &file]);
    assert_eq!(desk.json(&["accounts", "list"])[0], made);
    let untrusted = desk.refused(&["accounts", "list", "--server", &at("localhost")], 1);
    assert!(untrusted.contains("not trusted"), "{untrusted}");
    let other_name = desk.refused(&["accounts", "list", "--server", &at("127.0.0.1"), "--ca-file", &file], 1);
    assert!(other_name.contains("not trusted"), "{other_name}");
}
