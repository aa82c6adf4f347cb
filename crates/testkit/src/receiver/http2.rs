//! HTTP/2 by hyper.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

use super::answer::Kind;
use super::{Log, Request, Script, Stream};

/// A request that is to be reset rather than answered.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the script says so")
    }
}

impl std::error::Error for Broken {}

/// Streams at a time.
const STREAMS_MAX: u32 = 100;

pub(super) async fn serve(stream: impl Stream, script: Script, log: Arc<Log>, connection: usize) {
    let closing = Arc::new(Notify::new());
    let leaving = Arc::new(Notify::new());
    let service = service_fn(|request: http::Request<Incoming>| {
        let (script, log, closing, leaving) = (script.clone(), Arc::clone(&log), Arc::clone(&closing), Arc::clone(&leaving));
        async move {
            let request = read_request(request, connection).await.map_err(|_| Broken)?;
            let number = log.note(request.clone());
            match script.answer(number, &request).0 {
                Kind::Response {
                    status,
                    headers,
                    body,
                    after,
                } => {
                    if let Some(signal) = after {
                        signal.given().await;
                    }
                    Ok(render(status, &headers, body))
                }
                Kind::Steps(_) | Kind::Hang => std::future::pending().await,
                Kind::Reset => Err(Broken),
                Kind::Close => {
                    closing.notify_one();
                    std::future::pending().await
                }
                Kind::GoAway => {
                    leaving.notify_one();
                    Err(Broken)
                }
            }
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(STREAMS_MAX);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut is_leaving = false;
    loop {
        tokio::select! {
            // However it ended: the connection is closed.
            _ = serving.as_mut() => return,
            () = closing.notified() => return,
            () = leaving.notified(), if !is_leaving => {
                is_leaving = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn read_request(request: http::Request<Incoming>, connection: usize) -> Result<Request, hyper::Error> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let authority = parts
        .uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        headers.insert(HOST, authority);
    }
    Ok(Request {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers,
        body: body.collect().await?.to_bytes(),
        connection,
        is_http2: true,
    })
}

fn render(status: u16, headers: &[(String, String)], body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
