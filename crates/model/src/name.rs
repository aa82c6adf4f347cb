//! Names of events, and the patterns by which a webhook chooses them.

use std::fmt;
use std::sync::Arc;

/// Longest name of an event, in characters.
pub const NAME_CHARS_MAX: usize = 256;

/// The name of an event: 1 to 256 characters of `[A-Za-z0-9_.-]`, in segments parted by dots, none empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(Arc<str>);

/// A text that is no name or pattern of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 256 characters of A-Z a-z 0-9 _ . - without empty segments")]
pub struct EventNameError;

fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.split('.').all(|segment| {
            !segment.is_empty()
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        })
}

impl EventName {
    /// Judges a text.
    ///
    /// # Errors
    /// `EventNameError` where it breaks the rule above.
    pub fn parse(text: &str) -> Result<Self, EventNameError> {
        if is_name(text) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(EventNameError)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// Which names a webhook wants: one exactly, or `order.*` for all that begin with `order.`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventNamePattern(Arc<str>);

impl EventNamePattern {
    /// Judges a text: a name, or a name followed by `.*`.
    ///
    /// # Errors
    /// `EventNameError` where it is neither.
    pub fn parse(text: &str) -> Result<Self, EventNameError> {
        let name = text.strip_suffix(".*").unwrap_or(text);
        if is_name(name) && text.len() <= NAME_CHARS_MAX {
            Ok(Self(Arc::from(text)))
        } else {
            Err(EventNameError)
        }
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it chooses `name`: `order.*` chooses `order.filled` and `order.item.added`, not `order`.
    pub fn matches(&self, name: &EventName) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => name.as_str().starts_with(stem),
            None => *self.0 == *name.0,
        }
    }
}

impl fmt::Debug for EventNamePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}
