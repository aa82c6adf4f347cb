//! Attempts as bytes: those in `attempts`, and the one in `deliveries.success`.
//!
//! Whole numbers are written seven bits a byte, the lowest first (LEB128): most of them are small, and there is one attempt for each delivery.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::id::AttemptId;
use postrider_model::time::Timestamp;

use crate::fault::{Outcome, corrupt};

const FORMAT: u8 = 1;

const HAS_RESPONSE: u8 = 1;
const HAS_HEADERS: u8 = 2;
const HAS_BODY: u8 = 4;
const IS_TRUNCATED: u8 = 8;
const HAS_ERROR: u8 = 16;

/// An attempt as bytes, its number and url with it.
pub(crate) fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + attempt.url.len());
    out.extend_from_slice(&[FORMAT, flags_of(attempt)]);
    push_number(&mut out, u64::from(attempt.number));
    out.extend_from_slice(&attempt.id.as_u128().to_be_bytes());
    push_blob(&mut out, attempt.url.as_bytes());
    out.extend_from_slice(&attempt.created_at.as_millis().to_be_bytes());
    push_duration(&mut out, attempt.duration);
    if let Some(error) = &attempt.error {
        out.push(error.kind as u8);
        push_blob(&mut out, error.message.as_bytes());
    }
    if let Some(response) = &attempt.response {
        push_number(&mut out, u64::from(response.status));
        push_duration(&mut out, response.duration);
        if let Some(headers) = &response.headers {
            push_number(&mut out, headers.len() as u64);
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

fn flags_of(attempt: &Attempt) -> u8 {
    let mut flags = if attempt.error.is_some() { HAS_ERROR } else { 0 };
    if let Some(response) = &attempt.response {
        flags |= HAS_RESPONSE;
        flags |= if response.headers.is_some() { HAS_HEADERS } else { 0 };
        flags |= if response.body.is_some() { HAS_BODY } else { 0 };
        flags |= if response.truncated { IS_TRUNCATED } else { 0 };
    }
    flags
}

/// An attempt from bytes.
pub(crate) fn decode_attempt(bytes: &[u8]) -> Outcome<Attempt> {
    let mut from = Reader(bytes);
    let [format, flags] = from.array()?;
    if format != FORMAT {
        return Err(corrupt("an attempt has an unknown format"));
    }
    Ok(Attempt {
        number: u32::try_from(from.number()?).map_err(corrupt)?,
        id: AttemptId::from_u128(u128::from_be_bytes(from.array()?)),
        url: Arc::from(from.text()?),
        created_at: Timestamp::from_millis(i64::from_be_bytes(from.array()?)),
        duration: from.duration()?,
        error: (flags & HAS_ERROR != 0).then(|| read_error(&mut from)).transpose()?,
        response: (flags & HAS_RESPONSE != 0).then(|| read_response(&mut from, flags)).transpose()?,
    })
}

fn read_error(from: &mut Reader<'_>) -> Outcome<AttemptError> {
    let [code] = from.array()?;
    Ok(AttemptError {
        kind: ErrorKind::from_code(code).ok_or_else(|| corrupt("an attempt failed in an unknown way"))?,
        message: from.text()?.to_owned(),
    })
}

fn read_response(from: &mut Reader<'_>, flags: u8) -> Outcome<Response> {
    let status = u16::try_from(from.number()?).map_err(corrupt)?;
    let duration = from.duration()?;
    let mut headers = None;
    if flags & HAS_HEADERS != 0 {
        let count = from.number()?;
        let pair = |_| Ok((from.text()?.to_owned(), from.text()?.to_owned()));
        headers = Some((0..count).map(pair).collect::<Outcome<_>>()?);
    }
    let mut body = None;
    if flags & HAS_BODY != 0 {
        body = Some(Bytes::copy_from_slice(from.blob()?));
    }
    Ok(Response {
        status,
        duration,
        headers,
        body,
        truncated: flags & IS_TRUNCATED != 0,
    })
}

pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_duration(out: &mut Vec<u8>, duration: Duration) {
    push_number(out, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

pub(crate) fn push_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes from the left.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| corrupt("a value is cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn number(&mut self) -> Outcome<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(corrupt("a number is too long"))
    }

    fn duration(&mut self) -> Outcome<Duration> {
        Ok(Duration::from_nanos(self.number()?))
    }

    pub(crate) fn blob(&mut self) -> Outcome<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(corrupt)?;
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| corrupt("a value is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn text(&mut self) -> Outcome<&'a str> {
        std::str::from_utf8(self.blob()?).map_err(corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Attempt {
        Attempt {
            id: AttemptId::from_u128(u128::MAX),
            number: u32::MAX,
            url: Arc::from("https://example.com/žluťoučký"),
            created_at: Timestamp::from_millis(i64::MIN),
            duration: Duration::from_nanos(u64::MAX),
            response: Some(Response {
                status: u16::MAX,
                duration: Duration::from_millis(8),
                headers: Some(vec![("a".to_owned(), "b".to_owned()), ("empty".to_owned(), String::new())]),
                body: Some(Bytes::from_static(b"no\0\xff")),
                truncated: true,
            }),
            error: Some(AttemptError {
                kind: ErrorKind::Http,
                message: "500".repeat(100),
            }),
        }
    }

    fn acknowledged() -> Attempt {
        Attempt {
            id: AttemptId::from_u128(0),
            number: 1,
            duration: Duration::ZERO,
            response: Some(Response {
                status: 204,
                duration: Duration::from_nanos(127),
                headers: None,
                body: None,
                truncated: false,
            }),
            error: None,
            ..refused()
        }
    }

    #[test]
    fn every_attempt_comes_back() {
        let mut silent = refused();
        silent.response = None;
        for attempt in [refused(), acknowledged(), silent] {
            assert_eq!(decode_attempt(&encode_attempt(&attempt)).unwrap(), attempt);
        }
    }

    #[test]
    fn an_attempt_that_is_cut_is_told() {
        for attempt in [refused(), acknowledged()] {
            let bytes = encode_attempt(&attempt);
            for length in 0..bytes.len() {
                assert!(decode_attempt(&bytes[..length]).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn what_is_of_another_format_is_told() {
        let mut bytes = encode_attempt(&acknowledged());
        bytes[0] += 1;
        assert!(decode_attempt(&bytes).is_err());
        let mut endless = vec![FORMAT, 0];
        endless.extend([0xff; 20]);
        assert!(decode_attempt(&endless).is_err(), "a number that does not end");
    }
}
