//! `Idempotency-Key`: the first answer to a POST is kept for a day and replayed, so that a caller who lost it can ask again.
//!
//! The answer is kept in the transaction of the effect (`Call::write`, `Call::keep_ingested`). What has no effect is kept by itself, once
//! it is answered (`Keyed::settle`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use postrider_engine::{Ingested, KeepIngested};
use postrider_model::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use postrider_ports::once::{AnswerKey, Keep, Kept, KeptAnswer, Once, Write, Written};

use crate::answer::{self, Answer, Response};
use crate::api::Shared;
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::fault::{Bad, Faults};
use crate::rules;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Where a fault of the header stands.
const PLACE: &str = "header.idempotency-key";
/// Keys that may be in use at one time on this node.
const IN_USE_MAX: usize = 16_384;
/// When to come again where as many keys are in use as may be.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Makes the answer of what was written.
pub(crate) type Render = Arc<dyn Fn(&Written) -> Answer + Send + Sync>;

/// The keys whose first requests are at work on this node.
#[derive(Default)]
pub(crate) struct InUse {
    /// At most [`IN_USE_MAX`]. Written by requests as they begin and end.
    keys: Mutex<HashSet<AnswerKey>>,
}

impl InUse {
    fn take(self: &Arc<Self>, at: &AnswerKey) -> Result<Using, ApiError> {
        let mut keys = self.keys.lock();
        if keys.contains(at) {
            return Err(Code::IdempotencyKeyInUse.into());
        }
        if keys.len() >= IN_USE_MAX {
            return Err(ApiError::overloaded(RETRY_AFTER));
        }
        keys.insert(at.clone());
        Ok(Using {
            keys: Arc::clone(self),
            at: at.clone(),
        })
    }
}

/// A key in use. It is free again when this is dropped, also where the client has gone away.
struct Using {
    keys: Arc<InUse>,
    at: AnswerKey,
}

impl Drop for Using {
    fn drop(&mut self) {
        self.keys.keys.lock().remove(&self.at);
    }
}

/// Begins a POST that may have a key. The first with its key goes on as `Call::keyed`; what came later is answered here.
///
/// # Errors
/// Another with this key is at work, or was a different request; the store is gone.
pub(crate) async fn begin(call: &mut Call) -> Result<Option<Response>, ApiError> {
    let Some(caller) = &call.caller else { return Ok(None) };
    let owner = caller.acts_for();
    let Some(key) = read_key(&call.headers, &mut call.faults) else {
        return Ok(None);
    };
    // What is wrong with a request is answered, and not kept.
    if !call.faults.is_empty() {
        return Ok(None);
    }
    let keyed = Keyed::take(&call.shared, AnswerKey { owner, key }, fingerprint(&call.uri, &call.body.bytes))?;
    let store = call.engine().store();
    match store.kept_answer(keyed.at.clone(), call.now()).await? {
        Some(kept) => keyed.replay(kept).map(Some),
        None => {
            call.keyed = Some(Arc::new(keyed));
            Ok(None)
        }
    }
}

/// What the header says; faults are noted. `None` where it is not there, or not as it should be.
pub(crate) fn read_key(headers: &HeaderMap, faults: &mut Faults) -> Option<String> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = given.next()?;
    let judged = match std::str::from_utf8(value.as_bytes()) {
        _ if given.next().is_some() => Err(Bad::new("duplicate_header", "is there more than once")),
        Ok(key) => rules::bounded(key, 1, IDEMPOTENCY_KEY_CHARS_MAX),
        Err(_) => Err(Bad::new("invalid_encoding", "is not valid UTF-8")),
    };
    judged.map_err(|bad| faults.add(&PLACE, bad)).ok()
}

/// Tells POSTs apart: SHA-256 over path, query and body. The type of the body is no part of it: a route takes but one.
fn fingerprint(uri: &Uri, body: &[u8]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(uri.path_and_query().map_or("", |path| path.as_str()).as_bytes());
    hash.update(b"\n");
    hash.update(body);
    let mut bytes = [0u8; 32];
    bytes.iter_mut().zip(hash.finish().as_ref()).for_each(|(slot, byte)| *slot = *byte);
    bytes
}

/// The first request with its key.
pub(crate) struct Keyed {
    shared: Arc<Shared>,
    at: AnswerKey,
    fingerprint: [u8; 32],
    /// Whether the store was told how to keep its answer. Written by the handler, read when it has ended.
    is_settled: AtomicBool,
    _using: Using,
}

impl Keyed {
    fn take(shared: &Arc<Shared>, at: AnswerKey, fingerprint: [u8; 32]) -> Result<Self, ApiError> {
        Ok(Self {
            _using: shared.in_use.take(&at)?,
            shared: Arc::clone(shared),
            at,
            fingerprint,
            is_settled: AtomicBool::new(false),
        })
    }

    /// The answer that stands under the key.
    pub(crate) fn replay(&self, kept: Kept) -> Answer {
        if kept.fingerprint != self.fingerprint {
            return Err(Code::IdempotencyKeyReused.into());
        }
        let mut response = restored(kept.answer)?;
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// How the store keeps what `render` makes of a write.
    pub(crate) fn keep(&self, render: Render) -> Keep {
        let shared = Arc::clone(&self.shared);
        self.keep_as(move |written| shared.kept(render(written)))
    }

    /// The same for events.
    pub(crate) fn keep_ingested(&self, render: fn(&[Ingested]) -> Answer) -> KeepIngested {
        let shared = Arc::clone(&self.shared);
        KeepIngested {
            at: self.at.clone(),
            fingerprint: self.fingerprint,
            render: Arc::new(move |ingested| shared.kept(render(ingested))),
        }
    }

    fn keep_as(&self, render: impl Fn(&Written) -> Option<KeptAnswer> + Send + Sync + 'static) -> Keep {
        Keep {
            at: self.at.clone(),
            fingerprint: self.fingerprint,
            now: self.shared.engine.clock().wall(),
            render: Arc::new(render),
        }
    }

    /// The store has done what was asked: the answer is kept with it, or is not one to be kept.
    pub(crate) fn settled(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Keeps an answer that came without a write: a 404, a 500.
    pub(crate) async fn settle(&self, answer: Answer) -> Answer {
        if self.is_settled.load(Ordering::Relaxed) {
            return answer;
        }
        let response = self.shared.respond(answer);
        if !is_kept(response.status()) {
            return Ok(response);
        }
        let Some(kept) = to_keep(response) else {
            return Err(Code::InternalError.into());
        };
        let copy = kept.clone();
        let keep = self.keep_as(move |_| Some(copy.clone()));
        match self.shared.engine.write(Write::Nothing, Some(keep)).await? {
            Once::Done(_) => restored(kept),
            Once::Kept(first) => self.replay(first),
        }
    }
}

impl Shared {
    /// An answer as it goes out.
    pub(crate) fn respond(&self, answer: Answer) -> Response {
        answer.unwrap_or_else(|error| error.into_response(&self.docs))
    }

    fn kept(&self, answer: Answer) -> Option<KeptAnswer> {
        let response = self.respond(answer);
        is_kept(response.status()).then(|| to_keep(response)).flatten()
    }
}

/// Whether an answer with this status is replayed. The others say that nothing was done and that it may be asked again, changed or not.
fn is_kept(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_FOUND || status == StatusCode::INTERNAL_SERVER_ERROR
}

/// An answer as the store keeps it; `None` where its body is not at hand, as that of a stream.
fn to_keep(response: Response) -> Option<KeptAnswer> {
    let (parts, body) = response.into_parts();
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)));
    Some(KeptAnswer {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: body.collect().now_or_never()?.ok()?.to_bytes(),
        // Whatever is kept from caches holds a secret.
        is_secret: parts.headers.contains_key(header::CACHE_CONTROL),
    })
}

/// A kept answer as it was.
fn restored(answer: KeptAnswer) -> Answer {
    let status = StatusCode::from_u16(answer.status).map_err(|_| Code::InternalError)?;
    let mut response = answer::bytes(status, answer.body);
    response.headers_mut().clear();
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Code::InternalError)?;
        let value = HeaderValue::from_str(&value).map_err(|_| Code::InternalError)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
