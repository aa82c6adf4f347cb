//! Which errors a route can answer with.

use postrider_model::key::Scope;

use crate::code::Code;
use crate::route::{Access, Reads, Route};

/// Of every route.
const EVERYWHERE: [Code; 2] = [Code::InvalidRequest, Code::InternalError];
/// Of every route that reads a body.
const WITH_A_BODY: [Code; 5] = [
    Code::MalformedJson,
    Code::BodyIncomplete,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::Overloaded,
];
/// Of every route that needs a token.
const WITH_A_TOKEN: [Code; 7] = [
    Code::Unauthenticated,
    Code::InvalidToken,
    Code::ExpiredToken,
    Code::AccountInactive,
    Code::AccountMismatch,
    Code::AccountNotFound,
    Code::Unavailable,
];

/// Of every route whose first answer is replayed.
const REPLAYED: [Code; 2] = [Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused];

/// The codes of a route, in the order of `Code::ALL`: those that come from who asks and what is read, and its own.
pub(crate) fn codes(route: &Route) -> Vec<Code> {
    let mut codes = EVERYWHERE.to_vec();
    codes.extend(route.about.codes);
    codes.extend(of_access(route.access));
    if !route.is_on_every_node {
        codes.push(Code::DispatchOnly);
    }
    if matches!(route.reads, Reads::Body(_)) {
        codes.extend(WITH_A_BODY);
    }
    if route.is_replayed() {
        codes.extend(REPLAYED);
    }
    Code::ALL.into_iter().filter(|code| codes.contains(code)).collect()
}

/// Whether many routes share this code: the reference says it once, not with each of them.
pub(super) fn is_shared(code: &str) -> bool {
    let shared = [
        EVERYWHERE.as_slice(),
        &WITH_A_BODY,
        &WITH_A_TOKEN,
        &REPLAYED,
        &[Code::InsufficientScope, Code::AccountRequired, Code::DispatchOnly],
    ];
    shared.into_iter().flatten().any(|shared| shared.as_str() == code)
}

fn of_access(access: Access) -> Vec<Code> {
    let mut codes = match access {
        Access::Open => return Vec::new(),
        Access::Client => return vec![Code::InvalidClient, Code::AccountInactive, Code::Unavailable],
        Access::AnyKey => Vec::new(),
        Access::Scope(Scope::AccountsAdmin) => vec![Code::InsufficientScope],
        Access::Scope(_) => vec![Code::InsufficientScope, Code::AccountRequired],
    };
    codes.extend(WITH_A_TOKEN);
    codes
}
