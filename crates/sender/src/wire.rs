//! The bytes of one connection, counted: so that it is known when a request has been written, whether anything of an answer
//! has come, and that no more of it is read than may be.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use postrider_model::limits::RESPONSE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The receiver sent more than may be read of one response.
#[derive(Debug, thiserror::Error)]
#[error("more than 16 KiB of a response")]
pub(crate) struct TooMuch;

/// What went over a connection since its exchange began. Written by its wire, read by the attempt that drives it: never by two
/// tasks at a time.
#[derive(Debug)]
pub(crate) struct Meter {
    read_max: usize,
    read: AtomicUsize,
    wrote: AtomicBool,
    flushed: AtomicBool,
}

impl Meter {
    /// Counts, and refuses to read more than a response may have.
    pub(crate) fn limited() -> Arc<Self> {
        Self::new(RESPONSE_BYTES_MAX)
    }

    /// Counts without a limit: for HTTP/2, whose streams are limited each.
    pub(crate) fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    fn new(read_max: usize) -> Arc<Self> {
        Arc::new(Self {
            read_max,
            read: AtomicUsize::new(0),
            wrote: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
        })
    }

    /// A new exchange begins.
    pub(crate) fn begin(&self) {
        self.read.store(0, Ordering::Relaxed);
        self.wrote.store(false, Ordering::Relaxed);
        self.flushed.store(false, Ordering::Relaxed);
    }

    /// Whether all of the request has gone to the system. Head and body go into one buffer, and that is flushed when it is empty.
    pub(crate) fn is_written(&self) -> bool {
        self.flushed.load(Ordering::Relaxed)
    }

    /// Whether a byte has come.
    pub(crate) fn has_read(&self) -> bool {
        self.read.load(Ordering::Relaxed) > 0
    }

    fn room(&self) -> usize {
        self.read_max.saturating_sub(self.read.load(Ordering::Relaxed))
    }

    fn note_read(&self, bytes: usize) {
        if self.read_max != usize::MAX {
            self.read.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn note_written(&self, bytes: usize) {
        if bytes > 0 {
            self.wrote.store(true, Ordering::Relaxed);
        }
    }

    fn note_flushed(&self) {
        if self.wrote.load(Ordering::Relaxed) {
            self.flushed.store(true, Ordering::Relaxed);
        }
    }
}

/// Counts a socket as open for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenGuard(Arc<AtomicUsize>);

impl OpenGuard {
    pub(crate) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// With TLS or without.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection's bytes.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) meter: Arc<Meter>,
    pub(crate) _open: OpenGuard,
}

impl Socket {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = this.meter.room();
        if room >= buffer.remaining() {
            let before = buffer.filled().len();
            ready!(this.socket.poll_read(context, buffer))?;
            this.meter.note_read(buffer.filled().len().saturating_sub(before));
            return Poll::Ready(Ok(()));
        }
        if room == 0 {
            return Poll::Ready(Err(io::Error::other(TooMuch)));
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(this.socket.poll_read(context, &mut part))?;
        let bytes = part.filled().len();
        buffer.advance(bytes);
        this.meter.note_read(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        })?;
        this.meter.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        })?;
        this.meter.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(context),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(context),
        })?;
        this.meter.note_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
