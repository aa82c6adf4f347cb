//! The servers that are measured: one, or several nodes on one database.

use std::net::SocketAddr;

use super::server::{Server, ServerOptions};
use super::usage::Usage;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Requests, and sending.
    Both,
    /// Requests alone.
    Api,
    /// Sending alone.
    Dispatch,
}

impl Duty {
    /// How the report calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Both => "node",
            Self::Api => "api",
            Self::Dispatch => "dispatch",
        }
    }
}

/// Servers at work, in the order of their duties.
pub(crate) struct Fleet {
    options: ServerOptions,
    duties: Vec<Duty>,
    /// As many as there are duties.
    servers: Vec<Server>,
}

impl Fleet {
    /// Starts a server for each duty, one after the other.
    ///
    /// # Errors
    /// Where one does not start.
    pub(crate) async fn start(options: ServerOptions, duties: Vec<Duty>) -> anyhow::Result<Self> {
        let mut fleet = Self {
            options,
            duties,
            servers: Vec::new(),
        };
        fleet.start_all().await?;
        Ok(fleet)
    }

    async fn start_all(&mut self) -> anyhow::Result<()> {
        for duty in &self.duties {
            self.servers.push(Server::start(&self.options.of_duty(*duty)).await?);
        }
        Ok(())
    }

    /// Where requests go: the nodes that answer them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let nodes = self.duties.iter().zip(&self.servers);
        nodes
            .filter(|(duty, _)| **duty != Duty::Dispatch)
            .map(|(_, server)| server.address)
            .collect()
    }

    /// What each of them does and uses.
    pub(crate) fn usages(&self) -> impl Iterator<Item = (Duty, &Usage)> {
        self.duties.iter().copied().zip(self.servers.iter().map(|server| &server.usage))
    }

    /// Ends them gracefully, and starts others on their store.
    ///
    /// # Errors
    /// Where one does not end, or another does not start.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start_all().await
    }

    /// Ends them gracefully.
    ///
    /// # Errors
    /// Where one does not end as it should.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for server in self.servers.drain(..) {
            server.stop().await?;
        }
        Ok(())
    }
}
