//! Many connections at once, and slow ones.

use std::io::Write as _;
use std::net::TcpStream;

use super::{Stand, read_to_end, replies};

/// Connections that are opened and left alone.
const IDLE: usize = 4_000;
/// Files that the server may have open in the test where it has too few.
const FEW_FILES: u64 = 200;

#[test]
fn thousands_of_idle_and_half_open_connections_keep_nobody_from_being_served() {
    let stand = Stand::new();
    let beginnings: [&[u8]; 5] = [
        b"",
        b"G",
        b"POST /events HTTP/1.1\r\nHost: test\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n{",
    ];
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|index| {
            let mut stream = stand.connect();
            stream.write_all(beginnings[index % beginnings.len()]).unwrap();
            // The system's queue of new connections is short: an answer shows that it is empty again.
            if index % 100 == 0 {
                assert_eq!(stand.answer(stand.head("GET /me HTTP/1.1", "").as_bytes()).status, 200);
            }
            stream
        })
        .collect();
    stand.is_well();
    drop(idle);
    stand.is_well();
}

#[test]
fn a_request_that_comes_byte_by_byte_is_a_request() {
    let stand = Stand::new();
    let event = br#"{"name":"a.b","resource":{"id":"1","resource_type":"t"}}"#;
    let mut stream = stand.connect();
    for byte in stand.post("/events", event) {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(replies(&read_to_end(&mut stream))[0].status, 201);
    stand.is_well();
}

#[test]
fn clients_that_go_away_in_the_middle_leave_nothing_behind() {
    let event = br#"{"name":"a.b","resource":{"id":"1","resource_type":"t"}}"#;
    Stand::new().unchanged(|stand| {
        let request = stand.post("/events", event);
        for length in (0..request.len()).step_by(7) {
            let mut stream = stand.connect();
            stream.write_all(&request[..length]).unwrap();
        }
    });
}

#[test]
fn who_does_not_read_answers_is_not_waited_for() {
    let stand = Stand::new();
    let token = &stand.account.token;
    let request = format!("GET /webhooks HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let deaf: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = stand.connect();
            stream.set_nonblocking(true).unwrap();
            // As much as goes in before the server stops reading.
            while stream.write_all(request.as_bytes()).is_ok() {}
            stream
        })
        .collect();
    stand.is_well();
    drop(deaf);
}

#[test]
fn a_server_without_file_handles_serves_again_as_soon_as_it_has_some() {
    let stand = Stand::new();
    stand.is_well();
    stand.server.limit_files(FEW_FILES);
    // More than it can take; the rest waits in the system's queue, which has room for a hundred and more.
    let crowd: Vec<TcpStream> = (0..FEW_FILES + 60).map(|_| stand.connect()).collect();
    drop(crowd);
    stand.is_well();
    assert!(
        stand.site.said().contains("a connection could not be taken"),
        "it had handles for all: this tested nothing"
    );
}
