//! Which urls are allowed: each rule, on POST and on PUT. The table of spellings is that of the model's own tests.

use serde_json::json;

use super::{World, id};
use crate::world::{Account, Receiver, Site};

/// Every rule, with a url that breaks it.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "https",
        &[
            "http://example.com/",
            "ftp://example.com/",
            "example.com",
            "//example.com",
            "HTTP://example.com",
            "",
        ],
    ),
    ("a host with a dot", &["https://example/", "https:///x", "https://"]),
    (
        "no IP literal in any spelling",
        &[
            "https://127.0.0.1/",
            "https://10.0.0.1",
            "https://8.8.8.8/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[2001:4860:4860::8888]/",
            "https://127.0.0.1./",
            "https://１２７.0.0.1/",
            "https://1.2.3.0x4/",
        ],
    ),
    (
        "no special-use name",
        &[
            "https://localhost/",
            "https://shop.localhost/",
            "https://printer.local/",
            "https://db.internal/",
            "https://a.test/",
            "https://a.example/",
            "https://a.invalid/",
            "https://a.onion/",
            "https://1.0.0.127.in-addr.arpa/",
        ],
    ),
    ("no trailing dot", &["https://example.com./"]),
    (
        "no percent-encoding in the host",
        &["https://ex%61mple.com/", "https://example%2ecom/"],
    ),
    (
        "no white space, backslash or control character",
        &[
            " https://example.com/",
            "https://example.com/ ",
            "https://exa mple.com/",
            "https://example.com/\t",
            "https://example.com\\@evil.example.net/",
            "https://example.com/\u{0}",
            "https://example.com/\n",
            "https://example.com/\u{a0}",
        ],
    ),
    (
        "no userinfo",
        &[
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://@example.com/",
        ],
    ),
    ("no fragment", &["https://example.com/#x", "https://example.com/#"]),
    (
        "port 1 to 65535",
        &[
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:/",
            "https://example.com:x/",
            "https://example.com:+1/",
        ],
    ),
    (
        "valid IDNA",
        &[
            "https://xn--a.example.com/",
            "https://\u{ad}/",
            "https://-a.example.com/",
            "https://a..example.com/",
        ],
    ),
];
/// What is fine.
const ACCEPTED: &[&str] = &[
    "https://example.com",
    "https://example.com/",
    "https://EXAMPLE.com:8443/a/../b?x[]=1&y=%zz",
    "https://bücher.example.com/ä",
    "https://xn--bcher-kva.example.com/",
    "https://127.0.0.1.example.com/",
    "https://example.com/@/%00",
    "https://my_app.example.com:1/",
];

#[test]
fn each_rule_is_a_400_that_names_the_url() {
    let site = Site::new();
    let world = World {
        server: site.start_strict(&[]),
        account: Account { token: String::new() },
        receiver: Receiver::start(),
        site,
    };
    let world = World {
        account: Account::make(world.server.address),
        ..world
    };
    let webhook = id(&world.expect(201, "POST /webhooks", Some(&json!({ "url": ACCEPTED[0] }))));
    let before = world.expect(200, "GET /webhooks", None);
    let long = format!("https://example.com/{}", "a".repeat(2_048 - "https://example.com/".len() + 1));
    let too_long: &[&str] = &[&long];
    for (rule, urls) in REFUSED.iter().copied().chain([("at most 2,048 characters", too_long)]) {
        for url in urls {
            for line in ["POST /webhooks".to_owned(), format!("PUT /webhooks/{webhook}")] {
                let answer = world.ask(&line, Some(&json!({ "url": url })));
                assert_eq!(answer.status, 400, "{line} took {url:?}, against: {rule}");
                assert_eq!(answer.body["params"][0]["path"], "body.url", "{url:?}: {answer:?}");
            }
        }
    }
    assert_eq!(world.expect(200, "GET /webhooks", None), before, "a refused url was kept");
    for url in ACCEPTED.iter().copied().chain([&long[..2_048]]) {
        let webhook = world.expect(201, "POST /webhooks", Some(&json!({ "url": url })));
        assert_eq!(webhook["url"], url, "it is shown as it was given");
    }
}

#[test]
fn allow_host_suffix_lifts_names_and_allow_network_addresses_but_never_https() {
    let site = Site::new();
    let server = site.start_strict(&["--allow-host-suffix", ".internal", "--allow-network", "127.0.0.0/8"]);
    let account = Account::make(server.address);
    let world = World {
        site,
        server,
        account,
        receiver: Receiver::start(),
    };
    world.expect(201, "POST /webhooks", Some(&json!({ "url": "https://db.internal/" })));
    for url in [
        "http://db.internal/",
        "https://db.local/",
        "https://127.0.0.1/",
        "http://127.0.0.1/",
    ] {
        assert_eq!(
            world.refused(400, "POST /webhooks", Some(&json!({ "url": url }))),
            "invalid_request",
            "{url}"
        );
    }
}

#[test]
fn dev_lifts_all_of_it_and_says_so_loudly() {
    let site = Site::new();
    let server = site.start_watched(&[]);
    let account = Account::make(server.address);
    let world = World {
        site,
        server,
        account,
        receiver: Receiver::start(),
    };
    for url in [
        "http://localhost:3000/",
        "http://10.0.0.1/",
        "https://[::1]:1/",
        "http://db.internal/",
    ] {
        world.expect(201, "POST /webhooks", Some(&json!({ "url": url })));
    }
    assert!(world.site.said().contains("--dev"), "{}", world.site.said());
}
