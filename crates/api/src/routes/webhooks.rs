//! Webhooks of an account.

use std::time::Duration;

use http::StatusCode;
use postrider_model::health::Health;
use postrider_model::id::WebhookId;
use postrider_model::limits::{EVENT_DATA_BYTES_MAX, EVENT_NAMES_MAX, GRACE_DEFAULT, GRACE_MAX};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::secret::{SECRET_BYTES_MADE, SigningSecret, WebhookSecret};
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Rotation, Webhook, WebhookChange};
use postrider_ports::once::{Write, Written};
use postrider_ports::registry::{WebhookEdit, WebhookEdited, WebhookMade};

use super::{deliveries, events};
use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::json::webhook::{WebhookJson, WebhookWithSecretJson};
use crate::page::{self, List};
use crate::params::{Fields, read_body, read_optional_body};
use crate::readers::{Boolean, RawObject, WholeNumber, object, text, texts};
use crate::rules;

const URL: &str = "Where deliveries go: https, and a public host name.";
const IS_ACTIVE: &str = "False: no deliveries are made for it, and those that wait go on waiting.";
const EVENT_NAMES: &str = "The names of the events that it wants: `order.filled`, or `order.*` for all below `order.`. None: all events.";
const SECRET: &str = "A secret of the caller's own: `whsec_` and the base64 of 24 to 75 bytes. One is made if it is left out.";
const GRACE: &str = "How long older secrets still sign beside the new one; 24 hours if left out, 0 ends them at once.";

fn id(call: &Call) -> Result<WebhookId, ApiError> {
    call.id(0, Code::WebhookNotFound)
}

/// A new secret of ours.
fn make_secret(call: &Call) -> Result<SigningSecret, ApiError> {
    let mut bytes = [0u8; SECRET_BYTES_MADE];
    call.engine().random().fill(&mut bytes);
    // Their number is one that is allowed.
    SigningSecret::from_bytes(&bytes).map_err(|_| Code::InternalError.into())
}

pub(crate) struct Draft {
    url: WebhookUrl,
    description: Option<String>,
    is_active: bool,
    event_names: Vec<EventNamePattern>,
    secret: Option<SigningSecret>,
}

pub(crate) fn read_draft(fields: &mut Fields<'_, '_, '_>, policy: &UrlPolicy) -> Option<Draft> {
    let url = fields.required("url", text(rules::Url(policy)), URL);
    let description = fields.nullable("description", text(rules::Description), "What people say of it.");
    let is_active = fields.optional("is_active", Boolean, IS_ACTIVE);
    let event_names = fields.optional("event_names", texts(0..=EVENT_NAMES_MAX, rules::NamePattern), EVENT_NAMES);
    let secret = fields.optional("secret", text(rules::Secret), SECRET);
    Some(Draft {
        url: url?,
        description: description.flatten(),
        is_active: is_active.unwrap_or(true),
        event_names: event_names.unwrap_or_default(),
        secret,
    })
}

/// `POST /webhooks`: the secret is shown this once.
pub(crate) async fn create(mut call: Call) -> Answer {
    let account = call.account_id()?;
    let mut faults = call.take_faults();
    let policy = &call.engine().settings().url_policy;
    let draft = read_body(&call.body(), &mut faults, |fields| read_draft(fields, policy))?;
    let draft = faults.settle(draft)?;
    let secret = draft.secret.map_or_else(|| make_secret(&call), Ok)?;
    let shown_once = secret.reveal();
    let now = call.now();
    let webhook = Webhook {
        id: WebhookId::new(now, call.bits()),
        account,
        url: draft.url,
        description: draft.description,
        is_active: draft.is_active,
        event_names: draft.event_names,
        secrets: vec![WebhookSecret { secret, expires_at: None }],
        health: Health::Unproven,
        created_at: now,
        modified_at: now,
    };
    let webhooks_max = call.engine().settings().webhooks_per_account;
    call.write(Write::CreateWebhook(webhook.clone(), webhooks_max), move |written| match written {
        Written::Webhook(WebhookMade::Made) => answer::secret_json(StatusCode::CREATED, &WebhookWithSecretJson::new(&webhook, &shown_once)),
        Written::Webhook(WebhookMade::TooMany) => Err(ApiError::too_many_webhooks(webhooks_max)),
        Written::Webhook(WebhookMade::NoAccount) => Err(Code::AccountNotFound.into()),
        _ => Err(Code::InternalError.into()),
    })
    .await
}

/// `GET /webhooks`
pub(crate) async fn list(mut call: Call) -> Answer {
    let account = call.account_id()?;
    let owner = account.to_string();
    let list = List {
        path: "/webhooks",
        owner: &owner,
    };
    let ask = page::ask_alone(&mut call, &list)?;
    let found = call.engine().store().list_webhooks(account, ask).await?;
    let rows: Vec<_> = found.rows.iter().map(|webhook| WebhookJson::from(&**webhook)).collect();
    page::answer(&call, &list, &rows, found.next)
}

/// `GET /webhooks/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let webhook = call.engine().store().webhook(call.account_id()?, id(&call)?).await?;
    let webhook = webhook.ok_or(Code::WebhookNotFound)?;
    answer::json(StatusCode::OK, &WebhookJson::from(&*webhook))
}

pub(crate) fn read_change(fields: &mut Fields<'_, '_, '_>, policy: &UrlPolicy) -> Option<WebhookChange> {
    Some(WebhookChange {
        url: fields.optional("url", text(rules::Url(policy)), URL),
        description: fields.nullable("description", text(rules::Description), "What people say of it."),
        is_active: fields.optional("is_active", Boolean, IS_ACTIVE),
        event_names: fields.optional("event_names", texts(0..=EVENT_NAMES_MAX, rules::NamePattern), EVENT_NAMES),
    })
}

/// `PUT /webhooks/{id}`: what is left out stays.
pub(crate) async fn change(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let policy = &call.engine().settings().url_policy;
    let change = read_body(&call.body(), &mut faults, |fields| read_change(fields, policy))?;
    let change = faults.settle(change)?;
    let (account, id) = (call.account_id()?, id(&call)?);
    match call.engine().edit_webhook(account, id, WebhookEdit::Change(change)).await? {
        WebhookEdited::Edited(webhook) => answer::json(StatusCode::OK, &WebhookJson::from(&*webhook)),
        WebhookEdited::NotFound => Err(Code::WebhookNotFound.into()),
        WebhookEdited::TooManySecrets(_) => Err(Code::TooManySecrets.into()),
    }
}

/// `DELETE /webhooks/{id}`
pub(crate) async fn delete(call: Call) -> Answer {
    if call.engine().delete_webhook(call.account_id()?, id(&call)?).await? {
        return Ok(answer::deleted());
    }
    Err(Code::WebhookNotFound.into())
}

pub(crate) struct RotationDraft {
    secret: Option<SigningSecret>,
    grace: Duration,
}

pub(crate) fn read_rotation(fields: &mut Fields<'_, '_, '_>) -> Option<RotationDraft> {
    let seconds = fields.optional("grace_seconds", WholeNumber(GRACE_MAX.as_secs()), GRACE);
    Some(RotationDraft {
        secret: fields.optional("secret", text(rules::Secret), SECRET),
        grace: seconds.map_or(GRACE_DEFAULT, Duration::from_secs),
    })
}

/// `POST /webhooks/{id}/secret/rotate`: the new secret is shown this once.
pub(crate) async fn rotate(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let draft = read_optional_body(&call.body(), &mut faults, read_rotation)?;
    let draft = faults.settle(draft)?;
    let webhook = (call.account_id()?, id(&call)?);
    let secret = draft.secret.map_or_else(|| make_secret(&call), Ok)?;
    let shown_once = secret.reveal();
    let rotation = Rotation {
        secret,
        grace: draft.grace,
    };
    let (edit, now) = (WebhookEdit::Rotate(rotation), call.now());
    call.write(Write::EditWebhook { webhook, edit, now }, move |written| match written {
        Written::Edited(WebhookEdited::Edited(webhook)) => {
            answer::secret_json(StatusCode::OK, &WebhookWithSecretJson::new(webhook, &shown_once))
        }
        Written::Edited(WebhookEdited::NotFound) => Err(Code::WebhookNotFound.into()),
        Written::Edited(WebhookEdited::TooManySecrets(_)) => Err(Code::TooManySecrets.into()),
        _ => Err(Code::InternalError.into()),
    })
    .await
}

pub(crate) struct TestDraft<'a> {
    name: EventName,
    data: &'a str,
}

fn read_test_event<'a>(fields: &mut Fields<'a, '_, '_>) -> Option<TestDraft<'a>> {
    let name = fields.required("name", text(rules::Name), events::NAME);
    let data = fields.optional("data", RawObject(EVENT_DATA_BYTES_MAX), events::DATA);
    Some(TestDraft {
        name: name?,
        data: data.unwrap_or("{}"),
    })
}

pub(crate) fn read_test<'a>(fields: &mut Fields<'a, '_, '_>) -> Option<TestDraft<'a>> {
    fields.required("event", object(read_test_event), "What the delivery's body is made of.")
}

/// `POST /webhooks/{id}/test`: 202 with the delivery.
pub(crate) async fn test(mut call: Call) -> Answer {
    let mut faults = call.take_faults();
    let body = call.body();
    let draft = read_body(&body, &mut faults, read_test)?;
    let TestDraft { name, data } = faults.settle(draft)?;
    let (account, id) = (call.account_id()?, id(&call)?);
    let test = call.engine().draft_test(account, id, name, data);
    let write = Write::CreateTest(test.delivery.clone(), test.payload.clone());
    call.write(write, move |written| match written {
        Written::Test(true) => deliveries::accepted(&test, false),
        Written::Test(false) => Err(Code::WebhookNotFound.into()),
        _ => Err(Code::InternalError.into()),
    })
    .await
}
