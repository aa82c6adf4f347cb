//! HTTP/2 with prior knowledge, frame by frame: what well-behaved libraries never send.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

use super::{Stand, read_to_end};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://…/` by HPACK's static table (RFC 7541 appendix A).
const GET_ROOT: [u8; 3] = [0x82, 0x86, 0x84];

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A literal header without indexing and without Huffman coding (RFC 7541 §6.2.2), of a short name and a value below 16 KiB.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    match value.len() {
        short @ 0..127 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            let rest = long - 127;
            bytes.extend([127, u8::try_from(rest % 128).unwrap() | 128, u8::try_from(rest / 128).unwrap()]);
        }
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// The frames that the server sent: their kind, stream and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        frames.push((head[3], stream, payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// Sends these frames behind a good beginning, and takes what the server says until it is an answer or a refusal of one of these kinds,
/// or the connection is closed. We do not close it: that would race with what the server has to say.
fn says(stand: &Stand, sent: &[u8], last: &[u8]) -> Vec<u8> {
    let mut stream = stand.connect();
    let mut reader = stream.try_clone().unwrap();
    let last = last.to_vec();
    // It may answer before it has heard all: both sides' buffers must not fill.
    let reading = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let kinds = |heard: &[u8]| frames(heard).iter().map(|(kind, ..)| *kind).collect::<Vec<_>>();
        while !kinds(&heard).iter().any(|kind| last.contains(kind)) {
            match reader.read(&mut buffer) {
                Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("neither answered nor closed: {:?}", kinds(&heard)),
                Ok(0) | Err(_) => break,
            }
        }
        // It may be closed already.
        let _ = reader.shutdown(Shutdown::Both);
        kinds(&heard)
    });
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    // A server that has heard enough closes while the rest is written.
    let _ = stream.write_all(&hello).and_then(|()| stream.write_all(sent));
    reading.join().unwrap()
}

/// Sends a flood, leaves, and waits for the server to close.
fn flood(stand: &Stand, sent: &[u8]) {
    let mut stream = stand.connect();
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || read_to_end(&mut reader));
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    // As above.
    let _ = stream.write_all(&hello).and_then(|()| stream.write_all(sent));
    let _ = stream.shutdown(Shutdown::Write);
    reading.join().unwrap();
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &GET_ROOT)
}

#[test]
fn a_plain_request_is_answered() {
    let stand = Stand::new();
    let mut stream = stand.connect();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1)].concat()).unwrap();
    let mut heard = Vec::new();
    // Until the answer's last frame: its body is JSON, in one piece.
    while !heard.ends_with(b"}") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {:?}", frames(&heard));
        heard.extend_from_slice(&buffer[..count]);
    }
    let body = frames(&heard).into_iter().find(|(kind, ..)| *kind == DATA).unwrap().2;
    assert!(String::from_utf8(body).unwrap().contains("route_not_found"));
}

#[test]
fn streams_that_are_opened_and_reset_at_once_end_the_connection_and_nothing_else() {
    let stand = Stand::new();
    let reset = |index: u32| {
        let stream = 2 * index + 1;
        [get(stream), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    let flood: Vec<u8> = (0..50_000).flat_map(reset).collect();
    let heard = says(&stand, &flood, &[GOAWAY]);
    assert!(heard.contains(&GOAWAY), "fifty thousand resets were borne: {} frames", heard.len());
    stand.is_well();
}

#[test]
fn lists_of_headers_without_end_are_cut_off() {
    let stand = Stand::new();
    let junk: Vec<u8> = (0..16)
        .flat_map(|index| literal(&format!("x{index}"), &"y".repeat(1_000)))
        .collect();
    let mut endless = frame(HEADERS, END_STREAM, 1, &GET_ROOT);
    for _ in 0..1_000 {
        endless.extend(frame(CONTINUATION, 0, 1, &junk));
    }
    let mut empty = frame(HEADERS, END_STREAM, 1, &GET_ROOT);
    for _ in 0..100_000 {
        empty.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    // A bomb of HPACK: one large header in the table, named again a million times in a megabyte.
    let mut large = vec![0x40];
    large.extend_from_slice(&literal("x-large", &"y".repeat(3_900))[1..]);
    let mut bomb = frame(HEADERS, END_STREAM, 1, &[&GET_ROOT[..], &large].concat());
    for _ in 0..60 {
        bomb.extend(frame(CONTINUATION, 0, 1, &[0xbe; 16_384]));
    }
    bomb.extend(frame(CONTINUATION, END_HEADERS, 1, &[]));
    for (what, flood) in [("endless", endless), ("empty", empty), ("bomb", bomb)] {
        let heard = says(&stand, &flood, &[GOAWAY, RST_STREAM, HEADERS]);
        // The bomb is a list over the limit, which is answered with a 431.
        let is_cut_off = heard.contains(&GOAWAY) || heard.contains(&RST_STREAM);
        assert!(is_cut_off || what == "bomb", "{what}: {heard:?}");
        stand.is_well();
    }
}

#[test]
fn frames_out_of_place_end_the_connection_and_nothing_else() {
    let stand = Stand::new();
    let large = [0; 100_000];
    let shapes: [(&str, Vec<u8>); 12] = [
        ("data on no stream", frame(DATA, 0, 0, b"x")),
        ("data on a stream that was not opened", frame(DATA, 0, 5, b"x")),
        ("a frame above the limit", frame(DATA, 0, 1, &large)),
        ("an even stream", get(2)),
        ("a stream that was closed", [get(5), get(3)].concat()),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &GET_ROOT)),
        ("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (
            "a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()).repeat(2),
        ),
        (
            "an index that no table has",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0xff, 0xff, 0x7f]),
        ),
    ];
    for (what, bytes) in shapes {
        let heard = says(&stand, &bytes, &[GOAWAY, RST_STREAM]);
        assert!(heard.contains(&GOAWAY) || heard.contains(&RST_STREAM), "{what}: {heard:?}");
    }
    stand.is_well();
}

#[test]
fn floods_of_small_frames_are_borne_or_cut_off() {
    let stand = Stand::new();
    let floods = [
        frame(PING, 0, 0, &[0; 8]).repeat(100_000),
        frame(SETTINGS, 0, 0, &[]).repeat(100_000),
        frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()).repeat(100_000),
        frame(77, 0xff, 0, b"unknown").repeat(100_000),
        [frame(HEADERS, END_HEADERS, 1, &GET_ROOT), frame(DATA, 0, 1, &[]).repeat(100_000)].concat(),
        (0..20_000)
            .flat_map(|index| frame(HEADERS, END_HEADERS, 2 * index + 1, &GET_ROOT))
            .collect(),
        b"garbage behind a good beginning".repeat(1_000),
    ];
    for sent in floods {
        flood(&stand, &sent);
        stand.is_well();
    }
}

#[test]
fn forbidden_headers_are_a_fault_of_their_stream() {
    let stand = Stand::new();
    let with = |name: &str, value: &str| {
        let block = [&GET_ROOT[..], &literal(name, value)].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)
    };
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("Upper", "x"),
        (":path", "/again"),
        (":status", "200"),
        ("x", "a\r\nb: c"),
        ("x", "a\0b"),
        ("a b", "c"),
        ("", "nameless"),
    ] {
        let heard = says(&stand, &with(name, value), &[GOAWAY, RST_STREAM, HEADERS]);
        assert!(
            heard.contains(&GOAWAY) || heard.contains(&RST_STREAM),
            "{name:?}: {value:?}: {heard:?}"
        );
    }
    stand.is_well();
}
