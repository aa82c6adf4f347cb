//! Jobs: long work in the background, asked for, looked at and stopped.

use http::StatusCode;
use postrider_model::id::{JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_model::time::Timestamp;
use postrider_ports::once::{Write, Written};
use postrider_ports::store::JobMade;
use schemars::Schema;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::description::schema;
use crate::error::ApiError;
use crate::fault::Bad;
use crate::json::job::JobJson;
use crate::page::{self, List};
use crate::params::{Fields, read_body};
use crate::readers::text;
use crate::rules::{Moment, Rule};

const SINCE: &str = "Events made at this moment or after it, by their `created_at`.";
const UNTIL: &str = "Events made before this moment; now if left out.";
const STATUS: &str = "What is sent again: what `failed`, which is the default; what was never made (`missing`: by today's filters, also from \
                      before the webhook was); or `all`, also what succeeded, as new deliveries.";

/// What a recovery sends again.
struct What;

impl Rule for What {
    type Out = RecoverWhat;

    fn judge(&self, text: &str) -> Result<RecoverWhat, Bad> {
        let words = RecoverWhat::ALL.map(RecoverWhat::as_str).join(", ");
        RecoverWhat::parse(text).ok_or_else(|| Bad::new("unknown_value", format!("must be one of {words}")))
    }

    fn schema(&self) -> Schema {
        schema::one_of(RecoverWhat::ALL.map(RecoverWhat::as_str))
    }
}

pub(crate) struct Draft {
    since: Timestamp,
    until: Option<Timestamp>,
    what: RecoverWhat,
}

pub(crate) fn read_recovery(fields: &mut Fields<'_, '_, '_>) -> Option<Draft> {
    let since = fields.required("since", text(Moment), SINCE);
    let until = fields.optional("until", text(Moment), UNTIL);
    let what = fields.optional("status", text(What), STATUS);
    Some(Draft {
        since: since?,
        until,
        what: what.unwrap_or(RecoverWhat::Failed),
    })
}

/// `POST /webhooks/{id}/recover`: 202 with the job.
pub(crate) async fn recover(mut call: Call) -> Answer {
    let now = call.now();
    let mut faults = call.take_faults();
    let draft = read_body(&call.body(), &mut faults, read_recovery)?;
    if let Some(Draft { since, until, .. }) = &draft
        && *since > until.unwrap_or(now)
    {
        let detail = if until.is_some() {
            "must not be after until"
        } else {
            "must not be in the future"
        };
        faults.add(&"body.since", Bad::new("after_until", detail));
    }
    let Draft { since, until, what } = faults.settle(draft)?;
    let (account, webhook) = (call.account_id()?, call.id::<WebhookId>(0, Code::WebhookNotFound)?);
    let job = Job {
        id: JobId::new(now, call.bits()),
        account,
        kind: JobKind::Recover,
        webhook: Some(webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: now,
        modified_at: now,
    };
    // What is posted from now on is delivered without help.
    let until = until.map_or(now, |until| until.min(now));
    let recovery = Recovery {
        webhook,
        since,
        until,
        what,
    };
    call.write(Write::CreateJob(job.clone(), recovery), move |written| match written {
        Written::Job(JobMade::Made) => answer::json(StatusCode::ACCEPTED, &JobJson::from(&job)),
        Written::Job(JobMade::NoWebhook) => Err(Code::WebhookNotFound.into()),
        Written::Job(JobMade::WebhookInactive) => Err(Code::WebhookInactive.into()),
        Written::Job(JobMade::TooMany) => Err(ApiError::too_many_jobs(JOBS_RUNNING_MAX)),
        _ => Err(Code::InternalError.into()),
    })
    .await
}

/// `GET /jobs`
pub(crate) async fn list(mut call: Call) -> Answer {
    let account = call.account_id()?;
    let owner = account.to_string();
    let list = List {
        path: "/jobs",
        owner: &owner,
    };
    let ask = page::ask_alone(&mut call, &list)?;
    let found = call.engine().store().list_jobs(account, ask).await?;
    let rows: Vec<_> = found.rows.iter().map(JobJson::from).collect();
    page::answer(&call, &list, &rows, found.next)
}

/// `GET /jobs/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let id: JobId = call.id(0, Code::JobNotFound)?;
    let job = call.engine().store().job(call.account_id()?, id).await?;
    answer::json(StatusCode::OK, &JobJson::from(&job.ok_or(Code::JobNotFound)?))
}

/// `DELETE /jobs/{id}`: what is not done yet is left. One that has ended stays as it is.
pub(crate) async fn cancel(call: Call) -> Answer {
    let id: JobId = call.id(0, Code::JobNotFound)?;
    let job = call.engine().cancel_job(call.account_id()?, id).await?;
    answer::json(StatusCode::OK, &JobJson::from(&job.ok_or(Code::JobNotFound)?))
}
