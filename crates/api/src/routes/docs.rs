//! What the API says of itself.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::description::html;

/// `GET /openapi.json`
pub(crate) async fn openapi(call: Call) -> Answer {
    Ok(answer::bytes(StatusCode::OK, call.shared.documents.openapi()))
}

/// `GET /docs`: a page for people.
pub(crate) async fn page(call: Call) -> Answer {
    Ok(of_html(call.shared.documents.html()))
}

fn of_html(page: Bytes) -> answer::Response {
    let mut response = answer::bytes(StatusCode::OK, page);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(html::POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
