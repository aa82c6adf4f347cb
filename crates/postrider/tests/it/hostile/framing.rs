//! Requests that lie about where they end.

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::{Reply, Stand, assert_documented, read_to_end, replies, shown};

/// A request that would make a webhook, were it ever read as one.
fn smuggled(stand: &Stand) -> Vec<u8> {
    let body = json!({ "url": "http://127.0.0.1:9/smuggled" }).to_string();
    stand.post("/webhooks", body.as_bytes())
}

fn assert_refused(replies: &[Reply], what: &str) {
    for reply in replies {
        assert!(reply.status >= 400, "{what} was taken: {replies:?}");
        assert_documented(reply, what);
    }
    assert!(replies.len() <= 2, "{what}: {replies:?}");
}

#[test]
fn two_lengths_at_once_never_let_a_second_request_through() {
    let shapes = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked, identity\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
        "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length:\r\n",
    ];
    Stand::new().unchanged(|stand| {
        for shape in shapes {
            // The connection would be kept: only then is there somebody to be cheated.
            let token = &stand.account.token;
            let head = format!(
                "POST /events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{shape}\r\n"
            );
            let bytes = [head.as_bytes(), b"0\r\n\r\n", &smuggled(stand)].concat();
            let replies = stand.exchange_and_leave(&bytes);
            assert_refused(&replies, shape);
            assert!(replies.len() <= 1, "{shape:?} left a second request behind: {replies:?}");
        }
    });
}

#[test]
fn chunks_that_are_none_are_cut_off() {
    let long_extension = format!("5;{}\r\n", "x".repeat(1024 * 1024));
    let long_trailer = format!("2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let many_trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let tiny_chunks = "1\r\n \r\n".repeat(1_100_000);
    let shapes = [
        "ZZ\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\n{}",
        "2\r\n{}XX0\r\n\r\n",
        "2\r\n{}",
        "2\r\n{}\r\n0\r\n",
        "2",
        "",
        &long_extension,
        &long_trailer,
        &many_trailers,
        &tiny_chunks,
    ];
    Stand::new().unchanged(|stand| {
        let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        for shape in shapes {
            let head = stand.head("POST /events HTTP/1.1", chunked);
            let replies = stand.exchange_and_leave(&[head.as_bytes(), shape.as_bytes()].concat());
            assert_refused(&replies, &shown(shape.as_bytes()));
        }
    });
}

#[test]
fn a_body_shorter_or_longer_than_it_says_is_no_event() {
    let event = br#"{"name":"a.b","resource":{"id":"1","resource_type":"t"}}"#;
    Stand::new().unchanged(|stand| {
        for length in [1, event.len() - 1, event.len() + 1, 1024 * 1024] {
            let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
            let head = stand.head("POST /events HTTP/1.1", &headers);
            let replies = stand.exchange_and_leave(&[head.as_bytes(), event].concat());
            assert_refused(&replies, &format!("a length of {length}"));
        }
        let huge = stand.head(
            "POST /events HTTP/1.1",
            "Content-Type: application/json\r\nContent-Length: 18446744073709551615\r\n",
        );
        let replies = stand.exchange_and_leave(&[huge.as_bytes(), event].concat());
        assert_refused(&replies, "the longest length");
        // Where no body is read, one does no harm, and is not taken for the next request.
        let body = smuggled(stand);
        let headers = format!("Content-Length: {}\r\n", body.len());
        let get = stand.head("GET /webhooks HTTP/1.1", &headers);
        assert_eq!(stand.answer(&[get.as_bytes(), &body].concat()).status, 200);
    });
}

#[test]
fn broken_heads_are_refused_bare_and_closed() {
    let large = format!("GET /healthz HTTP/1.1\r\nHost: test\r\nx: {}\r\n\r\n", "x".repeat(80 * 1024));
    let many = format!("GET /healthz HTTP/1.1\r\nHost: test\r\n{}\r\n", "x: 1\r\n".repeat(1_000));
    let endless = format!("GET /healthz HTTP/1.1\r\nHost: test\r\nx: {}", "x".repeat(2 * 1024 * 1024));
    let heads: [&[u8]; 17] = [
        b"\r\n\r\n\r\n\r\nGET\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1 x\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"G\x00T /healthz HTTP/1.1\r\n\r\n",
        b"GET /heal\x00thz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx\x00: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: a\r\n folded\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        large.as_bytes(),
        many.as_bytes(),
        endless.as_bytes(),
    ];
    Stand::new().unchanged(|stand| {
        for head in heads {
            let replies = stand.exchange_and_leave(head);
            assert_refused(&replies, &shown(head));
            assert!(
                replies.len() <= 1 && replies.iter().all(|reply| reply.body.is_empty()),
                "{}: {replies:?}",
                shown(head)
            );
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order_up_to_the_bad_one() {
    let stand = Stand::new();
    let token = &stand.account.token;
    let keep = |line: &str, headers: &str, body: &str| {
        format!(
            "{line}\r\nHost: test\r\nAuthorization: Bearer {token}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let event = |number: u32| {
        let body = format!(r#"{{"name":"a.b","resource":{{"id":"{number}","resource_type":"t"}}}}"#);
        keep("POST /events HTTP/1.1", "Content-Type: application/json\r\n", &body)
    };
    let mut bytes: String = (0..200).map(event).collect();
    bytes.push_str(&keep("GET /nothing HTTP/1.1", "", ""));
    bytes.push_str(&keep("POST /events HTTP/1.1", "Content-Type: application/json\r\n", "{"));
    bytes.push_str("garbage\r\n\r\n");
    bytes.push_str(&event(200));
    let replies = stand.exchange(bytes.as_bytes());
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let wanted = [vec![201; 200], vec![404, 400, 400]].concat();
    assert_eq!(statuses, wanted);
    for (number, reply) in replies.iter().take(200).enumerate() {
        assert_eq!(reply.json()["resource"]["id"], number.to_string(), "out of order");
    }
    let arrivals = stand.receiver.wait(|arrivals| arrivals.len() >= 200);
    assert!(arrivals.iter().all(|arrival| arrival.event["resource"]["id"] != "200"));
    stand.is_well();
}

#[test]
fn http_1_0_and_expectations_are_served() {
    let stand = Stand::new();
    let mut replies = stand.exchange(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(replies.remove(0).status, 200, "closed without being asked");
    let event = br#"{"name":"a.b","resource":{"id":"1","resource_type":"t"}}"#;
    let headers = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n",
        event.len()
    );
    let mut stream = stand.connect();
    stream.write_all(stand.head("POST /events HTTP/1.1", &headers).as_bytes()).unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(event).unwrap();
    assert_eq!(super::replies(&read_to_end(&mut stream))[0].status, 201);
    // Who is not let in is told so before the body is sent.
    let refused = stand.head("POST /nothing HTTP/1.1", &headers);
    let mut stream = stand.connect();
    stream.write_all(refused.as_bytes()).unwrap();
    assert_eq!(replies_of(&mut stream)[0].status, 404);
    stand.is_well();
}

fn replies_of(stream: &mut std::net::TcpStream) -> Vec<Reply> {
    replies(&read_to_end(stream))
}
