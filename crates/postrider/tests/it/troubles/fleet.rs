//! Nodes on one database, each over a link of its own.

use std::time::Duration;

use postrider_testkit::link::Link;

use crate::world::{Addresses, Server, Site};

/// Nodes are called dead after this.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// Long enough for whatever befalls them.
const SCHEDULE: &str = "1s,1s,1s,1s,1s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s,2s";

struct Member {
    site: Site,
    link: Link,
    server: Option<Server>,
}

/// Nodes that share a database.
pub(super) struct Fleet {
    members: Vec<Member>,
    /// Where they listen.
    pub(super) addresses: Addresses,
}

impl Fleet {
    /// So many, on the database of this url, whose server has this port.
    pub(super) fn start(count: usize, port: u16, url: &str) -> Self {
        let members: Vec<_> = (0..count).map(|node| Member::start(port, url, &name(node))).collect();
        let servers = members.iter().filter_map(|member| member.server.as_ref());
        Self {
            addresses: Addresses::of(servers),
            members,
        }
    }

    /// A node that is at work.
    pub(super) fn node(&self, node: usize) -> &Server {
        self.members[node].server.as_ref().expect("it runs")
    }

    /// The way from a node to the database.
    pub(super) fn link(&self, node: usize) -> &Link {
        &self.members[node].link
    }

    /// Kills a node.
    pub(super) fn kill(&mut self, node: usize) {
        self.members[node].server.take().expect("it runs").kill();
    }

    /// Starts a node that was killed.
    pub(super) fn start_again(&mut self, node: usize) {
        let server = serve(&self.members[node].site, &name(node));
        self.addresses.change(node, server.address);
        self.members[node].server = Some(server);
    }

    /// Starts another node, which nobody posts to; it works until it is asked to end.
    pub(super) fn start_another(&self) -> Server {
        serve(&self.members[0].site, "another")
    }

    /// Whether one of them ended though nobody killed it.
    pub(super) fn has_lost_one(&mut self) -> bool {
        let mut servers = self.members.iter_mut().filter_map(|member| member.server.as_mut());
        servers.any(Server::has_ended)
    }
}

impl Member {
    fn start(port: u16, url: &str, name: &str) -> Self {
        let link = Link::to(port);
        let site = Site::at(&link.lead(url));
        let server = Some(serve(&site, name));
        Self { site, link, server }
    }
}

/// How a node calls itself.
pub(super) fn name(node: usize) -> String {
    format!("node-{node}")
}

fn serve(site: &Site, name: &str) -> Server {
    let lease = format!("{}ms", LEASE.as_millis());
    site.start(&["--node-name", name, "--lease", &lease, "--retry-schedule", SCHEDULE])
}
