//! A job as it is shown.

use postrider_model::id::{JobId, WebhookId};
use postrider_model::job::Job;
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;

/// Long work in the background.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobJson<'a> {
    #[schemars(schema_with = "field::job_id")]
    id: JobId,
    /// What it does.
    #[schemars(schema_with = "field::job_kind")]
    kind: &'static str,
    /// For which webhook, where it is for one.
    #[schemars(schema_with = "field::webhook_id_or_null")]
    webhook: Option<WebhookId>,
    /// Where it stands.
    #[schemars(schema_with = "field::job_status")]
    status: &'static str,
    /// Deliveries that it has dealt with.
    done: u64,
    /// Deliveries that it will have dealt with at its end; null until they are counted.
    total: Option<u64>,
    /// Why it failed.
    error: Option<&'a str>,
    #[schemars(schema_with = "field::moment_or_null")]
    ended_at: Option<Timestamp>,
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    #[schemars(schema_with = "field::moment")]
    modified_at: Timestamp,
}

impl<'a> From<&'a Job> for JobJson<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind.as_str(),
            webhook: job.webhook,
            status: job.status.as_str(),
            done: job.done,
            total: job.total,
            error: job.error.as_deref(),
            ended_at: job.ended_at,
            created_at: job.created_at,
            modified_at: job.modified_at,
        }
    }
}
