//! Events: taken in one by one or in batches, and read again.

use std::time::Duration;

use http::StatusCode;
use postrider_engine::{EventIn, IngestError, Ingested};
use postrider_model::event::Resource;
use postrider_model::id::EventId;
use postrider_model::limits::{BATCH_EVENTS_MAX, EVENT_DATA_BYTES_MAX};

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::params::{Fields, read_body};
use crate::readers::{RawObject, list, object, text};
use crate::rules;

/// How often a request is begun anew because its account was changed meanwhile.
const TRIES_MAX: usize = 8;
/// When to come again after that many.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) const NAME: &str = "What happened: words parted by dots.";
pub(super) const DATA: &str = "What there is to say of it: any object of at most 256 KiB, delivered as it is written. `{}` if left out.";
const OWN_ID: &str = "An id of the caller's own. The same event again under it is stored once.";

fn read_event<'a>(fields: &mut Fields<'a, '_, '_>) -> Option<EventIn<'a>> {
    let name = fields.required("name", text(rules::Name), NAME);
    let resource = fields.required("resource", object(read_resource), "What it happened to.");
    let data = fields.optional("data", RawObject(EVENT_DATA_BYTES_MAX), DATA);
    let id = fields.optional("id", text(rules::OwnEventId), OWN_ID);
    Some(EventIn {
        name: name?,
        resource: resource?,
        data: data.unwrap_or("{}"),
        id,
    })
}

fn read_resource(fields: &mut Fields<'_, '_, '_>) -> Option<Resource> {
    let id = fields.required("id", text(rules::ResourcePart("o-1001")), "The platform's id of it.");
    let resource_type = fields.required("resource_type", text(rules::ResourcePart("order")), "What kind of thing it is.");
    Some(Resource {
        id: id?,
        resource_type: resource_type?,
    })
}

pub(crate) fn read_single<'a>(fields: &mut Fields<'a, '_, '_>) -> Option<Vec<EventIn<'a>>> {
    read_event(fields).map(|event| vec![event])
}

/// How the events of a body are read.
type Read = for<'a> fn(&mut Fields<'a, '_, '_>) -> Option<Vec<EventIn<'a>>>;

/// Stores the events of the body, and answers what `render` makes of them. Where the account was changed elsewhere meanwhile, all of it
/// begins anew, with the caller's right to do it.
async fn take_in(mut call: Call, read: Read, id_path: fn(usize) -> String, render: fn(&[Ingested]) -> Answer) -> Answer {
    let body = call.body();
    for _ in 0..TRIES_MAX {
        let mut faults = call.take_faults();
        let events = read_body(&body, &mut faults, read)?;
        let events = faults.settle(events)?;
        let keep = call.keyed.as_ref().map(|keyed| keyed.keep_ingested(render));
        match (call.engine().ingest(call.account()?, events, keep).await, &call.keyed) {
            (Ok(ingested), keyed) => {
                keyed.iter().for_each(|keyed| keyed.settled());
                return render(&ingested);
            }
            (Err(IngestError::Kept(kept)), Some(keyed)) => return keyed.replay(*kept),
            (Err(IngestError::KeyChanged), _) => Box::pin(call.admit_again()).await?,
            (Err(error), _) => return Err(ApiError::ingest(error, id_path)),
        }
    }
    Err(ApiError::overloaded(RETRY_AFTER))
}

/// `POST /events`: stored, and to be delivered. The same again under an id of the caller's is a 200.
pub(crate) async fn create(call: Call) -> Answer {
    take_in(call, read_single, |_| "body.id".to_owned(), render_single).await
}

fn render_single(ingested: &[Ingested]) -> Answer {
    let first = ingested.first().ok_or(Code::InternalError)?;
    let status = if first.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::bytes(status, first.event.body.clone()))
}

pub(crate) fn read_batch<'a>(fields: &mut Fields<'a, '_, '_>) -> Option<Vec<EventIn<'a>>> {
    let events = list(1..=BATCH_EVENTS_MAX, object(read_event));
    fields.required("events", events, "All of them are stored, or none.")
}

/// `POST /events/batch`: all of them or none, answered in the same order.
pub(crate) async fn create_batch(call: Call) -> Answer {
    take_in(call, read_batch, |index| format!("body.events[{index}].id"), render_batch).await
}

/// The bodies of events are JSON already: they are only put side by side.
fn render_batch(events: &[Ingested]) -> Answer {
    let bytes: usize = events.iter().map(|ingested| ingested.event.body.len() + 1).sum();
    let mut out = Vec::with_capacity(bytes + 16);
    out.extend_from_slice(b"{\"events\":[");
    for (index, ingested) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&ingested.event.body);
    }
    out.extend_from_slice(b"]}");
    Ok(answer::bytes(StatusCode::CREATED, out.into()))
}

/// `GET /events/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let id: EventId = call.id(0, Code::EventNotFound)?;
    let event = call.engine().store().event(call.account_id()?, id).await?;
    let event = event.ok_or(Code::EventNotFound)?;
    Ok(answer::bytes(StatusCode::OK, event.body.clone()))
}
