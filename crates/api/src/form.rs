//! Bodies of forms (`application/x-www-form-urlencoded`), and the one header that is written like one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::value::RawValue;
use serde_json::value::to_raw_value;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::fault::{Bad, Faults, Place};
use crate::object::Members;
use crate::params::{Fields, read_members};
use crate::query::decode;

/// Most fields of a form that are looked at.
const FIELDS_MAX: usize = 64;

/// Reads a form as an object of known fields. Fields of other names are passed over, and so are those without a value (RFC 6749 §3.2).
///
/// # Errors
/// What is no text cannot be told apart; `faults` has what is wrong otherwise.
pub(crate) fn read<T>(
    body: &[u8],
    names: &[&'static str],
    faults: &mut Faults,
    read: impl FnOnce(&mut Fields<'_, '_, '_>) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| ApiError::not_utf8(error.valid_up_to()))?;
    let mut fields: Vec<(&'static str, Box<RawValue>)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()).take(FIELDS_MAX) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).and_then(|given| names.iter().find(|name| **name == given));
        let (Some(name), false) = (name, value.is_empty()) else { continue };
        match decode(value) {
            Some(value) => fields.push((name, to_raw_value(&value)?)),
            None => faults.add(
                &Place::Field(&Place::Body, name),
                Bad::new("invalid_encoding", "is not valid UTF-8 when percent-decoded"),
            ),
        }
    }
    let members = Members {
        count: fields.len(),
        kept: fields.iter().map(|(name, value)| ((*name).into(), &**value)).collect(),
    };
    Ok(read_members(members, Place::Body, faults, read))
}

/// User and password of HTTP Basic, each decoded like a value of a form, as RFC 6749 §2.3.1 wants it. `None` where it is something else.
pub(crate) fn basic(header: &HeaderValue) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let (scheme, credentials) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(credentials.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((Zeroizing::new(decode(user)?), Zeroizing::new(decode(password)?)))
}
