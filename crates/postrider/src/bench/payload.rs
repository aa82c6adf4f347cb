//! The requests of the load: built once, with a stamp in the `data` of each event that is written over at each sending.

/// Digits of each part of a stamp. Twenty hold any `u64`.
const PART_DIGITS: usize = 20;
/// Digits of a stamp.
const STAMP_DIGITS: usize = 2 * PART_DIGITS;
/// What stands before a stamp, in a request and in a delivery.
const STAMP_KEY: &[u8] = br#""data":{"t":""#;
/// `{"t":"<40 digits>","pad":""}`: the smallest `data`.
pub(crate) const DATA_BYTES_MIN: usize = 57;

/// What each event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When its request began to be written, in nanoseconds of the bench's clock.
    pub(crate) posted: u64,
    /// Its number, as the tally gives them.
    pub(crate) number: u64,
}

impl Stamp {
    /// Of an event whose time does not count.
    pub(crate) const fn of_number(number: u64) -> Self {
        Self { posted: 0, number }
    }

    fn digits(self) -> [u8; STAMP_DIGITS] {
        let mut digits = [b'0'; STAMP_DIGITS];
        let (posted, number) = digits.split_at_mut(PART_DIGITS);
        write_digits(posted, self.posted);
        write_digits(number, self.number);
        digits
    }

    fn read(digits: &[u8]) -> Option<Self> {
        let (posted, number) = digits.split_at_checked(PART_DIGITS)?;
        Some(Self {
            posted: read_digits(posted)?,
            number: read_digits(number)?,
        })
    }
}

/// Writes a number from its end.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn read_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What a receiver of the bench does with a delivery. Told by the path of its webhook and by the name of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It acknowledges at once.
    Healthy,
    /// It answers 500 at once.
    Failing,
    /// It never answers.
    Hanging,
}

impl Kind {
    /// The path of its webhook.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Healthy => "/healthy",
            Self::Failing => "/failing",
            Self::Hanging => "/hanging",
        }
    }

    /// The name of its events.
    pub(crate) const fn event_name(self) -> &'static str {
        match self {
            Self::Healthy => "bench.healthy",
            Self::Failing => "bench.failing",
            Self::Hanging => "bench.hanging",
        }
    }

    /// Whose request a head begins: by the first letters of the path.
    pub(crate) fn of_request(head: &[u8]) -> Self {
        match head.get(6..8) {
            Some(b"fa") => Self::Failing,
            Some(b"ha") => Self::Hanging,
            _ => Self::Healthy,
        }
    }
}

/// The index of a healthy webhook, which its path ends with: `POST /healthy/17 HTTP/1.1`. Zero where it has none.
pub(crate) fn webhook_of_request(head: &[u8]) -> u64 {
    let index = head.get("POST /healthy/".len()..).unwrap_or_default();
    let end = index.iter().position(|letter| !letter.is_ascii_digit()).unwrap_or(0);
    index.get(..end).and_then(read_digits).unwrap_or(0)
}

/// Where requests go, and how they look.
#[derive(Clone)]
pub(crate) struct RequestShape {
    /// The path, `/events` or `/events/batch`.
    pub(crate) path: String,
    /// The `Host`.
    pub(crate) host: String,
    /// The bearer token.
    pub(crate) token: String,
    /// Bytes of each event's `data`.
    pub(crate) data_bytes: usize,
    /// Events in a request; `None` sends one, not in a batch.
    pub(crate) batch: Option<usize>,
}

/// One request, ready to be sent again and again.
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the stamps are: one for each event.
    stamps: Vec<usize>,
}

impl Request {
    /// The request for events of this kind.
    pub(crate) fn new(shape: &RequestShape, kind: Kind) -> Self {
        let event = event_json(kind, shape.data_bytes, Stamp::of_number(0));
        let body = shape.batch.map_or_else(
            || event.clone(),
            |count| format!(r#"{{"events":[{}]}}"#, vec![event.as_str(); count].join(",")),
        );
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            shape.path,
            shape.host,
            shape.token,
            body.len(),
        );
        let bytes = [head.as_bytes(), body.as_bytes()].concat();
        let stamps = bytes
            .windows(STAMP_KEY.len())
            .enumerate()
            .filter(|(_, window)| *window == STAMP_KEY)
            .map(|(at, _)| at + STAMP_KEY.len())
            .collect();
        Self { bytes, stamps }
    }

    /// How many events it carries.
    pub(crate) fn events(&self) -> u64 {
        self.stamps.len() as u64
    }

    /// Its bytes, stamped: its first event as it is told, each further one with the next number.
    pub(crate) fn stamped(&mut self, first: Stamp) -> &[u8] {
        let mut digits = first.digits();
        for (number, at) in (first.number..).zip(&self.stamps) {
            let (_, place) = digits.split_at_mut(PART_DIGITS);
            write_digits(place, number);
            if let Some(place) = self.bytes.get_mut(*at..at + STAMP_DIGITS) {
                place.copy_from_slice(&digits);
            }
        }
        &self.bytes
    }
}

/// One event as JSON, with `data` of so many bytes (at least `DATA_BYTES_MIN`).
pub(crate) fn event_json(kind: Kind, data_bytes: usize, stamp: Stamp) -> String {
    let pad = "x".repeat(data_bytes.saturating_sub(DATA_BYTES_MIN));
    let stamp = stamp.digits().map(char::from).iter().collect::<String>();
    format!(
        r#"{{"name":"{}","resource":{{"id":"order-1","resource_type":"order"}},"data":{{"t":"{stamp}","pad":"{pad}"}}}}"#,
        kind.event_name()
    )
}

/// Finds stamps in deliveries. They stand at the same place in each, as long as ids have one length: that is looked at first.
#[derive(Debug, Default)]
pub(crate) struct StampFinder {
    /// Where the last one was.
    last: usize,
}

impl StampFinder {
    /// The stamp in the body of a delivery.
    pub(crate) fn find(&mut self, body: &[u8]) -> Option<Stamp> {
        let here = |at: usize| body.get(at..).is_some_and(|rest| rest.starts_with(STAMP_KEY));
        if !here(self.last) {
            self.last = body.windows(STAMP_KEY.len()).position(|window| window == STAMP_KEY)?;
        }
        let from = self.last + STAMP_KEY.len();
        Stamp::read(body.get(from..from + STAMP_DIGITS)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(batch: Option<usize>) -> RequestShape {
        RequestShape {
            path: "/events".to_owned(),
            host: "127.0.0.1:1".to_owned(),
            token: "t".to_owned(),
            data_bytes: 300,
            batch,
        }
    }

    fn stamp(posted: u64, number: u64) -> Stamp {
        Stamp { posted, number }
    }

    fn body(bytes: &[u8]) -> &[u8] {
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        &bytes[at + 4..]
    }

    #[test]
    fn a_stamp_is_found_again_and_data_has_the_size_that_was_asked_for() {
        let mut request = Request::new(&shape(None), Kind::Healthy);
        let bytes = request.stamped(stamp(1_234_567, 89)).to_vec();
        let event: serde_json::Value = serde_json::from_slice(body(&bytes)).unwrap();
        assert_eq!(event["data"].to_string().len(), 300);
        assert_eq!(StampFinder::default().find(body(&bytes)), Some(stamp(1_234_567, 89)));
        let smallest = event_json(Kind::Healthy, DATA_BYTES_MIN, Stamp::of_number(0));
        let smallest: serde_json::Value = serde_json::from_str(&smallest).unwrap();
        assert_eq!(smallest["data"].to_string().len(), DATA_BYTES_MIN);
    }

    #[test]
    fn every_event_of_a_batch_is_stamped_with_a_number_of_its_own() {
        let mut request = Request::new(&shape(Some(3)), Kind::Failing);
        let bytes = request.stamped(stamp(u64::MAX, 7)).to_vec();
        let batch: serde_json::Value = serde_json::from_slice(body(&bytes)).unwrap();
        let events = batch["events"].as_array().unwrap();
        assert_eq!(request.events(), 3);
        for (number, event) in (7..).zip(events) {
            let found = StampFinder::default().find(format!(r#"{{"data":{}}}"#, event["data"]).as_bytes());
            assert_eq!(found, Some(stamp(u64::MAX, number)));
        }
        assert!(events.iter().all(|event| event["name"] == "bench.failing"));
    }

    #[test]
    fn a_stamp_that_moved_or_is_missing_is_noticed() {
        let mut finder = StampFinder::default();
        let delivery = |id: &str| format!(r#"{{"id":"{id}","data":{{"t":"0000000000000000004200000000000000000006"}}}}"#);
        assert_eq!(finder.find(delivery("a").as_bytes()), Some(stamp(42, 6)));
        assert_eq!(finder.find(delivery("longer").as_bytes()), Some(stamp(42, 6)));
        assert_eq!(finder.find(br#"{"data":{}}"#), None);
        assert_eq!(finder.find(br#"{"data":{"t":"000000000000000000420000000000000000000x"}}"#), None);
    }

    #[test]
    fn a_request_tells_its_kind_by_its_path() {
        for kind in [Kind::Healthy, Kind::Failing, Kind::Hanging] {
            let head = format!("POST {} HTTP/1.1\r\n", kind.path());
            assert_eq!(Kind::of_request(head.as_bytes()), kind);
        }
    }

    #[test]
    fn a_request_tells_its_webhook_by_the_end_of_its_path() {
        assert_eq!(webhook_of_request(b"POST /healthy/17 HTTP/1.1\r\nHost: a\r\n"), 17);
        assert_eq!(webhook_of_request(b"POST /healthy HTTP/1.1\r\nHost: a\r\n"), 0);
        assert_eq!(webhook_of_request(b"POST /"), 0);
    }
}
