//! Every limit that a user can meet, named with its unit. docs/reference/limits.md is generated from these.

use std::time::Duration;

/// Largest `data` of an event.
pub const EVENT_DATA_BYTES_MAX: usize = 256 * 1024;
/// Largest body of a request, other than a batch.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest body of `POST /events/batch`.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Most deliveries that one request may make.
pub const REQUEST_DELIVERIES_MAX: usize = 20_000;
/// Most rows that one transaction of a store writes for one request; a larger fan-out is expanded in steps.
pub const TRANSACTION_ROWS_MAX: usize = 5_000;
/// Webhooks of one account, unless `--webhooks-per-account` says otherwise.
pub const WEBHOOKS_PER_ACCOUNT_MAX: usize = 1_000;
/// Longest description of a webhook.
pub const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Most `event_names` of a webhook.
pub const EVENT_NAMES_MAX: usize = 100;
/// Longest id or type of a resource.
pub const RESOURCE_CHARS_MAX: usize = 255;
/// Longest name of an account or a key.
pub const LABEL_CHARS_MAX: usize = 255;
/// Most signing secrets that a webhook has at once, while they rotate.
pub const SECRETS_MAX: usize = 5;
/// Longest grace in which a rotated secret still signs.
pub const GRACE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The grace where none is given.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// Largest page of a list.
pub const PAGE_ROWS_MAX: usize = 200;
/// The page where no `limit` is given.
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// Most bytes of payloads on one page.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of a response of a receiver that are read.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of the body of a failed attempt's response that are kept.
pub const RESPONSE_BODY_KEPT_BYTES_MAX: usize = 4 * 1024;
/// Time to connect: name lookup, TCP and TLS.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Time to write a request.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(5);
/// Time to the status and headers of a response, from the moment the request was sent.
pub const READ_TIME_MAX: Duration = Duration::from_secs(15);
/// All of one attempt, whatever the receiver does.
pub const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(25);
/// The longest `Retry-After` that is obeyed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long after its schedule's length a delivery still waits for its turn before it expires.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(24 * 3600);
/// How long the answer to an `Idempotency-Key` is replayed.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Jobs of one account that run at one time.
pub const JOBS_RUNNING_MAX: usize = 10;
/// Streams of events (`GET /events` with `Accept: text/event-stream`) that a server has open at one time.
pub const EVENT_STREAMS_MAX: usize = 1_000;
/// Streams of events that one account has open at one time.
pub const EVENT_STREAMS_PER_ACCOUNT_MAX: usize = 50;
/// Longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// How long events and ended deliveries are kept, unless `--retention` says otherwise.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a token of `POST /auth/token` is valid.
pub const ACCESS_TOKEN_TIME: Duration = Duration::from_secs(15 * 60);
