//! Which urls may be registered, and what a delivery reads of one.

#![allow(clippy::panic, reason = "how a table of tests fails")]

use std::net::IpAddr;

use postrider_model::url::{URL_CHARS_MAX, UrlError, UrlPolicy, WebhookUrl};
use proptest::prelude::*;

fn dev() -> UrlPolicy {
    UrlPolicy {
        dev: true,
        host_suffixes: Vec::new(),
    }
}

fn allowing(suffixes: &[&str]) -> UrlPolicy {
    UrlPolicy {
        dev: false,
        host_suffixes: suffixes.iter().map(|text| text.to_string()).collect(),
    }
}

fn accepted(text: &str, policy: &UrlPolicy) -> WebhookUrl {
    WebhookUrl::parse(text, policy).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The code that a url is refused with, or `ok`.
fn judged(text: &str, policy: &UrlPolicy) -> &'static str {
    WebhookUrl::parse(text, policy).map_or_else(UrlError::code, |_| "ok")
}

fn assert_all(policy: &UrlPolicy, code: &str, urls: &[&str]) {
    for text in urls {
        assert_eq!(judged(text, policy), code, "{text:?}");
    }
}

const ACCEPTED: &[&str] = &[
    "https://example.com",
    "https://example.com/",
    "https://example.com/hooks/1?a=b&c[]=d",
    "https://example.com?a=b",
    "https://example.com/a@b",
    "https://example.com/?to=https://10.0.0.1/",
    "https://example.com:443/",
    "https://example.com:1/",
    "https://example.com:65535/",
    "https://example.com:08443/",
    "HTTPS://Example.COM/Path",
    "hTTps://hooks.example.co.uk/in",
    "https://my_app.example.com/",
    "https://_x.example.com/",
    "https://r3---sn-apo3qvuoxuxbt-j5pe.example.com/",
    "https://123.example.com/",
    "https://127.0.0.1.example.com/",
    "https://0x7f.1.example.com/",
    "https://1e100.net/",
    "https://example.x0/",
    "https://bücher.example.com/",
    "https://xn--bcher-kva.example.com/",
    "https://例え.jp/",
    "https://faß.de/",
    "https://example。com/",
    "https://localhost.example.com/",
    "https://notlocalhost.com/",
    "https://mylocal.org/",
    "https://internal.com/",
    "https://example.com/%zz%00",
    "https://example.com/../..//",
];

#[test]
fn what_leads_to_a_public_name_over_https_is_accepted() {
    assert_all(&UrlPolicy::default(), "ok", ACCEPTED);
}

const REFUSED: &[(&str, &[&str])] = &[
    (
        "url_not_https",
        &[
            "",
            "example.com",
            "//example.com/",
            "http://example.com/",
            "HTTP://example.com/",
            "ftp://example.com/",
            "javascript:alert(1)",
            "https",
            "https:example.com",
            "https:/example.com/",
            "xhttps://example.com/",
            "\u{feff}https://example.com/",
            "httpſ://example.com/",
        ],
    ),
    (
        "url_whitespace",
        &[
            " https://example.com/",
            "https://example.com/ ",
            "https://exa mple.com/",
            "https://example.com/a b",
            "https://example.com/a\tb",
            "https://example.com/\r\nX-Evil: 1",
            "https://example.com/\u{a0}",
            "https://example.com/\u{3000}",
            "https://example.com/\u{2028}",
            "https://exam\nple.com/",
        ],
    ),
    (
        "url_control_character",
        &["https://example.com/\0", "https://exa\u{7f}mple.com/", "https://example.com/\u{9f}"],
    ),
    (
        "url_backslash",
        &[
            "https:\\\\example.com\\",
            "https://example.com\\@10.0.0.1/",
            "https://example.com/a\\b",
        ],
    ),
    (
        "url_fragment",
        &[
            "https://example.com#",
            "https://example.com/#a",
            "https://example.com/?a#b",
            "https://#",
        ],
    ),
    (
        "url_userinfo",
        &[
            "https://@example.com/",
            "https://:@example.com/",
            "https://user@example.com/",
            "https://user:password@example.com/",
            "https://example.com@10.0.0.1/",
            "https://example.com:443@10.0.0.1/",
        ],
    ),
    (
        "url_no_host",
        &[
            "https://",
            "https:///",
            "https://:443/",
            "https://?a",
            "https:///example.com/",
            "https://\u{ad}/",
        ],
    ),
    (
        "url_port",
        &[
            "https://example.com:",
            "https://example.com:/",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:99999999999999999999/",
            "https://example.com:-1/",
            "https://example.com:+443/",
            "https://example.com:0x50/",
            "https://example.com:443:443/",
            "https://example.com:４４３/",
            "https://abc.de::1/",
        ],
    ),
    (
        "url_percent_in_host",
        &[
            "https://exam%70le.com/",
            "https://%31%32%37.0.0.1/",
            "https://example.com%2f/",
            "https://%/",
        ],
    ),
    (
        "url_trailing_dot",
        &["https://example.com./", "https://localhost.", "https://.", "https://example.com。"],
    ),
    (
        "url_empty_label",
        &["https://.example.com/", "https://example..com/", "https://a。。com/"],
    ),
    (
        "url_label_hyphen",
        &["https://-example.com/", "https://example-.com/", "https://a.-.com/"],
    ),
    (
        "url_host_character",
        &[
            "https://exam!ple.com/",
            "https://example.com&a/",
            "https://\"example.com/",
            "https://a|b.com/",
            "https://a[b].com/",
            "https://example.com／a/",
            "https://example％2ecom/",
            "https://*.example.com/",
            "https://example.com;a/",
        ],
    ),
    (
        "url_idna",
        &[
            "https://xn--/",
            "https://xn--a.com/",
            "https://xn--\u{fc}.com/",
            "https://\u{301}a.com/",
            "https://a\u{202e}b.com/",
        ],
    ),
    (
        "url_special_use_name",
        &[
            "https://localhost/",
            "https://LOCALHOST:8080/",
            "https://ｌｏｃａｌｈｏｓｔ/",
            "https://app.localhost/",
            "https://printer.local/",
            "https://local/",
            "https://metadata.google.internal/",
            "https://internal/",
            "https://a.test/",
            "https://test/",
            "https://example/",
            "https://a.example/",
            "https://a.ExAmPlE/",
            "https://a.invalid/",
            "https://a.onion/",
            "https://a.alt/",
            "https://1.0.0.127.in-addr.arpa/",
            "https://router.home.arpa/",
            "https://a。internal/",
        ],
    ),
    (
        "url_no_dot",
        &["https://intranet/", "https://com/", "https://bücher/", "https://a_b:8443/"],
    ),
];

#[test]
fn what_breaks_a_rule_is_refused_with_the_code_of_the_rule() {
    for (code, urls) in REFUSED {
        assert_all(&UrlPolicy::default(), code, urls);
    }
}

const IP_LITERALS: &[&str] = &[
    "https://127.0.0.1/",
    "https://8.8.8.8/",
    "https://8.8.8.8:443/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://2130706433./",
    "https://0/",
    "https://1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0177.0.0.01/",
    "https://0x7f000001/",
    "https://0X7F.0X0.0x0.0x1/",
    "https://0x7f.1/",
    "https://127.0x1/",
    "https://0x/",
    "https://127.0.0.0x/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://1.2.3.09/",
    "https://99999999999999999999/",
    "https://example.1/",
    "https://example.0xff/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://127．0．0．1/",
    "https://127｡0｡0｡1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://０ｘ７ｆ.1/",
    "https://𝟏𝟐𝟕.0.0.1/",
    "https://127.0.0.1。/",
    "https://12\u{ad}7.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::1]:8443/",
    "https://[2606:4700:4700::1111]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[v1.fe]/",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://2001:db8::1/",
];

#[test]
fn an_ip_address_is_refused_in_any_spelling() {
    assert_all(&UrlPolicy::default(), "url_is_ip", IP_LITERALS);
}

#[test]
fn no_allowed_suffix_lifts_https_or_the_rule_of_ips() {
    let policy = allowing(&[".internal", "1", ".0.0.1", "127.0.0.1", "", "."]);
    assert_all(&policy, "url_is_ip", IP_LITERALS);
    assert_all(&policy, "url_not_https", &["http://a.internal/", "http://internal/"]);
}

#[test]
fn lengths_are_accepted_up_to_their_limit() {
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(host.len(), 253);
    let policy = UrlPolicy::default();
    assert_eq!(judged(&format!("https://{host}/"), &policy), "ok");
    assert_eq!(judged(&format!("https://{host}a/"), &policy), "url_host_too_long");
    assert_eq!(judged(&format!("https://a{label}.com/"), &policy), "url_label_too_long");

    // Characters, not bytes: ü has two.
    let url = format!("https://example.com/{}", "ü".repeat(URL_CHARS_MAX - 20));
    assert_eq!(judged(&url, &policy), "ok");
    assert_eq!(judged(&format!("{url}a"), &policy), "url_too_long");
}

#[test]
fn the_length_of_a_label_is_that_of_its_ascii_form() {
    let url = format!("https://{}.com/", "ü".repeat(40));
    assert_eq!(judged(&url, &UrlPolicy::default()), "ok");
    let url = format!("https://{}.com/", "bü".repeat(31));
    assert_eq!(judged(&url, &UrlPolicy::default()), "url_label_too_long");
}

#[test]
fn an_allowed_suffix_lifts_the_names_at_and_below_it() {
    let urls = ["https://hooks.internal/", "https://a.b.INTERNAL/", "https://internal/"];
    for suffix in [".internal", "internal", ".INTERNAL"] {
        assert_all(&allowing(&[suffix]), "ok", &urls);
    }
    let policy = allowing(&[".corp.internal", ".lan", ".svc.cluster.local"]);
    let lifted = ["https://a.corp.internal/", "https://corp.internal/", "https://lan/"];
    assert_all(&policy, "ok", &lifted);
    assert_all(&policy, "ok", &["https://api.default.svc.cluster.local:8443/"]);
}

#[test]
fn an_allowed_suffix_lifts_no_other_name() {
    let policy = allowing(&[".corp.internal", ".lan", "", "."]);
    let special = ["https://internal/", "https://a.internal/", "https://xcorp.internal/"];
    assert_all(&policy, "url_special_use_name", &special);
    assert_all(&policy, "url_no_dot", &["https://wlan/", "https://intranet/"]);
}

#[test]
fn dev_lifts_scheme_ip_and_name() {
    assert_all(&dev(), "ok", ACCEPTED);
    let urls = [
        "http://localhost:8080/",
        "http://127.0.0.1:9000/hook",
        "https://127.0.0.1/",
        "http://[::1]:9000/",
        "http://intranet/",
        "https://a.internal/",
        "http://１２７.0.0.1/",
    ];
    assert_all(&dev(), "ok", &urls);
}

#[test]
fn dev_lifts_no_spelling() {
    assert_all(&dev(), "url_not_http", &["", "ftp://localhost/", "localhost:8080", "http:/a/"]);
    assert_all(&dev(), "url_ip_spelling", &["http://127.1/", "http://2130706433/", "http://[::1/"]);
    assert_all(
        &dev(),
        "url_ip_spelling",
        &["http://[fe80::1%25eth0]/", "http://[::1]x/", "http://0x7f.1/"],
    );
    assert_all(&dev(), "url_no_host", &["http://", "http://:80/", "https:///a"]);
    assert_all(&dev(), "url_userinfo", &["http://a:b@localhost/", "http://@localhost/"]);
    assert_all(&dev(), "url_fragment", &["http://localhost/#a"]);
    assert_all(&dev(), "url_whitespace", &["http://localhost/ "]);
    assert_all(&dev(), "url_trailing_dot", &["http://localhost./"]);
    assert_all(&dev(), "url_port", &["http://localhost:0/", "http://[::1]:/"]);
}

#[test]
fn what_is_stored_is_read_whatever_the_policy_says_now() {
    for text in ["https://a.internal/", "http://localhost:1/", "https://[::1]/"] {
        let url = WebhookUrl::from_stored(text).expect(text);
        assert_eq!(url.as_str(), text);
    }
    assert_eq!(WebhookUrl::from_stored("nonsense"), Err(UrlError::NotHttp));
}

/// `(url, host, authority, port, path and query)`
const PARTS: &[(&str, &str, &str, u16, &str)] = &[
    ("https://example.com", "example.com", "example.com", 443, "/"),
    ("HTTPS://EXAMPLE.com:443", "example.com", "example.com", 443, "/"),
    ("https://example.com:08443/A", "example.com", "example.com:8443", 8443, "/A"),
    ("https://example.com:80?q", "example.com", "example.com:80", 80, "/?q"),
    ("https://example.com/?", "example.com", "example.com", 443, "/?"),
    ("https://example.com/a?b/c?d:e@f", "example.com", "example.com", 443, "/a?b/c?d:e@f"),
    ("https://example.com//a/../b/.", "example.com", "example.com", 443, "//a/../b/."),
    ("https://example.com/%C3%bc%zz", "example.com", "example.com", 443, "/%C3%bc%zz"),
    (
        "https://example.com/ü?ü=€",
        "example.com",
        "example.com",
        443,
        "/%C3%BC?%C3%BC=%E2%82%AC",
    ),
    (
        "https://example.com/{a}?b[]=\"<>",
        "example.com",
        "example.com",
        443,
        "/%7Ba%7D?b[]=%22%3C%3E",
    ),
    ("https://BÜCHER.de/", "xn--bcher-kva.de", "xn--bcher-kva.de", 443, "/"),
    ("https://例え。jp:8443/", "xn--r8jz45g.jp", "xn--r8jz45g.jp:8443", 8443, "/"),
    ("http://localhost/", "localhost", "localhost", 80, "/"),
    ("http://localhost:443/", "localhost", "localhost:443", 443, "/"),
    ("http://127.0.0.1:80/a", "127.0.0.1", "127.0.0.1", 80, "/a"),
    ("http://[0:0::1]:9000/", "::1", "[::1]:9000", 9000, "/"),
    ("https://[2001:DB8::1]", "2001:db8::1", "[2001:db8::1]", 443, "/"),
];

#[test]
fn a_delivery_reads_the_parts_of_a_url() {
    for (text, host, authority, port, path_and_query) in PARTS {
        let url = accepted(text, &dev());
        assert_eq!(url.host(), *host, "{text}");
        assert_eq!(url.authority(), *authority, "{text}");
        assert_eq!(url.port(), *port, "{text}");
        assert_eq!(url.path_and_query(), *path_and_query, "{text}");
        assert_eq!(url.as_str(), *text);
        assert_eq!(url.to_string(), *text);
        assert_eq!(format!("{url:?}"), format!("{text:?}"));
        assert_eq!(url.is_https(), text.to_lowercase().starts_with("https:"), "{text}");
        assert_eq!(url.host_ip(), host.parse::<IpAddr>().ok(), "{text}");
    }
}

#[test]
fn every_message_is_plain_and_every_code_is_its_own() {
    let mut codes: Vec<&str> = REFUSED.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), REFUSED.len());
    for (_, urls) in REFUSED {
        let error = WebhookUrl::parse(urls[0], &UrlPolicy::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("url") || message.contains("host") || message.contains("port"));
        assert!(error.code().starts_with("url_"));
    }
    let limit = UrlError::TooLong.to_string().replace(',', "");
    assert!(limit.contains(&URL_CHARS_MAX.to_string()));
}

/// Text of the letters that matter to a url, and of any other now and then.
fn any_url() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("https://".to_owned()),
        Just("http://".to_owned()),
        Just("example.com".to_owned()),
        Just("localhost".to_owned()),
        Just(".internal".to_owned()),
        Just("127.0.0.1".to_owned()),
        Just("xn--".to_owned()),
        Just("[::1]".to_owned()),
        "[/:?#@%.\\[\\]0-9a-fx。\u{ad}０-９ -]{0,4}",
        "\\PC{0,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_https_url() -> impl Strategy<Value = String> {
    any_url().prop_map(|text| format!("https://{text}"))
}

/// One number of an IPv4 address in one of the bases that `inet_aton` knows.
fn spelled(number: u32, base: u8) -> String {
    match base {
        0 => number.to_string(),
        1 => format!("0{number:o}"),
        2 => format!("{number:#x}"),
        _ => format!("{number:#X}"),
    }
}

fn check_accepted(url: &WebhookUrl) -> Result<(), TestCaseError> {
    let host_is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    prop_assert!(url.is_https());
    prop_assert!(url.as_str().to_ascii_lowercase().starts_with("https://"));
    prop_assert_eq!(url.host_ip(), None);
    prop_assert!(url.host().parse::<IpAddr>().is_err());
    prop_assert!(url.host().contains('.') && url.host().bytes().all(host_is_plain));
    prop_assert!(url.authority().starts_with(url.host()));
    prop_assert!(url.path_and_query().starts_with('/'));
    prop_assert!(url.path_and_query().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn parse_never_panics(text in any_url(), noise: String) {
        for policy in [UrlPolicy::default(), allowing(&[".internal", ""]), dev()] {
            let seen = [judged(&text, &policy), judged(&noise, &policy)];
            prop_assert!(seen.iter().all(|code| *code == "ok" || code.starts_with("url_")));
        }
    }

    #[test]
    fn what_is_accepted_has_https_and_no_ip(text in any_https_url()) {
        if let Ok(url) = WebhookUrl::parse(&text, &UrlPolicy::default()) {
            check_accepted(&url)?;
        }
    }

    #[test]
    fn an_ordinary_url_is_accepted(
        host in "([a-z0-9]{1,9}\\.){1,3}[a-z]{2,6}",
        port in 1u16..,
        tail in "(/[a-z0-9~._%-]{0,8}){0,3}(\\?[a-z0-9=&+]{0,9})?",
    ) {
        let special = ["local", "test", "onion", "alt", "arpa"];
        prop_assume!(!special.iter().any(|name| host.ends_with(name)));
        let url = accepted(&format!("https://{host}:{port}{tail}"), &UrlPolicy::default());
        check_accepted(&url)?;
        prop_assert_eq!(url.host(), host);
        prop_assert_eq!(url.port(), port);
        prop_assert!(url.path_and_query().ends_with(&tail));
    }

    #[test]
    fn what_a_policy_accepts_is_read_back_the_same(text in any_https_url()) {
        for policy in [UrlPolicy::default(), allowing(&[".internal", "localhost"])] {
            if let Ok(url) = WebhookUrl::parse(&text, &policy) {
                prop_assert_eq!(WebhookUrl::from_stored(url.as_str()), Ok(url));
            }
        }
    }

    #[test]
    fn an_ipv4_address_is_refused_however_it_is_spelled(
        ip: u32, parts in 1u32..=4, bases in [0u8..4, 0u8..4, 0u8..4, 0u8..4], dot in "[.。．｡]",
    ) {
        let heads = (1..parts).map(|part| (ip >> (32 - 8 * part)) & 0xff);
        let last = ip & (u32::MAX >> (8 * (parts - 1)));
        let numbers = heads.chain([last]).zip(bases);
        let host: Vec<String> = numbers.map(|(number, base)| spelled(number, base)).collect();
        let url = format!("https://{}/", host.join(&dot));
        prop_assert_eq!(judged(&url, &UrlPolicy::default()), "url_is_ip", "{}", url);
    }

    #[test]
    fn an_ipv6_address_is_refused(bits: u128) {
        let url = format!("https://[{}]/", std::net::Ipv6Addr::from_bits(bits));
        prop_assert_eq!(judged(&url, &UrlPolicy::default()), "url_is_ip");
        prop_assert_eq!(judged(&url, &dev()), "ok");
    }
}
