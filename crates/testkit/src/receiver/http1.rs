//! HTTP/1.1 by hand, so that a script may break every rule of it.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{Kind, Step};
use super::{Log, Request, Script, Stream};

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    KeepOpen,
    Close,
    Reset,
}

pub(super) async fn serve(mut stream: impl Stream + Resettable, script: &Script, log: &Arc<Log>, connection: usize) {
    let mut buffer = BytesMut::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection).await {
        let number = log.note(request.clone());
        let next = match script.answer(number, &request).0 {
            Kind::Response {
                status,
                headers,
                body,
                after,
            } => {
                if let Some(signal) = after {
                    signal.given().await;
                }
                write(&mut stream, &render(status, &headers, &body)).await
            }
            Kind::Steps(steps) => take(&mut stream, steps).await,
            Kind::Hang => hang(&mut stream).await,
            Kind::Reset => Next::Reset,
            Kind::Close | Kind::GoAway => Next::Close,
        };
        match next {
            Next::KeepOpen => {}
            Next::Close => {
                // The other side may be gone already.
                let _ = stream.shutdown().await;
                return;
            }
            Next::Reset => return stream.reset(),
        }
    }
}

/// What can close with a RST instead of a FIN.
pub(super) trait Resettable {
    fn reset(self);
}

impl Resettable for tokio::net::TcpStream {
    fn reset(self) {
        // Where it fails the other side sees a FIN.
        let _ = self.set_zero_linger();
    }
}

impl Resettable for tokio_rustls::server::TlsStream<tokio::net::TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

async fn take(stream: &mut impl Stream, steps: Vec<Step>) -> Next {
    for step in steps {
        let next = match step {
            Step::Write(bytes) => write(stream, &bytes).await,
            Step::Flood(bytes) => {
                while write(stream, &bytes).await == Next::KeepOpen {}
                Next::Close
            }
            Step::Wait(signal) => {
                signal.given().await;
                Next::KeepOpen
            }
            Step::Hang => hang(stream).await,
            Step::Close => Next::Close,
            Step::Reset => Next::Reset,
        };
        if next != Next::KeepOpen {
            return next;
        }
    }
    Next::KeepOpen
}

/// Keeps silent until the other side closes.
async fn hang(stream: &mut impl Stream) -> Next {
    let mut bytes = [0u8; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    Next::Close
}

async fn write(stream: &mut impl Stream, bytes: &[u8]) -> Next {
    let written = stream.write_all(bytes).await;
    let flushed = stream.flush().await;
    if written.is_ok() && flushed.is_ok() {
        Next::KeepOpen
    } else {
        Next::Close
    }
}

fn render(status: u16, headers: &[(String, String)], body: &Bytes) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 && status != 304 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The next request, or `None` where the other side has closed or speaks no HTTP.
async fn read_request(stream: &mut impl Stream, buffer: &mut BytesMut, connection: usize) -> Option<Request> {
    let head_len = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.split_to(head_len).to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let (method, path) = (request_line.next()?.to_owned(), request_line.next()?.to_owned());
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()).unwrap_or("0");
    let length: usize = length.parse().ok()?;
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.copy_to_bytes(length);
    Some(Request {
        method,
        path,
        headers,
        body,
        connection,
        is_http2: false,
    })
}
