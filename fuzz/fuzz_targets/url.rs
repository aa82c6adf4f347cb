//! Urls of webhooks: what is accepted keeps its promises, and browsers find the same host in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_model::url::{UrlPolicy, WebhookUrl};

fuzz_target!(|input: &[u8]| {
    postrider_sender::fuzzing::url(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(ours) = WebhookUrl::parse(text, &UrlPolicy::default()) {
        let theirs = url::Url::parse(text).unwrap_or_else(|error| panic!("{text:?} is no url for browsers: {error}"));
        assert_eq!(theirs.scheme(), "https");
        assert_eq!(theirs.host_str(), Some(ours.host()), "{text:?} has another host for browsers");
        assert_eq!(theirs.port_or_known_default(), Some(ours.port()), "{text:?} has another port for browsers");
        assert!(theirs.username().is_empty() && theirs.password().is_none() && theirs.fragment().is_none());
    }
});
