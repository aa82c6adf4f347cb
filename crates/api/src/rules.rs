//! Which values the fields and parameters of a request may have. Each rule judges a text and says in a schema what it lets pass.

use postrider_model::id::{AccountId, EventId, ID_CHARS_MAX};
use postrider_model::key::{Scope, Scopes};
use postrider_model::limits::{DESCRIPTION_CHARS_MAX, LABEL_CHARS_MAX, RESOURCE_CHARS_MAX};
use postrider_model::name::{EventName, EventNamePattern, NAME_CHARS_MAX};
use postrider_model::secret::SigningSecret;
use postrider_model::time::{Timestamp, TimestampError};
use postrider_model::url::{URL_CHARS_MAX, UrlPolicy, WebhookUrl};
use schemars::{Schema, json_schema};

use crate::description::schema::{self, with_example};
use crate::fault::Bad;

/// Which strings a value may be.
pub(crate) trait Rule {
    /// What becomes of a string that may be.
    type Out;

    /// Reads the string.
    ///
    /// # Errors
    /// Why it is refused.
    fn judge(&self, text: &str) -> Result<Self::Out, Bad>;

    /// What `judge` lets pass. It may promise less than what is checked, never more.
    fn schema(&self) -> Schema;
}

/// A text of so many characters. U+0000 is refused: not every store can hold it.
pub(crate) fn bounded(text: &str, chars_min: usize, chars_max: usize) -> Result<String, Bad> {
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
    Ok(text.to_owned())
}

/// A name of an account or a key.
pub(crate) struct Label;

impl Rule for Label {
    type Out = String;

    fn judge(&self, text: &str) -> Result<String, Bad> {
        bounded(text, 1, LABEL_CHARS_MAX)
    }

    fn schema(&self) -> Schema {
        with_example(schema::chars(1, LABEL_CHARS_MAX), "Shop 17")
    }
}

/// The platform's own id of an account.
pub(crate) struct ExternalId;

impl Rule for ExternalId {
    type Out = String;

    fn judge(&self, text: &str) -> Result<String, Bad> {
        let id = bounded(text, 1, ID_CHARS_MAX)?;
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
        Ok(id)
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX, "examples": ["shop-17"],
            "pattern": "^(?!acc_)(?!\\s)[^\\u0000-\\u001f\\u007f-\\u009f]*(?<!\\s)$",
        })
    }
}

/// A description of a webhook; an empty one is fine.
pub(crate) struct Description;

impl Rule for Description {
    type Out = String;

    fn judge(&self, text: &str) -> Result<String, Bad> {
        bounded(text, 0, DESCRIPTION_CHARS_MAX)
    }

    fn schema(&self) -> Schema {
        with_example(schema::chars(0, DESCRIPTION_CHARS_MAX), "Orders to the warehouse")
    }
}

/// An id of a resource, or, by its example, a type of one.
pub(crate) struct ResourcePart(pub(crate) &'static str);

impl Rule for ResourcePart {
    type Out = String;

    fn judge(&self, text: &str) -> Result<String, Bad> {
        bounded(text, 1, RESOURCE_CHARS_MAX)
    }

    fn schema(&self) -> Schema {
        with_example(schema::chars(1, RESOURCE_CHARS_MAX), self.0)
    }
}

/// Names of events are segments of these characters, parted by dots.
const NAME_PATTERN: &str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";

/// A name of an event.
pub(crate) struct Name;

impl Rule for Name {
    type Out = EventName;

    fn judge(&self, text: &str) -> Result<EventName, Bad> {
        EventName::parse(text).map_err(|error| Bad::new("invalid_event_name", error.to_string()))
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": NAME_PATTERN, "examples": ["order.filled"],
        })
    }
}

/// A name of events, or `order.*`.
#[derive(Clone, Copy)]
pub(crate) struct NamePattern;

impl Rule for NamePattern {
    type Out = EventNamePattern;

    fn judge(&self, text: &str) -> Result<EventNamePattern, Bad> {
        EventNamePattern::parse(text).map_err(|error| Bad::new("invalid_event_name", format!("{error}; it may end with .*")))
    }

    fn schema(&self) -> Schema {
        let pattern = NAME_PATTERN.replace(")*$", r")*(\.\*)?$");
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": pattern, "examples": ["order.*"],
        })
    }
}

/// A caller's own id of an event.
pub(crate) struct OwnEventId;

impl Rule for OwnEventId {
    type Out = EventId;

    fn judge(&self, text: &str) -> Result<EventId, Bad> {
        const RULE: &str = "must be 1 to 255 characters of A-Z a-z 0-9 _ . : - that begin with a letter or digit, and not with evt_";
        EventId::own(text).ok_or_else(|| Bad::new("invalid_event_id", RULE))
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX, "examples": ["order-1001-filled"],
            "pattern": "^(?!evt_)[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        })
    }
}

/// A url of a webhook. The code says which rule it breaks.
pub(crate) struct Url<'p>(pub(crate) &'p UrlPolicy);

impl Rule for Url<'_> {
    type Out = WebhookUrl;

    fn judge(&self, text: &str) -> Result<WebhookUrl, Bad> {
        WebhookUrl::parse(text, self.0).map_err(|error| Bad::new(error.code(), error.to_string()))
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string", "format": "uri", "minLength": 1, "maxLength": URL_CHARS_MAX,
            "examples": ["https://example.com/hooks"],
        })
    }
}

/// A signing secret of the caller's own.
pub(crate) struct Secret;

impl Rule for Secret {
    type Out = SigningSecret;

    fn judge(&self, text: &str) -> Result<SigningSecret, Bad> {
        SigningSecret::parse(text).map_err(|error| Bad::new("invalid_secret", error.to_string()))
    }

    fn schema(&self) -> Schema {
        // The base64 of 24 to 75 bytes: 32 to 100 characters, of which those behind the last whole group are padding.
        json_schema!({
            "type": "string", "minLength": 38, "maxLength": 106, "examples": ["whsec_ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGUh"],
            "pattern": "^whsec_([A-Za-z0-9+/]{4}){8,24}([A-Za-z0-9+/]{4}|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        })
    }
}

/// A scope out of those that a key of this kind can have.
#[derive(Clone, Copy)]
pub(crate) struct ScopeOf(pub(crate) Scopes);

impl Rule for ScopeOf {
    type Out = Scope;

    fn judge(&self, text: &str) -> Result<Scope, Bad> {
        let known = Scope::parse(text).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(Scope::as_str).collect();
            Bad::new("unknown_scope", format!("must be one of {}", names.join(", ")))
        })?;
        if self.0.contains(known) {
            return Ok(known);
        }
        Err(Bad::new("scope_not_allowed", "is a scope of the operator's keys only"))
    }

    fn schema(&self) -> Schema {
        schema::one_of(self.0.iter().map(Scope::as_str))
    }
}

/// A moment.
pub(crate) struct Moment;

impl Rule for Moment {
    type Out = Timestamp;

    fn judge(&self, text: &str) -> Result<Timestamp, Bad> {
        text.parse()
            .map_err(|error: TimestampError| Bad::new("invalid_timestamp", error.to_string()))
    }

    fn schema(&self) -> Schema {
        schema::moment()
    }
}

/// A moment behind this one.
pub(crate) struct FutureMoment(pub(crate) Timestamp);

impl Rule for FutureMoment {
    type Out = Timestamp;

    fn judge(&self, text: &str) -> Result<Timestamp, Bad> {
        let moment = Moment.judge(text)?;
        if moment > self.0 {
            return Ok(moment);
        }
        Err(Bad::new("not_in_the_future", "must lie in the future"))
    }

    fn schema(&self) -> Schema {
        with_example(schema::moment(), "2099-01-01T00:00:00Z")
    }
}

/// An id to look for. A text that is no id of its kind names nothing that there is, so it is no fault.
pub(crate) struct IdOf<T> {
    prefix: &'static str,
    kind: std::marker::PhantomData<T>,
}

impl<T> IdOf<T> {
    /// The rule for ids that begin with this.
    pub(crate) const fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            kind: std::marker::PhantomData,
        }
    }
}

impl<T: std::str::FromStr> Rule for IdOf<T> {
    type Out = Option<T>;

    fn judge(&self, text: &str) -> Result<Option<T>, Bad> {
        Ok(text.parse().ok())
    }

    fn schema(&self) -> Schema {
        let mut schema = schema::id(self.prefix);
        schema.remove("minLength");
        schema.remove("maxLength");
        schema
    }
}
