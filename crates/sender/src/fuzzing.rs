//! Doors for the targets of `fuzz/`: each takes any bytes, and asserts what has to hold of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Uri};
use postrider_model::attempt::Outgoing;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::time::Timestamp;
use postrider_model::url::{URL_CHARS_MAX, UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use rustls_pki_types::ServerName;

use crate::request::Sending;
use crate::response;

const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

/// A url that somebody registers: what is accepted keeps the promises of its policy, and can be dialled and sent to as it was judged.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let suffix = UrlPolicy {
        dev: false,
        host_suffixes: vec![".internal".to_owned()],
    };
    let strict = UrlPolicy::default();
    let dev = UrlPolicy {
        dev: true,
        host_suffixes: Vec::new(),
    };
    let accepted = [&strict, &suffix, &dev].map(|policy| WebhookUrl::parse(text, policy).ok());
    for url in accepted[..2].iter().flatten() {
        assert!(url.is_https(), "accepted without TLS");
        assert!(
            url.host_ip().is_none() && url.host().parse::<IpAddr>().is_err(),
            "an address was accepted"
        );
        // A weaker policy takes what a stronger one takes, and reads it in the same way.
        assert!(accepted[2].as_ref() == Some(url), "another policy reads another url");
    }
    if let [Some(url), ..] = &accepted {
        assert!(url.host().contains('.'), "a host without a dot was accepted");
    }
    if let [.., Some(url)] = &accepted {
        spelling(text, url);
        requests(url);
        as_others_read(text, url);
    }
}

/// What holds of every url, also with `--dev`.
fn spelling(text: &str, url: &WebhookUrl) {
    assert!(text.chars().count() <= URL_CHARS_MAX);
    assert_eq!(url.as_str(), text, "it is not kept as it was given");
    assert!(
        WebhookUrl::from_stored(text).as_ref() == Ok(url),
        "the store gives another url back"
    );
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:".contains(&byte);
    assert!(!url.host().is_empty() && url.host().bytes().all(known), "the host {:?}", url.host());
    assert!(url.port() > 0);
    assert!(url.path_and_query().starts_with('/'));
    assert!(
        url.path_and_query().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'),
        "a request line could be broken by {:?}",
        url.path_and_query()
    );
    // What is sent again as a url is the same url: nothing is encoded twice, nothing is read in another way.
    let scheme = if url.is_https() { "https" } else { "http" };
    let sent = format!("{scheme}://{}{}", url.authority(), url.path_and_query());
    let Ok(again) = WebhookUrl::from_stored(&sent) else {
        // Percent-encoding makes it longer: that is the only reason.
        assert!(sent.chars().count() > URL_CHARS_MAX, "{sent:?} is refused");
        return;
    };
    let parts = |url: &WebhookUrl| {
        (
            url.host().to_owned(),
            url.port(),
            url.authority().to_owned(),
            url.path_and_query().to_owned(),
        )
    };
    assert_eq!(parts(&again), parts(url));
}

/// The requests of both protocols can be made, and go to the host that was judged; TLS knows its name.
fn requests(url: &WebhookUrl) {
    let outgoing = Outgoing {
        delivery: DeliveryId::from_u128(1),
        event: Some(EventId::new(NOW, 1)),
        number: 1,
        webhook: Arc::new(webhook(url.clone())),
        body: Bytes::from_static(b"{}"),
    };
    let user_agent = HeaderValue::from_static("Postrider");
    let sending = Sending {
        outgoing: &outgoing,
        dispatched: NOW,
        user_agent: &user_agent,
    };
    let (Ok(http1), Ok(http2)) = (sending.http1(drop), sending.http2(drop)) else {
        assert!(url.as_str().is_empty(), "no request can be made to {url}");
        return;
    };
    let host_of = |request: &Request<()>| request.headers().get(http::header::HOST).map(|host| host.as_bytes().to_vec());
    assert_eq!(host_of(&http1).as_deref(), Some(url.authority().as_bytes()));
    assert_eq!(http1.uri().to_string(), url.path_and_query());
    let brackets: &[char] = &['[', ']'];
    assert_eq!(http2.uri().host().map(|host| host.trim_matches(brackets)), Some(url.host()));
    let default_port = if url.is_https() { 443 } else { 80 };
    assert_eq!(http2.uri().port_u16().unwrap_or(default_port), url.port());
    assert!(ServerName::try_from(url.host()).is_ok(), "TLS cannot ask for {:?}", url.host());
}

fn webhook(url: WebhookUrl) -> Webhook {
    Webhook {
        id: WebhookId::from_u128(1),
        account: AccountId::from_u128(1),
        url,
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: Vec::new(),
        health: Health::Unproven,
        created_at: NOW,
        modified_at: NOW,
    }
}

/// Another reader of urls, where it takes this one, finds the same host and port in it.
fn as_others_read(text: &str, url: &WebhookUrl) {
    let Ok(other) = text.parse::<Uri>() else { return };
    let Some(host) = other.host() else { return };
    let brackets: &[char] = &['[', ']'];
    if url.host_ip().is_none() {
        assert!(
            host.eq_ignore_ascii_case(url.host()),
            "{text:?} has the host {host:?} for others, {:?} for us",
            url.host()
        );
    } else {
        let ip = host.trim_matches(brackets).parse::<IpAddr>().ok();
        assert_eq!(ip, url.host_ip(), "{text:?} has another address for others");
    }
    let default_port = if url.is_https() { 443 } else { 80 };
    assert_eq!(
        other.port_u16().unwrap_or(default_port),
        url.port(),
        "{text:?} has another port for others"
    );
}

/// The head of a receiver's response, one `name: value` a line: what is kept of it can be shown, and Retry-After is a length of time.
pub fn response_head(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(100) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    let kept = response::kept_headers(&headers);
    assert_eq!(kept.len(), headers.len(), "a header was lost");
    for (name, value) in &kept {
        assert!(headers.contains_key(name.as_str()));
        assert!(!value.contains(['\r', '\n', '\0']), "a value of several lines");
    }
    let after = response::retry_after(&headers, NOW);
    if let Some(after) = after {
        assert!(headers.contains_key(RETRY_AFTER));
        // The last second that a date of four digits can name.
        assert!(after <= Duration::from_secs(253_402_300_799), "{after:?}");
    }
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(seconds) = text.parse::<u32>()
        && !text.starts_with('+')
    {
        assert_eq!(after, Some(Duration::from_secs(seconds.into())));
    }
}

#[cfg(test)]
mod tests {
    use postrider_testkit::corpus::replay;

    #[test]
    fn urls() {
        replay("url", super::url);
    }

    #[test]
    fn response_heads() {
        replay("header", super::response_head);
    }
}
