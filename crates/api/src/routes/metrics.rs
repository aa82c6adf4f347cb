//! What the server counts.

use http::{HeaderValue, StatusCode, header};
use postrider_model::key::Scope;

use crate::answer::{self, Answer};
use crate::api::MetricsAccess;
use crate::call::Call;
use crate::code::Code;
use crate::route::Access;
use crate::{auth, metrics};

/// `GET /metrics`, for whom the configuration says.
pub(crate) async fn show(call: Call) -> Answer {
    match call.options().metrics {
        MetricsAccess::Open => {}
        MetricsAccess::Operator => drop(auth::admit(&call.shared, Access::Scope(Scope::AccountsAdmin), &call.headers).await?),
        MetricsAccess::Off => return Err(Code::RouteNotFound.into()),
    }
    let mut response = answer::bytes(StatusCode::OK, metrics::render(&call.shared).into());
    let kind = HeaderValue::from_static(metrics::MEDIA_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
