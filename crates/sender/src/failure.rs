//! What can go wrong, sorted by whose fault it is, and told in plain words.

use std::error::Error;
use std::io;

use postrider_model::attempt::{AttemptError, ErrorKind};

use crate::wire::TooMuch;

/// Why an exchange or a connection came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The fault is our own: no attempt was made.
    Local(String),
    /// The receiver's: the attempt failed.
    Receiver(AttemptError),
    /// A connection from the pool turned out to be closed before a byte of the answer: no attempt, another connection is tried.
    Stale,
}

/// What a time limit was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    NameLookup,
    Connect,
    TlsHandshake,
    Write,
    Response,
}

impl Failure {
    pub(crate) fn receiver(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Receiver(AttemptError {
            kind,
            message: message.into(),
        })
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::receiver(ErrorKind::Protocol, message)
    }

    pub(crate) fn timeout(phase: Phase) -> Self {
        let message = match phase {
            Phase::NameLookup => "time limit (name lookup): the host's name was not resolved within 5 s",
            Phase::Connect => "time limit (connect): the receiver did not accept the connection within 5 s",
            Phase::TlsHandshake => "time limit (TLS handshake): the receiver did not finish the handshake within 5 s of being looked up",
            Phase::Write => "time limit (write): the receiver did not take the whole request within 5 s",
            Phase::Response => "time limit (response): the receiver did not send status and headers within 15 s of the request",
        };
        Self::receiver(ErrorKind::Timeout, message)
    }

    /// A TCP connection could not be opened.
    pub(crate) fn from_dial(error: &io::Error) -> Self {
        if let Some(local) = local_fault(error) {
            return Self::Local(local);
        }
        let message = match error.kind() {
            io::ErrorKind::ConnectionRefused => "the receiver refused the connection".to_owned(),
            io::ErrorKind::ConnectionReset => "the receiver reset the connection while it was being opened".to_owned(),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "the receiver's address cannot be reached".to_owned(),
            io::ErrorKind::TimedOut => "the receiver did not answer when the connection was opened".to_owned(),
            _ => format!("the connection could not be opened: {error}"),
        };
        Self::receiver(ErrorKind::Connect, message)
    }

    /// A TLS handshake failed.
    pub(crate) fn from_handshake(error: &io::Error) -> Self {
        if let Some(local) = local_fault(error) {
            return Self::Local(local);
        }
        let message = match find::<rustls::Error>(error) {
            Some(error) => tls_message(error),
            None if is_gone(error) => "the receiver closed the connection during the TLS handshake".to_owned(),
            None => format!("the TLS handshake failed: {error}"),
        };
        Self::receiver(ErrorKind::Tls, message)
    }

    /// An exchange broke before status and headers had come.
    pub(crate) fn from_exchange(error: &hyper::Error) -> Self {
        let io = find::<io::Error>(error);
        if let Some(local) = io.and_then(local_fault) {
            return Self::Local(local);
        }
        if error.is_parse_too_large() || find::<TooMuch>(error).is_some() {
            return Self::protocol("the receiver sent more than 16 KiB, or more than 100 lines, before its status and headers ended");
        }
        if error.is_parse() {
            return Self::protocol(format!("the receiver answered with something that is not HTTP: {error}"));
        }
        if let Some(error) = find::<rustls::Error>(error) {
            return Self::protocol(format!("the receiver broke TLS: {error}"));
        }
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            return Self::protocol("the receiver reset the connection before it answered");
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() || io.is_some_and(is_gone) {
            return Self::protocol("the receiver closed the connection before it answered");
        }
        Self::protocol(format!("the receiver broke off the exchange: {}", innermost(error)))
    }
}

/// What our own machine lacks, where that is why a call failed.
pub(crate) fn local_fault(error: &io::Error) -> Option<String> {
    let lack = match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => "file handles",
        libc::EADDRNOTAVAIL => "local ports",
        libc::ENOBUFS | libc::ENOMEM => "memory for sockets",
        libc::ENETDOWN => "a network that is up",
        _ => return None,
    };
    Some(format!("this machine lacks {lack}: {error}"))
}

/// Whether it lacks file handles, so that closing an idle connection helps.
pub(crate) fn is_short_of_handles(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

fn tls_message(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "the receiver's certificate is for another name".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the receiver's certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the receiver's certificate is not valid yet".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the receiver's certificate comes from a certificate authority that is not trusted here".to_owned()
        }
        rustls::Error::InvalidCertificate(error) => format!("the receiver's certificate is not valid: {error}"),
        rustls::Error::InvalidMessage(_) => "the receiver answered the TLS handshake with something that is not TLS".to_owned(),
        rustls::Error::AlertReceived(alert) => format!("the receiver refused the TLS handshake: {alert:?}"),
        _ => format!("the TLS handshake failed: {error}"),
    }
}

/// The first error of this type in a chain of causes, within `io::Error`s too.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn innermost(error: &dyn Error) -> String {
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
