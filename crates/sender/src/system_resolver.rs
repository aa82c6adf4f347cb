//! Names by the system's name servers and its hosts file.

use std::future::{Future as _, poll_fn};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use postrider_model::time::Monotonic;
use postrider_ports::Clock;

use crate::SetupError;
use crate::resolve::{Answer, Resolve, ResolveError};
use crate::timer::within;

/// A lookup ends before the 5 s that an attempt has to connect, so that it can be said whose fault it is.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(4);
/// A name server is asked for so long at a time.
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
        let mut builder = TokioResolver::builder_tokio().map_err(unusable)?;
        builder.options_mut().use_hosts_file = ResolveHosts::Always;
        Self::build(clock, builder)
    }

    /// Asks these name servers, over UDP and TCP, and reads no file of the system.
    ///
    /// # Errors
    /// `SetupError::Resolver` where they cannot be used.
    pub fn by_name_servers(clock: Arc<dyn Clock>, servers: &[SocketAddr]) -> Result<Self, SetupError> {
        let servers = servers.iter().map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = server.port());
            NameServerConfig::new(server.ip(), true, connections)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Self::build(clock, builder)
    }

    fn build(clock: Arc<dyn Clock>, mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, SetupError> {
        set_limits(builder.options_mut());
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

    /// Hears from our name servers, where they answer at all: each knows who serves the root.
    async fn probe(&self) {
        if !self.heard_recently() {
            let answer = self.resolver.lookup(".", RecordType::NS).await;
            if answer.as_ref().err().is_none_or(is_answer) {
                self.note_heard();
            }
        }
    }

    /// What a name server says of the host; `None` where none says anything in time. Where nothing was heard for a while it is
    /// found out beside it whether that is the fault of the name or our own.
    async fn ask(&self, host: &str) -> Option<Result<LookupIp, NetError>> {
        let deadline = self.clock.mono() + LOOKUP_TIME_MAX;
        // With its dot a name is whole: no search list of this machine is tried.
        let mut lookup = pin!(self.resolver.lookup_ip(format!("{host}.")));
        let mut probe = pin!(self.probe());
        let (mut found, mut is_probed) = (None, false);
        let asking = poll_fn(|context| {
            is_probed = is_probed || probe.as_mut().poll(context).is_ready();
            if found.is_none()
                && let Poll::Ready(result) = lookup.as_mut().poll(context)
            {
                found = Some(result);
            }
            match &found {
                Some(Err(error)) if !is_answer(error) && !is_probed => Poll::Pending,
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        });
        // However it ended, `found` says what there is.
        let _ = within(&*self.clock, deadline, asking).await;
        found
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> Result<Answer, ResolveError> {
        if is_localhost(host) {
            return Ok(loopback());
        }
        match self.ask(host).await {
            Some(Ok(found)) => {
                self.note_heard();
                let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min();
                Ok(Answer {
                    addresses: found.iter().collect(),
                    good_for: ttl.map_or(LOCAL_TIME, |seconds| Duration::from_secs(seconds.into())),
                })
            }
            Some(Err(NetError::Dns(error))) => {
                self.note_heard();
                Err(by_fault(host, &error))
            }
            _ if self.heard_recently() => Err(ResolveError::TimedOut(format!("the name servers of {host} do not answer"))),
            _ => Err(ResolveError::Unreachable(
                "this machine lacks a name server that answers".to_owned(),
            )),
        }
    }
}

fn set_limits(options: &mut ResolverOpts) {
    // Ours keeps answers by our own clock, and knows how to use them for longer.
    options.cache_size = 0;
    options.timeout = QUESTION_TIME_MAX;
    options.attempts = QUESTIONS_MAX;
    options.try_tcp_on_error = true;
}

fn unusable(error: NetError) -> SetupError {
    SetupError::Resolver(error.to_string())
}

fn by_fault(host: &str, error: &DnsError) -> ResolveError {
    match error {
        DnsError::NoRecordsFound(none) if none.response_code == ResponseCode::NXDomain => {
            ResolveError::NotFound(format!("there is no host {host}"))
        }
        DnsError::NoRecordsFound(_) => ResolveError::NotFound(format!("{host} has no address")),
        _ => ResolveError::Failed(format!("the lookup of {host} failed: {error}")),
    }
}

/// Whether a name server said it, welcome or not.
fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(_))
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
