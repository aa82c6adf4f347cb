//! The outgoing HTTP client: one attempt in, one outcome out.
//!
//! ```text
//! send → pool: a connection that is idle? ──────────────┐
//!          │ none                                        ▼
//!          └─▶ resolve → judge the address → dial → TLS → exchange → outcome
//! ```
//! Every step has its time limit, and one deadline stands over all. Nothing here knows a store, or what comes after an attempt.

mod attempt;
mod connect;
mod drain;
mod exchange;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod names;
mod pool;
mod request;
mod resolve;
mod response;
mod system_resolver;
mod timer;
mod tls;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use http::HeaderValue;
use postrider_model::address::AddressPolicy;
use postrider_model::attempt::{LocalFault, Outcome, Outgoing};
use postrider_ports::{Clock, Sender};

pub use connect::{Dial, TcpDial};
pub use resolve::{Answer, Resolve, ResolveError, StaticResolver};
pub use system_resolver::SystemResolver;

use crate::attempt::Attempt;
use crate::connect::Connector;
use crate::names::Names;
use crate::pool::{Pool, PoolLimits};

/// Idle connections kept to one scheme, host and port, where nothing else is asked for.
pub const IDLE_PER_KEY_MAX: usize = 128;
/// Sockets open at once before idle ones give way, where nothing else is asked for.
pub const SOCKETS_MAX: usize = 8_192;
/// Idle connections kept in all, where nothing else is asked for. Each holds about 30 KiB: hyper's buffers and its queue.
pub const IDLE_MAX: usize = 1_024;

/// What a sender is made of. `SenderOptions::new` fills in what has a sensible default.
pub struct SenderOptions {
    /// Tells the time, and wakes at time limits.
    pub clock: Arc<dyn Clock>,
    /// Which addresses may be dialled.
    pub address_policy: AddressPolicy,
    /// Certificates in PEM that are trusted beside the system's (`--ca-file`).
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Goes into `User-Agent: Postrider/VERSION`.
    pub version: String,
    /// Finds the addresses of names. Its answers are cached, and asked for once at a time.
    pub resolver: Arc<dyn Resolve>,
    /// Opens TCP connections.
    pub dialler: Arc<dyn Dial>,
    /// At this many open sockets an idle connection is closed for each that is dialled.
    pub sockets_max: usize,
    /// Most idle connections to one scheme, host and port.
    pub idle_per_key_max: usize,
    /// Most idle connections in all.
    pub idle_max: usize,
}

impl SenderOptions {
    /// A sender by this clock and these names, with the defaults for all else: only public addresses, the system's roots.
    pub fn new(clock: Arc<dyn Clock>, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            clock,
            address_policy: AddressPolicy::default(),
            extra_roots_pem: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            resolver,
            dialler: Arc::new(TcpDial),
            sockets_max: SOCKETS_MAX,
            idle_per_key_max: IDLE_PER_KEY_MAX,
            idle_max: IDLE_MAX,
        }
    }
}

/// Why a sender cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The extra roots are no certificates in PEM.
    #[error("the CA file holds no usable certificate: {0}")]
    ExtraRoots(String),
    /// The version cannot stand in a header.
    #[error("the version {0:?} cannot stand in a User-Agent header")]
    Version(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system's name servers cannot be used.
    #[error("the system's resolver cannot be used: {0}")]
    Resolver(String),
}

/// Sends attempts over HTTP/1.1 and HTTP/2. Cheap to clone; clones share connections and names.
#[derive(Clone)]
pub struct HttpSender {
    shared: Arc<Shared>,
}

/// What all attempts share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connector: Connector,
    pub(crate) pool: Arc<Pool>,
    pub(crate) user_agent: HeaderValue,
    /// Acknowledgements whose rest is being read, by tasks of their own. Written and read by `drain`.
    pub(crate) drains: Arc<AtomicUsize>,
}

impl HttpSender {
    /// Makes a sender. Reads the system's root certificates.
    ///
    /// # Errors
    /// `SetupError` where the extra roots or the version cannot be used.
    pub fn new(options: SenderOptions) -> Result<Self, SetupError> {
        let user_agent = HeaderValue::try_from(format!("Postrider/{}", options.version));
        let user_agent = user_agent.map_err(|_| SetupError::Version(options.version))?;
        let limits = PoolLimits {
            idle_max: options.idle_max,
            idle_per_key_max: options.idle_per_key_max,
        };
        let pool = Arc::new(Pool::new(Arc::clone(&options.clock), limits));
        let connector = Connector {
            clock: Arc::clone(&options.clock),
            policy: options.address_policy,
            names: Names::new(Arc::clone(&options.clock), options.resolver),
            dialler: options.dialler,
            tls: tls::connector(options.extra_roots_pem.as_deref())?,
            pool: Arc::clone(&pool),
            open: Arc::default(),
            sockets_max: options.sockets_max,
        };
        let shared = Shared {
            clock: options.clock,
            connector,
            pool,
            user_agent,
            drains: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many connections lie idle, HTTP/2 ones included.
    pub fn idle_connections(&self) -> usize {
        self.shared.pool.idle()
    }

    /// How many sockets to receivers are open, idle ones included.
    pub fn open_sockets(&self) -> usize {
        self.shared.connector.open_sockets()
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        Attempt::new(&self.shared, &outgoing).run().await
    }
}
