//! How deliveries and attempts are written as bytes.
//!
//! The state of a delivery has a fixed length, so that SQLite overwrites it in place when an outcome comes. The attempt that
//! was acknowledged (the only one of most deliveries) has its place within it; the others have rows of their own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::{Delivery, FailedReason, Progress, Status};
use postrider_model::id::AttemptId;
use postrider_model::time::Timestamp;

use crate::fault::{Outcome, corrupt};

/// Bytes of a delivery's state.
pub(crate) const STATE_BYTES: usize = 104;
const STATE_FORMAT: u8 = 1;

const PENDING: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

/// All of a delivery that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) is_urgent: bool,
    pub(crate) progress: Progress,
    pub(crate) created_at: Timestamp,
    pub(crate) modified_at: Timestamp,
    /// The attempt that was acknowledged, where it fits.
    pub(crate) success: Option<Success>,
}

/// An acknowledged attempt of which neither headers nor body were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Success {
    pub(crate) id: AttemptId,
    pub(crate) number: u32,
    /// Its place in `urls`.
    pub(crate) url: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) status: u16,
    pub(crate) response_duration: Duration,
    pub(crate) truncated: bool,
}

/// What an attempt of these is, where it fits into a state.
pub(crate) fn success_of(attempt: &Attempt, url: i64) -> Option<Success> {
    let response = attempt.response.as_ref()?;
    (attempt.error.is_none() && response.headers.is_none() && response.body.is_none()).then_some(Success {
        id: attempt.id,
        number: attempt.number,
        url,
        created_at: attempt.created_at,
        duration: attempt.duration,
        status: response.status,
        response_duration: response.duration,
        truncated: response.truncated,
    })
}

impl Success {
    /// The attempt that it stands for.
    pub(crate) fn attempt(self, url: Arc<str>) -> Attempt {
        Attempt {
            id: self.id,
            number: self.number,
            url,
            created_at: self.created_at,
            duration: self.duration,
            response: Some(Response {
                status: self.status,
                duration: self.response_duration,
                headers: None,
                body: None,
                truncated: self.truncated,
            }),
            error: None,
        }
    }
}

impl State {
    /// The state of a new delivery.
    pub(crate) fn of(delivery: &Delivery, is_urgent: bool) -> Self {
        Self {
            status: delivery.status,
            is_urgent,
            progress: delivery.progress,
            created_at: delivery.created_at,
            modified_at: delivery.modified_at,
            success: None,
        }
    }

    /// Takes over what of a delivery changes.
    pub(crate) fn take(&mut self, delivery: &Delivery) {
        self.status = delivery.status;
        self.progress = delivery.progress;
        self.modified_at = delivery.modified_at;
    }

    /// As bytes.
    pub(crate) fn encode(&self) -> [u8; STATE_BYTES] {
        let (status, moment, reason) = match self.status {
            Status::Pending { due } => (PENDING, due, 0),
            Status::Succeeded { at } => (SUCCEEDED, at, 0),
            Status::Failed { at, reason } => (FAILED, at, reason as u8),
        };
        let mut out = Writer::default();
        out.bytes(&[STATE_FORMAT, status, reason, u8::from(self.is_urgent)]);
        out.bytes(&self.progress.attempts.to_be_bytes());
        out.bytes(&self.progress.schedule_base.to_be_bytes());
        for time in [self.progress.schedule_began_at, moment, self.created_at, self.modified_at] {
            out.bytes(&time.as_millis().to_be_bytes());
        }
        if let Some(success) = &self.success {
            out.bytes(&success.number.to_be_bytes());
            out.bytes(&success.id.as_u128().to_be_bytes());
            out.bytes(&success.url.to_be_bytes());
            out.bytes(&success.created_at.as_millis().to_be_bytes());
            out.bytes(&nanos(success.duration).to_be_bytes());
            out.bytes(&success.status.to_be_bytes());
            out.bytes(&nanos(success.response_duration).to_be_bytes());
            out.bytes(&[u8::from(success.truncated)]);
        }
        out.state
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Outcome<Self> {
        let mut from = Reader(bytes);
        let [format, status, reason, is_urgent] = from.array()?;
        if format != STATE_FORMAT || bytes.len() != STATE_BYTES {
            return Err(corrupt("a delivery's state has an unknown format"));
        }
        let attempts = u32::from_be_bytes(from.array()?);
        let schedule_base = u32::from_be_bytes(from.array()?);
        let schedule_began_at = from.time()?;
        let moment = from.time()?;
        Ok(Self {
            status: match status {
                PENDING => Status::Pending { due: moment },
                SUCCEEDED => Status::Succeeded { at: moment },
                FAILED => Status::Failed {
                    at: moment,
                    reason: FailedReason::from_code(reason).ok_or_else(|| corrupt("a delivery failed for an unknown reason"))?,
                },
                _ => return Err(corrupt("a delivery has an unknown status")),
            },
            is_urgent: is_urgent != 0,
            progress: Progress {
                attempts,
                schedule_base,
                schedule_began_at,
            },
            created_at: from.time()?,
            modified_at: from.time()?,
            success: from.success()?,
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes from the left into a state. What does not fit is a fault of this file, which its tests find.
struct Writer {
    state: [u8; STATE_BYTES],
    at: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            state: [0; STATE_BYTES],
            at: 0,
        }
    }
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(slot) = self.state.get_mut(self.at..self.at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }
}

/// Takes bytes from the left.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| corrupt("a value is cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| corrupt("a value is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn time(&mut self) -> Outcome<Timestamp> {
        Ok(Timestamp::from_millis(i64::from_be_bytes(self.array()?)))
    }

    fn duration(&mut self) -> Outcome<Duration> {
        Ok(Duration::from_nanos(u64::from_be_bytes(self.array()?)))
    }

    fn success(&mut self) -> Outcome<Option<Success>> {
        // The first attempt has number 1: zero says that there is none.
        let number = u32::from_be_bytes(self.array()?);
        if number == 0 {
            return Ok(None);
        }
        Ok(Some(Success {
            number,
            id: AttemptId::from_u128(u128::from_be_bytes(self.array()?)),
            url: i64::from_be_bytes(self.array()?),
            created_at: self.time()?,
            duration: self.duration()?,
            status: u16::from_be_bytes(self.array()?),
            response_duration: self.duration()?,
            truncated: self.array::<1>()? != [0],
        }))
    }

    pub(crate) fn text(&mut self) -> Outcome<String> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        String::from_utf8(self.take(length)?.to_vec()).map_err(corrupt)
    }
}

pub(crate) fn push_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

const HAS_RESPONSE: u8 = 1;
const HAS_HEADERS: u8 = 2;
const HAS_BODY: u8 = 4;
const IS_TRUNCATED: u8 = 8;
const HAS_ERROR: u8 = 16;

/// An attempt as bytes; its number is the key of its row, its url a place in `urls`.
pub(crate) fn encode_attempt(attempt: &Attempt, url: i64) -> Vec<u8> {
    let mut flags = 0;
    if let Some(response) = &attempt.response {
        flags |= HAS_RESPONSE;
        flags |= if response.headers.is_some() { HAS_HEADERS } else { 0 };
        flags |= if response.body.is_some() { HAS_BODY } else { 0 };
        flags |= if response.truncated { IS_TRUNCATED } else { 0 };
    }
    flags |= if attempt.error.is_some() { HAS_ERROR } else { 0 };
    let mut out = Vec::with_capacity(128);
    out.push(flags);
    out.extend_from_slice(&attempt.id.as_u128().to_be_bytes());
    out.extend_from_slice(&url.to_be_bytes());
    out.extend_from_slice(&attempt.created_at.as_millis().to_be_bytes());
    out.extend_from_slice(&nanos(attempt.duration).to_be_bytes());
    if let Some(error) = &attempt.error {
        out.push(error.kind as u8);
        push_blob(&mut out, error.message.as_bytes());
    }
    if let Some(response) = &attempt.response {
        out.extend_from_slice(&response.status.to_be_bytes());
        out.extend_from_slice(&nanos(response.duration).to_be_bytes());
        if let Some(headers) = &response.headers {
            out.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (name, value) in headers {
                push_blob(&mut out, name.as_bytes());
                push_blob(&mut out, value.as_bytes());
            }
        }
        if let Some(body) = &response.body {
            push_blob(&mut out, body);
        }
    }
    out
}

/// An attempt from bytes; `url_of` tells the url of a place in `urls`.
pub(crate) fn decode_attempt(bytes: &[u8], number: u32, url_of: impl FnOnce(i64) -> Outcome<Arc<str>>) -> Outcome<Attempt> {
    let mut from = Reader(bytes);
    let [flags] = from.array()?;
    let id = AttemptId::from_u128(u128::from_be_bytes(from.array()?));
    let url = url_of(i64::from_be_bytes(from.array()?))?;
    let created_at = from.time()?;
    let duration = from.duration()?;
    let error = (flags & HAS_ERROR != 0).then(|| read_error(&mut from)).transpose()?;
    let response = (flags & HAS_RESPONSE != 0).then(|| read_response(&mut from, flags)).transpose()?;
    Ok(Attempt {
        id,
        number,
        url,
        created_at,
        duration,
        response,
        error,
    })
}

fn read_error(from: &mut Reader<'_>) -> Outcome<AttemptError> {
    let [code] = from.array()?;
    Ok(AttemptError {
        kind: ErrorKind::from_code(code).ok_or_else(|| corrupt("an attempt failed in an unknown way"))?,
        message: from.text()?,
    })
}

fn read_response(from: &mut Reader<'_>, flags: u8) -> Outcome<Response> {
    let status = u16::from_be_bytes(from.array()?);
    let duration = from.duration()?;
    let mut headers = None;
    if flags & HAS_HEADERS != 0 {
        let count = u32::from_be_bytes(from.array()?);
        headers = Some((0..count).map(|_| Ok((from.text()?, from.text()?))).collect::<Outcome<_>>()?);
    }
    let mut body = None;
    if flags & HAS_BODY != 0 {
        let length = u32::from_be_bytes(from.array()?) as usize;
        body = Some(Bytes::copy_from_slice(from.take(length)?));
    }
    Ok(Response {
        status,
        duration,
        headers,
        body,
        truncated: flags & IS_TRUNCATED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: Status, success: Option<Success>) -> State {
        State {
            status,
            is_urgent: true,
            progress: Progress {
                attempts: u32::MAX,
                schedule_base: 3,
                schedule_began_at: Timestamp::from_millis(-1),
            },
            created_at: Timestamp::from_millis(i64::MAX),
            modified_at: Timestamp::from_millis(1_760_000_000_000),
            success,
        }
    }

    const SUCCESS: Success = Success {
        id: AttemptId::from_u128(u128::MAX),
        number: u32::MAX,
        url: i64::MAX,
        created_at: Timestamp::from_millis(i64::MAX),
        duration: Duration::from_nanos(u64::MAX),
        status: u16::MAX,
        response_duration: Duration::from_nanos(u64::MAX),
        truncated: true,
    };

    #[test]
    fn every_state_comes_back() {
        let moment = Timestamp::from_millis(1_760_000_000_001);
        let mut statuses = vec![Status::Pending { due: moment }, Status::Succeeded { at: moment }];
        statuses.extend(FailedReason::ALL.map(|reason| Status::Failed { at: moment, reason }));
        for status in statuses {
            for success in [None, Some(SUCCESS)] {
                let state = state(status, success);
                assert_eq!(State::decode(&state.encode()).unwrap(), state);
            }
        }
    }

    #[test]
    fn what_is_cut_or_of_another_format_is_told() {
        let bytes = state(Status::Pending { due: Timestamp::default() }, None).encode();
        for length in 0..STATE_BYTES {
            assert!(State::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        for (place, value) in [(0, 2), (1, 3)] {
            let mut changed = bytes;
            changed[place] = value;
            assert!(State::decode(&changed).is_err());
        }
        let mut failed = bytes;
        failed[1] = FAILED;
        assert!(State::decode(&failed).is_err(), "a failure has a reason");
    }

    #[test]
    fn an_attempt_that_is_cut_is_told() {
        let attempt = Attempt {
            id: AttemptId::from_u128(5),
            number: 2,
            url: Arc::from("https://example.com/"),
            created_at: Timestamp::from_millis(7),
            duration: Duration::from_millis(9),
            response: Some(Response {
                status: 500,
                duration: Duration::from_millis(8),
                headers: Some(vec![("a".to_owned(), "b".to_owned())]),
                body: Some(Bytes::from_static(b"no")),
                truncated: true,
            }),
            error: Some(AttemptError {
                kind: ErrorKind::Http,
                message: "500".to_owned(),
            }),
        };
        let bytes = encode_attempt(&attempt, 11);
        let url = |number| {
            assert_eq!(number, 11);
            Ok(Arc::from("https://example.com/"))
        };
        assert_eq!(decode_attempt(&bytes, 2, url).unwrap(), attempt);
        for length in 0..bytes.len() {
            assert!(decode_attempt(&bytes[..length], 2, url).is_err(), "{length} bytes");
        }
    }
}
