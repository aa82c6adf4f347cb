//! Names by the system's name servers and its hosts file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;
use postrider_model::time::Monotonic;
use postrider_ports::Clock;

use crate::SetupError;
use crate::resolve::{Answer, Resolve, ResolveError};

/// A name server is asked for so long, twice: together less than the 5 s that an attempt has.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(2);
const QUESTIONS_MAX: usize = 2;
/// Where a name server answered so recently it is not ours that is out of reach, but that of the name.
const HEARD_TIME: Duration = Duration::from_secs(30);
/// How long an answer of the hosts file is good, and one of ours about localhost.
const LOCAL_TIME: Duration = Duration::from_secs(30);

/// The system's resolver: its configuration and hosts file are read once, when it is made.
pub struct SystemResolver {
    clock: Arc<dyn Clock>,
    resolver: TokioResolver,
    /// When a name server last answered anything, in nanoseconds; zero is never. Written and read by lookups.
    heard: AtomicU64,
}

impl SystemResolver {
    /// Reads the system's configuration.
    ///
    /// # Errors
    /// `SetupError::Resolver` where there is none, or none that can be read.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let unusable = |error: NetError| SetupError::Resolver(error.to_string());
        let mut builder = TokioResolver::builder_tokio().map_err(unusable)?;
        let options = builder.options_mut();
        // Ours keeps answers by our own clock, and knows how to use them for longer.
        options.cache_size = 0;
        options.timeout = QUESTION_TIME_MAX;
        options.attempts = QUESTIONS_MAX;
        options.use_hosts_file = ResolveHosts::Always;
        options.try_tcp_on_error = true;
        Ok(Self {
            clock,
            resolver: builder.build().map_err(unusable)?,
            heard: AtomicU64::new(0),
        })
    }

    fn note_heard(&self) {
        self.heard.store(self.clock.mono().as_nanos(), Ordering::Relaxed);
    }

    fn heard_recently(&self) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard > 0 && self.clock.mono().since(Monotonic::from_nanos(heard)) < HEARD_TIME
    }

    /// Whether our name servers answer at all: each knows who serves the root.
    async fn can_reach(&self) -> bool {
        let answer = self.resolver.lookup(".", RecordType::NS).await;
        let is_heard = answer.as_ref().err().is_none_or(is_answer);
        if is_heard {
            self.note_heard();
        }
        is_heard
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> Result<Answer, ResolveError> {
        if is_localhost(host) {
            return Ok(loopback());
        }
        // With its dot a name is whole: no search list of this machine is tried.
        let error = match self.resolver.lookup_ip(format!("{host}.")).await {
            Ok(found) => {
                self.note_heard();
                let addresses = found.iter().collect();
                let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min();
                return Ok(Answer {
                    addresses,
                    good_for: ttl.map_or(LOCAL_TIME, |seconds| Duration::from_secs(seconds.into())),
                });
            }
            Err(error) => error,
        };
        if is_answer(&error) {
            self.note_heard();
        } else if !self.heard_recently() && !self.can_reach().await {
            return Err(ResolveError::Unreachable(format!("no name server answers: {error}")));
        }
        Err(by_fault(host, &error))
    }
}

fn by_fault(host: &str, error: &NetError) -> ResolveError {
    match error {
        _ if error.is_nx_domain() => ResolveError::NotFound(format!("there is no host {host}")),
        _ if error.is_no_records_found() => ResolveError::NotFound(format!("{host} has no address")),
        NetError::Dns(error) => ResolveError::Failed(format!("the lookup of {host} failed: {error}")),
        _ => ResolveError::TimedOut(format!("the name servers of {host} do not answer: {error}")),
    }
}

/// Whether a name server said it, welcome or not.
fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::ResponseCode(_) | DnsError::NoRecordsFound(_)))
}

/// RFC 6761 §6.3: these names are loopback, whatever a name server says.
fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn loopback() -> Answer {
    Answer {
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        good_for: LOCAL_TIME,
    }
}
