//! The nodes that share the store: of the operator alone.

use std::time::Duration;

use http::StatusCode;
use postrider_engine::NodeList;
use postrider_model::id::NodeId;
use postrider_ports::nodes::{NodeSeen, Roles};

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::json::node::{LagJson, NodeJson, NodeStatus};

/// `GET /nodes`: all of them, this one first.
pub(crate) async fn list(call: Call) -> Answer {
    let list = call.engine().nodes().await?;
    let lease = call.engine().settings().node.lease;
    let mut nodes: Vec<NodeJson> = list.roster.nodes.iter().map(|node| shown(node, &list, lease)).collect();
    nodes.sort_by(|one, other| {
        let place = |node: &NodeJson| (!node.is_this, node.started_at);
        place(one).cmp(&place(other))
    });
    answer::json(StatusCode::OK, &nodes)
}

fn shown(node: &NodeSeen, list: &NodeList, lease: Duration) -> NodeJson {
    let report = &node.report;
    let slots = list.roster.owners.iter().filter(|owner| **owner == Some(node.token)).count();
    NodeJson {
        id: NodeId::of_token(node.token.0),
        name: report.name.clone(),
        version: report.version.clone(),
        roles: words(report.roles),
        is_this: node.token == list.this,
        status: NodeStatus::after(list.roster.wall.since(node.seen_at), lease).as_str(),
        is_leaving: report.is_leaving,
        started_at: report.started_at,
        seen_at: node.seen_at,
        slots: slots as u64,
        lag: LagJson {
            in_flight: report.in_flight,
            waiting: report.waiting,
            unrecorded: report.unrecorded,
        },
    }
}

fn words(roles: Roles) -> Vec<&'static str> {
    let each = [(roles.api, "api"), (roles.dispatch, "dispatch")];
    each.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
}
