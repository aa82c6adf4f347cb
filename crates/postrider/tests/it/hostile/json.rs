//! Bodies that are no JSON, or JSON of a kind that breaks weaker readers.

use super::{Stand, assert_documented, shown};

/// An event with this data.
fn event(data: &str) -> Vec<u8> {
    format!(r#"{{"name":"order.filled","resource":{{"id":"1","resource_type":"order"}},"data":{data}}}"#).into_bytes()
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn what_is_no_json_is_called_so_and_nothing_is_stored() {
    let deep = "[".repeat(1024 * 1024);
    let deep_objects = "{\"a\":".repeat(100_000);
    let bodies: Vec<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"{\"name\":\"a\0b\"}",
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{}",
        b"{\"name\":\"\xc3\x28\"}",
        b"{\"name\":\"\xed\xa0\x80\"}",
        b"{\"name\":\"\xf4\x90\x80\x80\"}",
        b"{'name':'a'}",
        b"{name:1}",
        b"{\"a\":1,}",
        b"{\"a\":.5}",
        b"{\"a\":+1}",
        b"{\"a\":0x10}",
        b"{\"a\":1e}",
        b"{\"a\":NaN}",
        b"{\"a\":Infinity}",
        b"{\"a\":1}/* comment */",
        b"{\"a\":1}\n{\"a\":1}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x41\"}",
        b"{\"a\":\"\\u12\"}",
        deep.as_bytes(),
        deep_objects.as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into();
    Stand::new().unchanged(|stand| {
        for path in [
            "/events",
            "/events/batch",
            "/webhooks",
            &format!("/webhooks/{}/test", stand.webhook),
        ] {
            for body in &bodies {
                let reply = stand.answer(&stand.post(path, body));
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (400, "malformed_json"),
                    "{path}: {}",
                    shown(body)
                );
            }
        }
    });
}

#[test]
fn what_is_json_but_not_what_is_asked_for_is_named() {
    let deep = nested("[", "]", 5_000);
    let deep_name = format!("{{\"name\":{}}}", nested("{\"a\":", "}", 5_000).replace(":}", ":1}"));
    let long_name = format!("{{\"name\":\"{}\"}}", "a".repeat(1_000_000));
    let wide = format!(
        "{{{}\"z\":1}}",
        (0..20_000).map(|index| format!("\"k{index}\":1,")).collect::<String>()
    );
    let large = format!("{{\"k\":\"{}\"}}", "x".repeat(256 * 1024));
    Stand::new().unchanged(|stand| {
        let bodies = [
            b"null".to_vec(),
            b"17".to_vec(),
            b"\"text\"".to_vec(),
            deep.clone().into_bytes(),
            deep_name.into_bytes(),
            long_name.into_bytes(),
            wide.into_bytes(),
            event("null"),
            event("[]"),
            event("\"{}\""),
            event("1e400"),
            event(&large),
            br#"{"name":"a","name":"a","resource":{"id":"1","resource_type":"t"}}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"1","id":"2","resource_type":"t"}}"#.to_vec(),
            br#"{"name":"a\u0000b","resource":{"id":"1","resource_type":"t"}}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"\u0000","resource_type":"t"}}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"\ud800","resource_type":"t"}}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"1","resource_type":"t"},"__proto__":{}}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"1","resource_type":"t"},"id":"evt_test_01"}"#.to_vec(),
            br#"{"name":"a","resource":{"id":"1","resource_type":"t"},"id":"a/../b"}"#.to_vec(),
        ];
        for body in bodies {
            let reply = stand.answer(&stand.post("/events", &body));
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "invalid_request"),
                "{}: {reply:?}",
                shown(&body)
            );
            assert_documented(&reply, &shown(&body));
            let params = reply.json()["params"].as_array().unwrap().clone();
            assert!(
                params.iter().all(|param| param["path"].as_str().unwrap().starts_with("body")),
                "{params:?}"
            );
        }
    });
}

#[test]
fn data_reaches_the_receiver_as_it_was_written_whatever_is_in_it() {
    let digits = "1234567890".repeat(4);
    let datas = [
        format!(r#"{{"n":{digits},"m":-{digits}.{digits}e-{digits},"z":-0,"h":0.10,"e":1E400}}"#),
        r#"{"a":1,"a":2,"a":{"a":null,"a":[]}}"#.to_owned(),
        r#"{"\u0000":"\u0000","s":"\ud83d\ude00","half":"\ud800","/":"\/"}"#.to_owned(),
        "{ \"b\" :\t1 ,\r\n \"a\" : [ ] }".to_owned(),
        "{\"é\":\"\u{2028}\u{10ffff}\u{7f}\"}".to_owned(),
        format!("{{\"deep\":{}}}", nested("[", "]", 5_000)),
        format!("{{\"deep\":{}}}", nested("{\"a\":", "}", 5_000).replace(":}", ":1}")),
        format!("{{\"k\":\"{}\"}}", "x".repeat(256 * 1024 - 8)),
        format!(
            "{{{}\"z\":1}}",
            (0..10_000).map(|index| format!("\"k{index}\":1,")).collect::<String>()
        ),
    ];
    let stand = Stand::new();
    for data in &datas {
        let reply = stand.answer(&stand.post("/events", &event(data)));
        assert_eq!(reply.status, 201, "{}: {reply:?}", shown(data.as_bytes()));
    }
    let whole = datas.iter().map(|data| shown_event(data)).collect::<Vec<_>>().join(",");
    let batch = format!("{{\"events\":[{whole}]}}");
    let reply = stand.answer(&stand.post("/events/batch", batch.as_bytes()));
    assert_eq!(reply.status, 201, "{}", shown(&reply.body));

    let arrivals = stand.receiver.wait(|arrivals| arrivals.len() >= 2 * datas.len());
    for data in &datas {
        let wanted = format!("\"data\":{data},\"created_at\":");
        let count = arrivals
            .iter()
            .filter(|arrival| String::from_utf8_lossy(&arrival.body).contains(&wanted))
            .count();
        assert_eq!(count, 2, "data was changed on its way: {}", shown(data.as_bytes()));
    }
    // The same again under an id of the caller's is the same, however deep; and lists can show all of it.
    let own = event(&datas[6]).strip_suffix(b"}").unwrap().to_vec();
    let own = [&own[..], b",\"id\":\"own-deep\"}"].concat();
    let statuses = [(); 2].map(|()| stand.answer(&stand.post("/events", &own)).status);
    assert_eq!(statuses, [201, 200]);
    let reply = stand.answer(stand.head("GET /deliveries?limit=200 HTTP/1.1", "").as_bytes());
    assert_eq!(reply.status, 200);
    assert!(String::from_utf8(reply.body).unwrap().contains(&digits));
    stand.is_well();
}

fn shown_event(data: &str) -> String {
    String::from_utf8(event(data)).unwrap()
}
