//! Pages of lists: which one is asked for, and where the next one is found.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode, header};
use postrider_model::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use postrider_model::queue::Position;
use postrider_ports::PageAsk;
use schemars::{Schema, json_schema};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::error::ApiError;
use crate::fault::{Bad, Faults};
use crate::query::Query;
use crate::rules::Rule;

/// Which list a cursor belongs to: the path that is listed, and the account whose it is.
pub(crate) struct List<'a> {
    pub(crate) path: &'a str,
    pub(crate) owner: &'a str,
}

impl List<'_> {
    /// FNV-1a over the list and the place: it tells cursors of other lists and slips of the finger, not malice; a forged place shows
    /// nothing that the list does not.
    fn mark(&self, place: &[u8]) -> [u8; 4] {
        let parts = [self.path.as_bytes(), b"\n", self.owner.as_bytes(), b"\n", place];
        let bytes = parts.into_iter().flatten();
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        hash.to_be_bytes()
    }

    /// The opaque text that stands for a place in this list.
    pub(crate) fn cursor(&self, position: Position) -> String {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend(position.major.to_be_bytes());
        bytes.extend(position.minor.to_be_bytes());
        let mark = self.mark(&bytes);
        bytes.extend(mark);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor of this list stands for.
    pub(crate) fn position(&self, cursor: &str) -> Result<Position, Bad> {
        let refused = || {
            Bad::new(
                "invalid_cursor",
                "is not a cursor of this list: take it from the Link header as it is",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let (place, mark) = bytes.split_last_chunk::<4>().ok_or_else(refused)?;
        let (major, minor) = place.split_first_chunk::<8>().ok_or_else(refused)?;
        let minor: [u8; 4] = minor.try_into().map_err(|_| refused())?;
        if self.mark(place) != *mark {
            return Err(refused());
        }
        Ok(Position {
            major: u64::from_be_bytes(*major),
            minor: u32::from_be_bytes(minor),
        })
    }
}

/// How many rows a page may have.
struct Limit;

impl Rule for Limit {
    type Out = usize;

    fn judge(&self, text: &str) -> Result<usize, Bad> {
        let limit = text.parse().ok().filter(|limit| (1..=PAGE_ROWS_MAX).contains(limit));
        limit.ok_or_else(|| Bad::new("out_of_range", format!("must be a whole number from 1 to {PAGE_ROWS_MAX}")))
    }

    fn schema(&self) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "default": PAGE_ROWS_DEFAULT })
    }
}

/// A place in this list.
struct Cursor<'a>(&'a List<'a>);

impl Rule for Cursor<'_> {
    type Out = Position;

    fn judge(&self, text: &str) -> Result<Position, Bad> {
        self.0.position(text)
    }

    fn schema(&self) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// Reads `limit` and `cursor`.
pub(crate) fn ask(list: &List<'_>, query: &mut Query, faults: &mut Faults) -> PageAsk {
    let limit = query.take("limit", faults, Limit, "Most rows that the page may have.");
    let after = query.take(
        "cursor",
        faults,
        Cursor(list),
        "Where the page begins: opaque, out of the header `Link` of the page before.",
    );
    PageAsk {
        limit: limit.unwrap_or(PAGE_ROWS_DEFAULT),
        after,
    }
}

/// The page that is asked for of a list without filters.
///
/// # Errors
/// All that is wrong with the request.
pub(crate) fn ask_alone(call: &mut Call, list: &List<'_>) -> Result<PageAsk, ApiError> {
    let (mut faults, mut query) = (call.take_faults(), std::mem::take(&mut call.query));
    let ask = ask(list, &mut query, &mut faults);
    query.finish(&mut faults);
    faults.settle(Some(ask))
}

/// What lists without filters read.
pub(crate) fn describe(query: &mut Query, faults: &mut Faults) {
    ask(&List { path: "", owner: "" }, query, faults);
}

/// One page: a bare array, and the way to the next one in `Link` (RFC 8288).
pub(crate) fn answer(call: &Call, list: &List<'_>, rows: &[impl Serialize], next: Option<Position>) -> Answer {
    let mut response = answer::json(StatusCode::OK, &rows)?;
    if let Some(next) = next {
        let link = next_link(call, &list.cursor(next));
        // What came in as a path and a query fits into a header again.
        let value = HeaderValue::from_str(&link).ok();
        response.headers_mut().extend(value.map(|value| (header::LINK, value)));
    }
    Ok(response)
}

fn next_link(call: &Call, cursor: &str) -> String {
    let (base, uri) = (call.options().public_url.as_deref().unwrap_or_default(), call.uri());
    let pairs = uri.query().unwrap_or_default().split('&');
    let kept = pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: String = kept.flat_map(|pair| [pair, "&"]).collect();
    let (base, path) = (base.trim_end_matches('/'), uri.path());
    format!("<{base}{path}?{query}cursor={cursor}>; rel=\"next\"")
}
