//! An event as it goes over a stream.

use bytes::{BufMut as _, BytesMut};
use postrider_model::event::Event;

/// Adds one event: its id, itself on one line of JSON, and the empty line that ends it.
pub(super) fn put(out: &mut BytesMut, event: &Event) {
    out.reserve(event.body.len() + 64);
    out.put_slice(b"id: ");
    out.put_slice(event.id.to_string().as_bytes());
    out.put_slice(b"\ndata: ");
    let start = out.len();
    out.put_slice(&event.body);
    // `data` is kept as it was written, line breaks between its tokens included. Within a string JSON has none (RFC 8259 §7), so a blank
    // in place of each says the same.
    for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use postrider_model::event::{EventDraft, Resource};
    use postrider_model::id::{AccountId, EventId};
    use postrider_model::name::EventName;
    use postrider_model::time::Timestamp;
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_its_data_looks_like() {
        let data = "{\r\n  \"note\": \"a\\nb\u{2028}c\",\n\n\t\"sum\": 1.50\r}";
        let draft = EventDraft {
            name: EventName::parse("order.filled").unwrap(),
            resource: Resource {
                id: "1".to_owned(),
                resource_type: "order".to_owned(),
            },
            data,
        };
        let event = Event::new(
            AccountId::from_u128(1),
            EventId::own("own-1").unwrap(),
            draft,
            Timestamp::from_millis(0),
        );
        let mut out = BytesMut::new();
        put(&mut out, &event);
        let text = std::str::from_utf8(&out).unwrap();
        let lines: Vec<_> = text.split(['\n', '\r']).collect();
        assert_eq!((lines.len(), lines[0], &lines[2..]), (4, "id: own-1", &["", ""][..]));
        let shown: Value = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(shown, serde_json::from_slice::<Value>(&event.body).unwrap());
        assert!(lines[1].contains("1.50"));
    }
}
