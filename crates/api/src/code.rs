//! The words by which programs tell errors apart. They are stable: a word is never given another meaning.

use http::StatusCode;

/// What went wrong with a request, as `code` of the error body says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Parameters are wrong; `params` names every one of them.
    InvalidRequest,
    /// The body is no JSON.
    MalformedJson,
    /// The body ended too early, or came too slowly.
    BodyIncomplete,
    /// An operator key must say for which account it acts.
    AccountRequired,
    /// The token route knows another way to ask only.
    UnsupportedGrantType,
    /// The key lacks a scope that was asked for its token.
    InvalidScope,
    /// There is no usable `Authorization` header.
    Unauthenticated,
    /// The token belongs to no key.
    InvalidToken,
    /// The token has ended, or its key has.
    ExpiredToken,
    /// The client's id and secret are not those of a key.
    InvalidClient,
    /// The key lacks the scope of this route.
    InsufficientScope,
    /// The account is switched off.
    AccountInactive,
    /// The key belongs to another account than `Account-Id` names.
    AccountMismatch,
    /// There is no such route.
    RouteNotFound,
    /// There is no such account.
    AccountNotFound,
    /// There is no such key.
    KeyNotFound,
    /// There is no such webhook.
    WebhookNotFound,
    /// There is no such event.
    EventNotFound,
    /// There is no such delivery.
    DeliveryNotFound,
    /// There is no such job.
    JobNotFound,
    /// The route has no such method; `Allow` has those that it has.
    MethodNotAllowed,
    /// Another event has this id, with other content.
    EventIdTaken,
    /// Another account has this `external_id`.
    ExternalIdTaken,
    /// The account has as many webhooks as it may.
    TooManyWebhooks,
    /// The webhook has as many secrets as can sign at once.
    TooManySecrets,
    /// The webhook is not active.
    WebhookInactive,
    /// The delivery's webhook is deleted.
    WebhookDeleted,
    /// As many jobs of the account run as may.
    TooManyJobs,
    /// The first request with this idempotency key is still at work.
    IdempotencyKeyInUse,
    /// The event in `Last-Event-ID` is kept no longer.
    EventIdExpired,
    /// The account has as many streams open as it may.
    TooManyStreams,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The request would make more deliveries than one request may.
    TooManyDeliveries,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// Another request had this idempotency key.
    IdempotencyKeyReused,
    /// A fault of ours.
    InternalError,
    /// More work waits than is taken.
    Overloaded,
    /// The store cannot be used now.
    Unavailable,
    /// The server is stopping.
    Stopping,
    /// The node only sends.
    DispatchOnly,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 40] = [
        Self::InvalidRequest,
        Self::MalformedJson,
        Self::BodyIncomplete,
        Self::AccountRequired,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::InvalidClient,
        Self::InsufficientScope,
        Self::AccountInactive,
        Self::AccountMismatch,
        Self::RouteNotFound,
        Self::AccountNotFound,
        Self::KeyNotFound,
        Self::WebhookNotFound,
        Self::EventNotFound,
        Self::DeliveryNotFound,
        Self::JobNotFound,
        Self::MethodNotAllowed,
        Self::EventIdTaken,
        Self::ExternalIdTaken,
        Self::TooManyWebhooks,
        Self::TooManySecrets,
        Self::WebhookInactive,
        Self::WebhookDeleted,
        Self::TooManyJobs,
        Self::IdempotencyKeyInUse,
        Self::EventIdExpired,
        Self::TooManyStreams,
        Self::BodyTooLarge,
        Self::TooManyDeliveries,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::InternalError,
        Self::Overloaded,
        Self::Unavailable,
        Self::Stopping,
        Self::DispatchOnly,
    ];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MalformedJson => "malformed_json",
            Self::BodyIncomplete => "body_incomplete",
            Self::AccountRequired => "account_required",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::InvalidClient => "invalid_client",
            Self::InsufficientScope => "insufficient_scope",
            Self::AccountInactive => "account_inactive",
            Self::AccountMismatch => "account_mismatch",
            Self::RouteNotFound => "route_not_found",
            Self::AccountNotFound => "account_not_found",
            Self::KeyNotFound => "key_not_found",
            Self::WebhookNotFound => "webhook_not_found",
            Self::EventNotFound => "event_not_found",
            Self::DeliveryNotFound => "delivery_not_found",
            Self::JobNotFound => "job_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::EventIdTaken => "event_id_taken",
            Self::ExternalIdTaken => "external_id_taken",
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::TooManySecrets => "too_many_secrets",
            Self::WebhookInactive => "webhook_inactive",
            Self::WebhookDeleted => "webhook_deleted",
            Self::TooManyJobs => "too_many_jobs",
            Self::IdempotencyKeyInUse => "idempotency_key_in_use",
            Self::EventIdExpired => "event_id_expired",
            Self::TooManyStreams => "too_many_streams",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyDeliveries => "too_many_deliveries",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::InternalError => "internal_error",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Stopping => "stopping",
            Self::DispatchOnly => "dispatch_only",
        }
    }

    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::MalformedJson
            | Self::BodyIncomplete
            | Self::AccountRequired
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::EventIdExpired => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::InvalidToken | Self::ExpiredToken | Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope | Self::AccountInactive | Self::AccountMismatch => StatusCode::FORBIDDEN,
            Self::RouteNotFound
            | Self::AccountNotFound
            | Self::KeyNotFound
            | Self::WebhookNotFound
            | Self::EventNotFound
            | Self::DeliveryNotFound
            | Self::JobNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::EventIdTaken
            | Self::ExternalIdTaken
            | Self::TooManyWebhooks
            | Self::TooManySecrets
            | Self::WebhookInactive
            | Self::WebhookDeleted
            | Self::TooManyJobs
            | Self::IdempotencyKeyInUse => StatusCode::CONFLICT,
            Self::BodyTooLarge | Self::TooManyDeliveries => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Unavailable | Self::Stopping | Self::DispatchOnly => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is said of it where nothing more is known.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request has parameters that are not valid; params names each of them.",
            Self::MalformedJson => "The body is not valid JSON.",
            Self::BodyIncomplete => "The body did not arrive completely, or not in time.",
            Self::AccountRequired => "An operator's key needs the header Account-Id on this route: an account's id or external_id.",
            Self::UnsupportedGrantType => "grant_type must be client_credentials.",
            Self::InvalidScope => "The key lacks a scope that is asked for.",
            Self::Unauthenticated => "The header Authorization must be \"Bearer\" and a token.",
            Self::InvalidToken => "The token belongs to no key: it is misspelled, or its key was deleted.",
            Self::ExpiredToken => "The token, or its key, has expired.",
            Self::InvalidClient => "client_id and client_secret are not the id and the token of a key.",
            Self::InsufficientScope => "The key lacks the scope that this route needs.",
            Self::AccountInactive => "The account is not active: ask the operator of this server.",
            Self::AccountMismatch => "The key belongs to another account than the header Account-Id names.",
            Self::RouteNotFound => "There is no such route.",
            Self::AccountNotFound => "There is no such account.",
            Self::KeyNotFound => "There is no such key.",
            Self::WebhookNotFound => "There is no such webhook.",
            Self::EventNotFound => "There is no such event.",
            Self::DeliveryNotFound => "There is no such delivery.",
            Self::JobNotFound => "There is no such job.",
            Self::MethodNotAllowed => "The route does not have this method; the header Allow names those that it has.",
            Self::EventIdTaken => "Another event has this id, with other content.",
            Self::ExternalIdTaken => "Another account has this external_id.",
            Self::TooManyWebhooks => "The account has as many webhooks as it may have.",
            Self::TooManySecrets => {
                "The webhook has as many secrets as can sign at once: wait for one to end, or rotate with grace_seconds 0."
            }
            Self::WebhookInactive => "The webhook is not active.",
            Self::WebhookDeleted => "The delivery's webhook is deleted.",
            Self::TooManyJobs => "As many jobs of the account run as may: wait for one to end, or cancel one.",
            Self::IdempotencyKeyInUse => "The first request with this Idempotency-Key is still at work; try again later.",
            Self::EventIdExpired => "The event that Last-Event-ID names is kept no longer: what came behind it cannot be told.",
            Self::TooManyStreams => "The account has as many streams of events open as it may have.",
            Self::BodyTooLarge => "The body is larger than this route takes.",
            Self::TooManyDeliveries => "The request would make more deliveries than one request may.",
            Self::UnsupportedMediaType => "The header Content-Type must be application/json.",
            Self::IdempotencyKeyReused => "Another request was made with this Idempotency-Key: it had another method, path, query or body.",
            Self::InternalError => "Something went wrong on this server; nothing was changed.",
            Self::Overloaded => "The server has more to do than it takes on; try again later.",
            Self::Unavailable => "The server cannot use its store now; try again later.",
            Self::Stopping => "The server is stopping; try again.",
            Self::DispatchOnly => "This node only sends: another node of the same store answers requests.",
        }
    }
}
