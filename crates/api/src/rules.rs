//! Which values the fields of a request may have.

use std::borrow::Cow;

use postrider_model::id::{AccountId, EventId, ID_CHARS_MAX};
use postrider_model::key::{Scope, Scopes};
use postrider_model::limits::{DESCRIPTION_CHARS_MAX, LABEL_CHARS_MAX, RESOURCE_CHARS_MAX};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::secret::SigningSecret;
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};

use crate::fault::Bad;

/// A text of so many characters. U+0000 is refused: not every store can hold it.
pub(crate) fn bounded(text: &str, chars_min: usize, chars_max: usize) -> Result<(), Bad> {
    // A character has at most four bytes: most texts need no counting.
    let is_short = text.len() <= chars_max;
    if text.len() < chars_min {
        return Err(Bad::new("too_short", "must not be empty"));
    }
    if !is_short && text.chars().nth(chars_max).is_some() {
        return Err(Bad::new("too_long", format!("must have at most {chars_max} characters")));
    }
    if text.contains('\0') {
        return Err(Bad::new("invalid_character", "must not hold the character U+0000"));
    }
    Ok(())
}

/// A name of an account or a key.
pub(crate) fn label(text: Cow<'_, str>) -> Result<String, Bad> {
    bounded(&text, 1, LABEL_CHARS_MAX).map(|()| text.into_owned())
}

/// The platform's own id of an account.
pub(crate) fn external_id(text: Cow<'_, str>) -> Result<String, Bad> {
    bounded(&text, 1, ID_CHARS_MAX)?;
    if text.starts_with(AccountId::PREFIX) {
        let detail = format!("must not begin with {}: so begin our own ids", AccountId::PREFIX);
        return Err(Bad::new("reserved_prefix", detail));
    }
    // It is to fit into the header Account-Id (RFC 9110 §5.5).
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(Bad::new(
            "invalid_character",
            "must not hold control characters, nor begin or end with white space",
        ));
    }
    Ok(text.into_owned())
}

/// A description of a webhook; an empty one is fine.
pub(crate) fn description(text: Cow<'_, str>) -> Result<String, Bad> {
    bounded(&text, 0, DESCRIPTION_CHARS_MAX).map(|()| text.into_owned())
}

/// An id or a type of a resource.
pub(crate) fn resource_part(text: Cow<'_, str>) -> Result<String, Bad> {
    bounded(&text, 1, RESOURCE_CHARS_MAX).map(|()| text.into_owned())
}

/// A name of an event.
pub(crate) fn event_name(text: &str) -> Result<EventName, Bad> {
    EventName::parse(text).map_err(|error| Bad::new("invalid_event_name", error.to_string()))
}

/// A name of events, or `order.*`.
pub(crate) fn event_name_pattern(text: &str) -> Result<EventNamePattern, Bad> {
    EventNamePattern::parse(text).map_err(|error| Bad::new("invalid_event_name", format!("{error}; it may end with .*")))
}

/// A caller's own id of an event.
pub(crate) fn own_event_id(text: &str) -> Result<EventId, Bad> {
    const RULE: &str = "must be 1 to 255 characters of A-Z a-z 0-9 _ . : - that begin with a letter or digit, and not with evt_";
    EventId::own(text).ok_or_else(|| Bad::new("invalid_event_id", RULE))
}

/// A url of a webhook. The code says which rule it breaks.
pub(crate) fn url(text: &str, policy: &UrlPolicy) -> Result<WebhookUrl, Bad> {
    WebhookUrl::parse(text, policy).map_err(|error| Bad::new(error.code(), error.to_string()))
}

/// A signing secret of the caller's own.
pub(crate) fn secret(text: &str) -> Result<SigningSecret, Bad> {
    SigningSecret::parse(text).map_err(|error| Bad::new("invalid_secret", error.to_string()))
}

/// A scope out of those that a key of this kind can have.
pub(crate) fn scope(text: &str, allowed: Scopes) -> Result<Scope, Bad> {
    let known = Scope::parse(text).ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(Scope::as_str).collect();
        Bad::new("unknown_scope", format!("must be one of {}", names.join(", ")))
    })?;
    if allowed.contains(known) {
        return Ok(known);
    }
    Err(Bad::new("scope_not_allowed", "is a scope of the operator's keys only"))
}

/// A moment.
pub(crate) fn moment(text: &str) -> Result<Timestamp, Bad> {
    text.parse()
        .map_err(|error: postrider_model::time::TimestampError| Bad::new("invalid_timestamp", error.to_string()))
}

/// A moment that is still to come.
pub(crate) fn future_moment(text: &str, now: Timestamp) -> Result<Timestamp, Bad> {
    let moment = moment(text)?;
    if moment > now {
        return Ok(moment);
    }
    Err(Bad::new("not_in_the_future", "must lie in the future"))
}
