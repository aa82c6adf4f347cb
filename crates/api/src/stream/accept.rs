//! Whether a client wants a stream or a page (RFC 9110 §12.5.1).

use http::{HeaderMap, header};

/// The stream is for those that name it and like it better than JSON: a page is the default, and a tie between both names is one too. Between
/// the name and a wildcard the name wins.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let (mut stream, mut json) = (0, 0);
    for value in headers.get_all(header::ACCEPT) {
        for range in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(weight).unwrap_or(1_000);
            if name.eq_ignore_ascii_case(b"text/event-stream") {
                stream = weight;
            } else if name.eq_ignore_ascii_case(b"application/json") {
                json = weight;
            }
        }
    }
    stream > json
}

/// `q=0.5` in thousandths; `None` for another parameter. What is no number is taken for one.
fn weight(parameter: &[u8]) -> Option<u32> {
    let (name, value) = parameter.split_first()?;
    let value = value.strip_prefix(b"=").filter(|_| name.eq_ignore_ascii_case(&b'q'))?;
    let number: Option<f32> = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    Some(
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .map_or(1_000, |number| (number * 1_000.0) as u32),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wants(accept: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(value));
        }
        is_wanted(&headers)
    }

    #[test]
    fn only_who_names_the_stream_gets_one() {
        for accept in [
            &["text/event-stream"][..],
            &["TEXT/Event-Stream; charset=utf-8"],
            &["text/event-stream, */*"],
            &["application/json;q=0.5, text/event-stream"],
            &["application/json; q=0.1", "text/event-stream;q=0.2"],
            &["text/html", "text/event-stream"],
        ] {
            assert!(wants(accept), "{accept:?}");
        }
        for accept in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/*"],
            &["application/json"],
            &["application/json, text/event-stream"],
            &["text/event-stream;q=0"],
            &["text/event-stream;q=0.4, application/json;q=0.5"],
            &["text/event-streams"],
        ] {
            assert!(!wants(accept), "{accept:?}");
        }
    }
}
