//! Names to addresses: the port, and one for tests and fixed names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In the order in which they came.
    pub addresses: Vec<IpAddr>,
    /// How long they are good.
    pub good_for: Duration,
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name, or it has no address.
    #[error("{0}")]
    NotFound(String),
    /// A name server answered that it cannot say.
    #[error("{0}")]
    Failed(String),
    /// The servers of this name kept silent, though name servers can be reached.
    #[error("{0}")]
    TimedOut(String),
    /// No name server can be reached: the fault is our own.
    #[error("{0}")]
    Unreachable(String),
}

/// Finds the addresses of names.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a host name in ASCII and lower case, without a dot at its end.
    ///
    /// # Errors
    /// `ResolveError`, by whose fault it is.
    async fn resolve(&self, host: &str) -> Result<Answer, ResolveError>;
}

/// Fixed names. Answers of one name are given in turn; the last stays.
#[derive(Debug, Default)]
pub struct StaticResolver {
    /// As many names as were put in.
    names: Mutex<HashMap<String, Vec<Result<Answer, ResolveError>>>>,
}

impl StaticResolver {
    /// A resolver that knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer behind those that the name has.
    pub fn answer(self, host: &str, answer: Result<Answer, ResolveError>) -> Self {
        self.names.lock().entry(host.to_owned()).or_default().push(answer);
        self
    }

    /// Adds addresses, good for a minute.
    pub fn name(self, host: &str, addresses: &[IpAddr]) -> Self {
        let answer = Answer {
            addresses: addresses.to_vec(),
            good_for: Duration::from_secs(60),
        };
        self.answer(host, Ok(answer))
    }
}

#[async_trait]
impl Resolve for StaticResolver {
    async fn resolve(&self, host: &str) -> Result<Answer, ResolveError> {
        let mut names = self.names.lock();
        let answers = names.get_mut(host);
        let answer = answers.and_then(|answers| {
            if answers.len() > 1 {
                Some(answers.remove(0))
            } else {
                answers.first().cloned()
            }
        });
        answer.unwrap_or_else(|| Err(ResolveError::NotFound(format!("there is no host {host}"))))
    }
}
