//! Doors for the targets of `fuzz/`: each takes any bytes, and asserts what has to hold of them.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use postrider_engine::EventIn;
use postrider_model::account::AccountRef;
use postrider_model::event::{Event, EventDraft};
use postrider_model::id::{AccountId, EventId, ID_CHARS_MAX};
use postrider_model::limits::{EVENT_DATA_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX, PAGE_ROWS_MAX};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::code::Code;
use crate::error::ApiError;
use crate::fault::Faults;
use crate::page::{self, List};
use crate::params::read_body;
use crate::query::Query;
use crate::routes::events;
use crate::{api, auth, filters, idempotency};

const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

/// The members of an object by an independent reader, each as it was written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The body of `POST /events` and of `POST /events/batch`: what is taken goes on byte for byte, what is refused is refused with a reason.
pub fn event(input: &[u8]) {
    let mut faults = Faults::default();
    let read = read_body(input, &mut faults, events::read_single).and_then(|read| faults.settle(read));
    match read {
        Ok(read) => {
            assert_eq!(read.len(), 1);
            read.into_iter().for_each(|event| taken(input, event));
        }
        Err(error) => refused(input, error),
    }
    let mut faults = Faults::default();
    let read = read_body(input, &mut faults, events::read_batch).and_then(|read| faults.settle(read));
    match read {
        Ok(read) => {
            let body: BTreeMap<String, Vec<&RawValue>> = serde_json::from_slice(input).unwrap_or_default();
            let given = body.get("events").map(Vec::as_slice).unwrap_or_default();
            assert!(!read.is_empty() && given.len() == read.len(), "an event of a batch was lost");
            for (event, given) in read.into_iter().zip(given) {
                taken(given.get().as_bytes(), event);
            }
        }
        Err(error) => refused(input, error),
    }
}

/// An event that is taken from this text.
fn taken(input: &[u8], event: EventIn<'_>) {
    let given: Members<'_> = serde_json::from_slice(input).unwrap_or_default();
    let text = |members: &Members<'_>, name: &str| -> Option<String> { serde_json::from_str(members.get(name)?.get()).ok() };
    assert_eq!(text(&given, "name").as_deref(), Some(event.name.as_str()));
    assert_eq!(text(&given, "id"), event.id.as_ref().map(ToString::to_string));
    let data = given.get("data").map_or("{}", |data| data.get());
    assert_eq!(event.data, data, "data is not as it was written");
    assert!(data.len() <= EVENT_DATA_BYTES_MAX);
    let resource: Members<'_> = given
        .get("resource")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let named = (text(&resource, "id"), text(&resource, "resource_type"));
    assert_eq!(named, (Some(event.resource.id.clone()), Some(event.resource.resource_type.clone())));

    let EventIn { name, resource, data, id } = event;
    let id = id.unwrap_or_else(|| EventId::new(NOW, 1));
    let draft = EventDraft { name, resource, data };
    let event = Event::new(AccountId::from_u128(1), id, draft, NOW);
    assert_eq!(event.data(), data, "what is stored has other data");
    let sent: Members<'_> = serde_json::from_slice(&event.body).unwrap_or_default();
    assert_eq!(
        sent.keys().map(String::as_str).collect::<Vec<_>>(),
        ["created_at", "data", "id", "name", "resource"]
    );
    assert_eq!(sent.get("data").map(|raw| raw.get()), Some(data), "what is sent has other data");
    assert_eq!(text(&sent, "name"), text(&given, "name"));
    let sent_resource: Members<'_> = sent
        .get("resource")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    assert_eq!((text(&sent_resource, "id"), text(&sent_resource, "resource_type")), named);
    assert!(event.has_same_content(&event.clone()));
}

/// A body that is refused.
fn refused(input: &[u8], error: ApiError) {
    let code = error.code();
    // This reader looks into no value, so it takes also what is nested too deeply for others.
    let is_json = std::str::from_utf8(input).is_ok() && serde_json::from_slice::<&RawValue>(input).is_ok();
    match code {
        Code::MalformedJson => assert!(!is_json || is_deep(input), "JSON is called malformed"),
        _ => {
            assert_eq!(code, Code::InvalidRequest);
            assert!(is_json, "what is no JSON is judged by its fields");
        }
    }
    let body = crate::fuzzing::rendered(error);
    let params = body.get("params").and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(params > 0, code == Code::InvalidRequest, "{body}");
}

/// Whether it nests deeper than readers of JSON go.
fn is_deep(input: &[u8]) -> bool {
    input.iter().filter(|byte| b"[{".contains(byte)).count() > 100 || serde_json::from_slice::<IgnoredAny>(input).is_ok()
}

/// The body of an error: always the documented one.
fn rendered(error: ApiError) -> Value {
    let code = error.code();
    let response = error.into_response("");
    assert_eq!(response.status(), code.status());
    let body = http_body_util::BodyExt::collect(response.into_body());
    let body = futures_util::FutureExt::now_or_never(body).and_then(Result::ok);
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    assert_eq!(body.get("code").and_then(Value::as_str), Some(code.as_str()));
    assert!(
        body.get("detail").and_then(Value::as_str).is_some_and(|detail| !detail.is_empty()),
        "{body}"
    );
    body
}

const LISTS: [List<'_>; 3] = [
    List {
        path: "/webhooks",
        owner: "acc_1",
    },
    List {
        path: "/deliveries",
        owner: "acc_1",
    },
    List {
        path: "/webhooks",
        owner: "acc_2",
    },
];

/// The query string of a list: its cursor is one of ours or none, its limit within bounds, its filters as they are named.
pub fn cursor(input: &[u8]) {
    let [list, others @ ..] = &LISTS;
    if let Some((major, rest)) = input.split_first_chunk::<8>()
        && let Some((minor, _)) = rest.split_first_chunk::<4>()
    {
        let place = Position {
            major: u64::from_be_bytes(*major),
            minor: u32::from_be_bytes(*minor),
        };
        let cursor = list.cursor(place);
        assert!(list.position(&cursor).ok() == Some(place), "a cursor of ours is refused");
        assert!(
            others.iter().all(|other| other.position(&cursor).is_err()),
            "a cursor of another list is taken"
        );
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(place) = list.position(text) {
        assert_eq!(list.cursor(place), text, "two texts are the same cursor");
    }
    let mut faults = Faults::default();
    let mut query = Query::parse(Some(text), &mut faults);
    let ask = page::ask(list, &mut query, &mut faults);
    assert!((1..=PAGE_ROWS_MAX).contains(&ask.limit));
    let wanted = filters::deliveries(None, &mut query, &mut faults);
    query.finish(&mut faults);
    match faults.settle(Some(wanted)) {
        Ok(wanted) => {
            let names = ["cursor", "limit", "status", "webhook", "event", "name", "resource", "created"];
            for pair in text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(['%', '+'])) {
                let name = pair.split(['=', '[']).next().unwrap_or_default();
                assert!(names.contains(&name), "the unknown parameter {name:?} was taken");
            }
            if let Some(wanted) = wanted.filter(|wanted| wanted.filter.webhook.is_some()) {
                let given = text.split('&').filter_map(|pair| pair.split_once('='));
                let mut given = given.filter(|(name, _)| name.contains(['%', '+']) || *name == "webhook");
                assert!(given.next().is_some(), "a webhook that nobody named: {:?}", wanted.filter.webhook);
            }
        }
        Err(error) => {
            assert_eq!(error.code(), Code::InvalidRequest);
            rendered(error);
        }
    }
}

/// Headers of a request, the first byte of the input telling which. Any text may be a `Last-Event-ID`.
pub fn header(input: &[u8]) {
    let Some((which, text)) = input.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let names: [HeaderName; 4] = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("account-id"),
        HeaderName::from_static("idempotency-key"),
    ];
    let index = usize::from(*which) % names.len();
    let headers: HeaderMap = names.get(index).map(|name| (name.clone(), value)).into_iter().collect();
    let token = auth::bearer(&headers);
    if let Some(token) = token {
        assert_eq!(index, 0);
        assert!(!token.is_empty() && token.trim() == token, "the token {token:?}");
        assert!(
            text.to_ascii_lowercase().starts_with(b"bearer "),
            "another scheme was taken for Bearer"
        );
        assert!(text.ends_with(token.as_bytes()) || text.trim_ascii_end().ends_with(token.as_bytes()));
    }
    if api::is_declared(&headers, "application/json") {
        assert_eq!(index, 1);
        assert!(text.trim_ascii().to_ascii_lowercase().starts_with(b"application/json"));
    }
    match auth::named(&headers) {
        None => assert_ne!(index, 2),
        Some(Ok(AccountRef::Id(id))) => assert_eq!(id.to_string().as_bytes(), text, "two texts are the same account"),
        Some(Ok(AccountRef::External(external))) => assert_eq!(external.as_bytes(), text),
        Some(Err(error)) => assert_eq!(error.code(), Code::AccountNotFound),
    }
    if let Ok(Ok(id)) = std::str::from_utf8(text).map(str::parse::<EventId>) {
        assert_eq!(id.to_string().as_bytes(), text, "two texts are the same event");
        assert!(text.len() <= ID_CHARS_MAX);
    }
    let mut faults = Faults::default();
    let key = idempotency::read_key(&headers, &mut faults);
    assert_eq!(
        key.is_none(),
        index != 3 || !faults.is_empty(),
        "a key is neither taken nor refused"
    );
    if let Some(key) = key {
        assert_eq!(key.as_bytes(), text, "two texts are the same key");
        assert!((1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.chars().count()));
    }
}

#[cfg(test)]
mod tests {
    use postrider_testkit::corpus::replay;

    #[test]
    fn events() {
        replay("event", super::event);
    }

    #[test]
    fn cursors() {
        replay("cursor", super::cursor);
    }

    #[test]
    fn headers() {
        replay("header", super::header);
    }
}
