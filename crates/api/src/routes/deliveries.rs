//! Deliveries: read, listed and sent again.

use http::StatusCode;
use postrider_model::delivery::DeliveryRecord;
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_ports::once::{Write, Written};
use postrider_ports::store::Retried;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::filters;
use crate::json::delivery::DeliveryJson;
use crate::page::{self, List};
use crate::params::{Fields, read_optional_body};

fn id(call: &Call) -> Result<DeliveryId, ApiError> {
    call.id(0, Code::DeliveryNotFound)
}

/// `GET /deliveries/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let record = call.engine().store().delivery(call.account_id()?, id).await?;
    let record = record.ok_or(Code::DeliveryNotFound)?;
    let is_in_progress = call.engine().in_progress(&[id]).await.contains(&true);
    answer::json(StatusCode::OK, &DeliveryJson::new(&record, is_in_progress))
}

/// 202 with a delivery that is on its way.
pub(super) fn accepted(record: &DeliveryRecord, is_in_progress: bool) -> Answer {
    answer::json(StatusCode::ACCEPTED, &DeliveryJson::new(record, is_in_progress))
}

/// An object without fields.
pub(crate) fn read_nothing(_: &mut Fields<'_, '_, '_>) -> Option<()> {
    Some(())
}

/// `POST /deliveries/{id}/retry`
pub(crate) async fn retry(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let nothing = read_optional_body(&call.body(), &mut faults, read_nothing)?;
    faults.settle(nothing)?;
    let (account, id) = (call.account_id()?, id(&call)?);
    if let Some(record) = call.engine().being_sent(account, id).await? {
        return call.write(Write::Nothing, move |_| accepted(&record, true)).await;
    }
    let write = Write::RetryDelivery(call.engine().draft_retry(account, id));
    call.write(write, |written| match written {
        Written::Retried(Retried::Due { record, .. }) => accepted(record, false),
        Written::Retried(Retried::NotFound) => Err(Code::DeliveryNotFound.into()),
        Written::Retried(Retried::WebhookInactive) => Err(Code::WebhookInactive.into()),
        Written::Retried(Retried::WebhookDeleted) => Err(Code::WebhookDeleted.into()),
        _ => Err(Code::InternalError.into()),
    })
    .await
}

/// `GET /deliveries`: those of deleted webhooks too.
pub(crate) async fn list(call: Call) -> Answer {
    list_matching(call, None).await
}

/// `GET /webhooks/{id}/deliveries`
pub(crate) async fn list_of_webhook(call: Call) -> Answer {
    let webhook: WebhookId = call.id(0, Code::WebhookNotFound)?;
    let found = call.engine().store().webhook(call.account_id()?, webhook).await?;
    if found.is_none() {
        return Err(Code::WebhookNotFound.into());
    }
    list_matching(call, Some(webhook)).await
}

async fn list_matching(mut call: Call, of_path: Option<WebhookId>) -> Answer {
    let account = call.account_id()?;
    let (owner, path) = (account.to_string(), call.uri().path().to_owned());
    let list = List {
        path: &path,
        owner: &owner,
    };
    let (mut faults, mut query) = (call.take_faults(), std::mem::take(&mut call.query));
    let ask = page::ask(&list, &mut query, &mut faults);
    let wanted = filters::deliveries(of_path, &mut query, &mut faults);
    query.finish(&mut faults);
    let Some(wanted) = faults.settle(Some(wanted))? else {
        return page::answer(&call, &list, &[] as &[DeliveryJson<'_>], None);
    };
    let found = call.engine().store().list_deliveries(account, wanted.filter.clone(), ask).await?;
    let ids: Vec<DeliveryId> = found.rows.iter().map(|record| record.delivery.id).collect();
    let in_progress = call.engine().in_progress(&ids).await;
    let known = in_progress.into_iter().chain(std::iter::repeat(false));
    let shown = found.rows.iter().zip(known);
    let rows: Vec<_> = shown
        .filter(|(record, is_in_progress)| wanted.shows(record.delivery.status, *is_in_progress))
        .map(|(record, is_in_progress)| DeliveryJson::new(record, is_in_progress))
        .collect();
    page::answer(&call, &list, &rows, found.next)
}
