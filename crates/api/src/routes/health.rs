//! Whether the server lives, and whether it can work.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::error::ApiError;

/// That the server answers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(crate) struct HealthJson {
    /// Always `ok`: otherwise the answer is an error.
    #[schemars(extend("enum" = ["ok"]))]
    status: &'static str,
    /// The server's own version.
    #[schemars(extend("examples" = ["0.1.0"]))]
    version: &'static str,
}

/// `GET /healthz`: the process answers.
pub(crate) async fn live(call: Call) -> Answer {
    let version = call.options().version;
    answer::json(StatusCode::OK, &HealthJson { status: "ok", version })
}

/// `GET /readyz`: the store can be written to, and where this node is one of those that send, it holds its lease; 503 otherwise.
pub(crate) async fn ready(call: Call) -> Answer {
    call.engine().ready().await?;
    let holding = call.engine().holding().filter(|_| call.engine().is_dispatching());
    if holding.is_some_and(|holding| holding.lease_left.is_zero()) {
        return Err(ApiError::without_lease());
    }
    live(call).await
}
