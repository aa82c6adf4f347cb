//! Methods, paths and queries that no client of good will sends.

use super::{Stand, assert_documented, shown};

#[test]
fn no_spelling_of_a_path_reaches_what_it_should_not() {
    let long = format!("/webhooks/{}", "a".repeat(60_000));
    let longer = format!("/webhooks/{}", "a".repeat(66_000));
    let slashes = format!("/webhooks{}", "/".repeat(10_000));
    let encoded = format!("/webhooks/{}", "%41".repeat(10_000));
    Stand::new().unchanged(|stand| {
        let id = &stand.webhook;
        let inner = format!("/webhooks/{id}%2Fdeliveries");
        let up = format!("/webhooks/x/../{id}");
        let encoded_up = format!("/webhooks/x/%2e%2e/{id}");
        let parameter = format!("/webhooks/{id};a=b");
        let nul = format!("/webhooks/{id}%00");
        let space = format!("/webhooks/{id}%20");
        let upper = format!("/webhooks/{}", id.to_uppercase());
        let trailing = format!("/webhooks/{id}/");
        let paths = [
            "/",
            "//",
            "///",
            "//webhooks",
            "/webhooks/",
            "/webhooks//",
            "/./webhooks",
            "/x/../webhooks",
            "/WEBHOOKS",
            "/webhooks%2F",
            "/%77ebhooks",
            "/webhooks%00",
            "/webhooks/%00",
            "/webhooks/%",
            "/webhooks/%zz",
            "/webhooks/%ff",
            "/webhooks/%c0%af",
            "/webhooks/%2e%2e",
            "/webhooks/..%2f..%2fetc%2fpasswd",
            "/webhooks/{id}",
            "/webhooks/'%20OR%201=1--",
            "/webhooks/%F0%9F%9A%80",
            "/events/%2F",
            "/events/evt_test_00000000000000000000000000",
            "/deliveries/..",
            "/keys",
            "/accounts/..",
            "/accounts/acc_1/keys/key_1",
            &inner,
            &up,
            &encoded_up,
            &parameter,
            &nul,
            &space,
            &upper,
            &trailing,
            &long,
            &longer,
            &slashes,
            &encoded,
        ];
        for path in paths {
            for method in ["GET", "DELETE"] {
                let reply = stand.answer(stand.head(&format!("{method} {path} HTTP/1.1"), "").as_bytes());
                let what = format!("{method} {}", shown(path.as_bytes()));
                assert!((400..500).contains(&reply.status), "{what}: {reply:?}");
                assert_documented(&reply, &what);
            }
        }
    });
}

#[test]
fn methods_that_no_route_has_are_refused_like_any_other() {
    Stand::new().unchanged(|stand| {
        let id = &stand.webhook;
        for method in [
            "OPTIONS",
            "TRACE",
            "PATCH",
            "PROPFIND",
            "FROBNICATE",
            "get",
            "G3T",
            &"M".repeat(1_000),
        ] {
            let reply = stand.answer(stand.head(&format!("{method} /webhooks/{id} HTTP/1.1"), "").as_bytes());
            assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{method}");
            assert!(reply.head.contains("\r\nallow: GET, PUT, DELETE, HEAD"), "{method}: {}", reply.head);
        }
        for line in [
            "OPTIONS * HTTP/1.1",
            "CONNECT 127.0.0.1:22 HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "GET * HTTP/1.1",
            "PRI * HTTP/1.1",
        ] {
            let replies = stand.exchange(stand.head(line, "").as_bytes());
            assert!(!replies.is_empty(), "{line}");
            for reply in replies {
                assert!((400..500).contains(&reply.status), "{line}: {reply:?}");
                assert_documented(&reply, line);
            }
        }
    });
}

#[test]
fn a_whole_url_as_target_is_its_path() {
    let stand = Stand::new();
    let answered = |line: &str| stand.answer(stand.head(line, "").as_bytes()).status;
    assert_eq!(answered("GET http://elsewhere.example.com/webhooks HTTP/1.1"), 200);
    assert_eq!(
        answered("GET https://user:pass@elsewhere.example.com:1/webhooks?limit=1 HTTP/1.1"),
        200
    );
    assert_eq!(answered("GET http://elsewhere.example.com HTTP/1.1"), 404);
    stand.is_well();
}

#[test]
fn queries_are_judged_whole_however_long_or_broken() {
    let long = format!("name={}", "a".repeat(60_000));
    let many = "limit=1&".repeat(7_000);
    let queries = [
        "limit=0",
        "limit=-1",
        "limit=1e2",
        "limit=18446744073709551616",
        "limit=%00",
        "limit=1&limit=1",
        "limit=%FF",
        "%FF=1",
        "=",
        "=1",
        "cursor=%00",
        "status=%2e",
        "created[gt]=now",
        "created%5Bgt%5D=2026-02-30T00:00:00Z",
        "created[gt]=99999-01-01T00:00:00Z",
        "created[xx]=1",
        "created=1",
        "resource[id]=",
        "resource[id]=%00",
        "name=a..b",
        "name=*",
        "x[]=1",
        "__proto__=1",
        "limit",
        &long,
        &many,
    ];
    Stand::new().unchanged(|stand| {
        for query in queries {
            let reply = stand.answer(stand.head(&format!("GET /deliveries?{query} HTTP/1.1"), "").as_bytes());
            let what = shown(query.as_bytes());
            assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{what}: {reply:?}");
            assert_documented(&reply, &what);
        }
        for query in [
            "",
            "&&&",
            "limit=%31",
            "name=order.%2A",
            "webhook=%00",
            "event=../..",
            "event=%F0%9F%9A%80",
        ] {
            let reply = stand.answer(stand.head(&format!("GET /deliveries?{query} HTTP/1.1"), "").as_bytes());
            assert_eq!(reply.status, 200, "{query}: {reply:?}");
        }
    });
}

#[test]
fn headers_that_we_read_are_judged_whatever_is_in_them() {
    Stand::new().unchanged(|stand| {
        let long = "x".repeat(60_000);
        let tokens: [&[u8]; 9] = [
            b"",
            b"Bearer",
            b"Bearer  ",
            b"Bearer \xff\xfe",
            b"Basic eDp5",
            b"Bearer ptr_x, Bearer y",
            b"\"Bearer\" x",
            b"Bearer\tx",
            long.as_bytes(),
        ];
        for token in tokens {
            let bytes = [
                b"GET /webhooks HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: ",
                token,
                b"\r\n\r\n",
            ]
            .concat();
            let reply = stand.answer(&bytes);
            assert_eq!(reply.status, 401, "{}: {reply:?}", shown(token));
            assert!(reply.head.contains("\r\nwww-authenticate: Bearer"), "{reply:?}");
            assert_documented(&reply, &shown(token));
        }
        let too_long = format!("Account-Id: {long}\r\n");
        for (header, status) in [
            ("Api-Version: 2026-01-02\r\n", 400),
            ("Api-Version: \r\n", 400),
            ("Account-Id: acc_00000000000000000000000000\r\n", 403),
            ("Account-Id: '\r\n", 403),
            (&too_long, 403),
        ] {
            let reply = stand.answer(stand.head("GET /webhooks HTTP/1.1", header).as_bytes());
            assert_eq!(reply.status, status, "{}: {reply:?}", shown(header.as_bytes()));
            assert_documented(&reply, &shown(header.as_bytes()));
        }
        let reply = stand.answer(
            stand
                .head("GET /webhooks HTTP/1.1", "Client-Request-Id: <b>\t\"x\" é\r\n")
                .as_bytes(),
        );
        assert_eq!(reply.status, 200);
    });
}
