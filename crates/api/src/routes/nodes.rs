//! The nodes that share the store: of the operator alone.

use http::StatusCode;
use postrider_engine::Engine;
use postrider_model::id::NodeId;
use postrider_model::slot::SLOTS;
use postrider_ports::nodes::Roles;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::json::node::{LagJson, NodeJson, NodeStatus};

/// `GET /nodes`: all of them, this one first.
pub(crate) async fn list(call: Call) -> Answer {
    answer::json(StatusCode::OK, &[alone(call.engine(), call.options().version)])
}

/// A node that shares its store with nobody: it owns every slot.
fn alone(engine: &Engine, version: &str) -> NodeJson {
    let (load, node) = (engine.load(), &engine.settings().node);
    NodeJson {
        id: NodeId::of_token(engine.started_at().as_millis().unsigned_abs().into()),
        name: node.name.clone(),
        version: version.to_owned(),
        roles: words(node.roles),
        is_this: true,
        status: NodeStatus::Alive.as_str(),
        is_leaving: false,
        started_at: engine.started_at(),
        seen_at: engine.clock().wall(),
        slots: SLOTS.into(),
        lag: LagJson {
            in_flight: load.in_flight as u64,
            waiting: load.waiting as u64,
            unrecorded: load.unrecorded as u64,
        },
    }
}

fn words(roles: Roles) -> Vec<&'static str> {
    let each = [(roles.api, "api"), (roles.dispatch, "dispatch")];
    each.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
}
