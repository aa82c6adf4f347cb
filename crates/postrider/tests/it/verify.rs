//! `postrider verify`: judges what a real server sends, and says what is wrong with what is not.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::world::{Account, Receiver, Site, postrider};

/// A delivery as it came.
struct Delivery {
    secret: String,
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

impl Delivery {
    /// Has a server send one.
    fn capture() -> Self {
        let site = Site::new();
        let server = site.start(&[]);
        let receiver = Receiver::start();
        let mut client = Account::make(server.address).client(server.address);
        let webhook = client.post("/webhooks", &json!({ "url": receiver.url() }));
        client.post(
            "/events",
            &json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "name": "Zoë", "price": 12.50 } }),
        );
        let arrivals = receiver.wait(|arrivals| !arrivals.is_empty());
        let arrival = arrivals.first().unwrap();
        Self {
            secret: webhook["secret"].as_str().unwrap().to_owned(),
            id: arrival.delivery.clone(),
            timestamp: arrival.head.get("webhook-timestamp").to_owned(),
            signature: arrival.head.get("webhook-signature").to_owned(),
            body: arrival.body.clone(),
        }
    }

    /// Judges it, with the secret from the environment and the body on standard input.
    fn judge(&self, more: &[&str]) -> Output {
        let args = [
            "verify",
            "--id",
            &self.id,
            "--timestamp",
            &self.timestamp,
            "--signature",
            &self.signature,
        ];
        let mut child = postrider(&[&args, more].concat())
            .env("POSTRIDER_WEBHOOK_SECRET", &self.secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What refuses its usage reads nothing.
        let _ = child.stdin.take().unwrap().write_all(&self.body);
        child.wait_with_output().unwrap()
    }

    fn codes(&self) -> (Option<i32>, Vec<String>) {
        let output = self.judge(&["--json"]);
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let codes = verdict["findings"].as_array().unwrap().iter();
        (
            output.status.code(),
            codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect(),
        )
    }
}

#[test]
fn what_a_server_sends_is_genuine_and_what_was_done_to_it_is_named() {
    let mut delivery = Delivery::capture();
    assert_eq!(delivery.codes(), (Some(0), vec![]));
    let people = delivery.judge(&[]);
    let said = String::from_utf8(people.stdout).unwrap();
    assert!(said.starts_with("genuine\n") && !said.contains('\u{1b}'), "{said}");
    assert!(people.stderr.is_empty());

    let stale = delivery.judge(&["--at", "2031-01-01T00:00:00Z"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(String::from_utf8(stale.stdout).unwrap().starts_with("not genuine: stale\n"));
    let tolerant = delivery.judge(&["--at", "2031-01-01T00:00:00Z", "--tolerance", "10000d"]);
    assert_eq!(tolerant.status.code(), Some(0));

    let body = std::mem::take(&mut delivery.body);
    delivery.body = [&body[..], b"\n"].concat();
    assert_eq!(delivery.codes(), (Some(1), vec!["body_line_break_added".to_owned()]));
    delivery.body = String::from_utf8(body.clone())
        .unwrap()
        .replace("\":", "\": ")
        .replace(",\"", ", \"")
        .into();
    assert_eq!(delivery.codes(), (Some(1), vec!["body_rewritten".to_owned()]));
    delivery.body = body;
    delivery.secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".to_owned();
    assert_eq!(delivery.codes(), (Some(1), vec!["secret_wrong".to_owned()]));
}

#[test]
fn the_secret_may_come_from_a_file_or_standard_input() {
    let delivery = Delivery::capture();
    let site = Site::new();
    std::fs::write(site.path("secret"), format!("{}\n", delivery.secret)).unwrap();
    std::fs::write(site.path("body"), &delivery.body).unwrap();
    let args = [
        "verify",
        "--id",
        &delivery.id,
        "--timestamp",
        &delivery.timestamp,
        "--signature",
        &delivery.signature,
        "--secret",
    ];
    let output = site.run(&[&args[..], &["@secret", "body"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let both = site.run(&[&args[..], &["-", "-"]].concat());
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}

#[test]
fn wrong_usage_is_named_and_no_secret_is_shown() {
    let delivery = Delivery {
        secret: "whsec_hush-hush".to_owned(),
        id: "whd_1".to_owned(),
        timestamp: "1".to_owned(),
        signature: "v1,x".to_owned(),
        body: Vec::new(),
    };
    for (more, named) in [
        (&[][..], "secret"),
        (&["--tolerance", "soon"], "--tolerance"),
        (&["--at", "soon"], "--at"),
        (&["--secret", "@/nowhere"], "/nowhere"),
        (
            &["--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "/nowhere.json"],
            "/nowhere.json",
        ),
    ] {
        let output = delivery.judge(more);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {stderr}");
        assert!(stderr.contains(named) && !stderr.contains("hush"), "{more:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
    let missing = postrider(&["verify", "--id", "whd_1"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}
