//! Which errors a route can answer with.

use postrider_model::key::Scope;

use crate::code::Code;
use crate::route::{Access, Reads, Route};

/// The codes of a route, in the order of `Code::ALL`: those that come from who asks and what is read, and its own.
pub(crate) fn codes(route: &Route) -> Vec<Code> {
    let mut codes = vec![Code::InvalidRequest, Code::InternalError];
    codes.extend(route.about.codes);
    codes.extend(of_access(route.access));
    if matches!(route.reads, Reads::Body(_)) {
        codes.extend([
            Code::MalformedJson,
            Code::BodyIncomplete,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::Overloaded,
        ]);
    }
    Code::ALL.into_iter().filter(|code| codes.contains(code)).collect()
}

fn of_access(access: Access) -> Vec<Code> {
    let mut codes = match access {
        Access::Open => return Vec::new(),
        Access::AnyKey => Vec::new(),
        Access::Scope(Scope::AccountsAdmin) => vec![Code::InsufficientScope],
        Access::Scope(_) => vec![Code::InsufficientScope, Code::AccountRequired],
    };
    codes.extend([
        Code::Unauthenticated,
        Code::InvalidToken,
        Code::ExpiredToken,
        Code::AccountInactive,
        Code::AccountMismatch,
        Code::AccountNotFound,
        Code::Unavailable,
    ]);
    codes
}
