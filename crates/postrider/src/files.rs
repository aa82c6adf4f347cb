//! File handles: every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Handles that a server is taken to have where the system names no limit.
const UNLIMITED: u64 = 1 << 20;

/// Raises the soft limit of file handles to the hard one, and says what it is then.
pub(crate) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let raised = limit.current != limit.maximum && setrlimit(Resource::Nofile, wanted).is_ok();
    let now = if raised { limit.maximum } else { limit.current };
    now.unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_afterwards() {
        let handles = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED), handles);
    }
}
