//! Reading a query string by names, like the fields of a body.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::fault::{Bad, Faults, InQuery};

/// Most parameters that are looked at; no route has nearly as many.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query string; those that are taken are gone.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// At most [`PARAMETERS_MAX`].
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a query string apart; what is no UTF-8 is noted.
    pub(crate) fn parse(text: Option<&str>, faults: &mut Faults) -> Self {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            if query.pairs.len() >= PARAMETERS_MAX {
                let detail = format!("at most {PARAMETERS_MAX} parameters are read");
                faults.add(&"query", Bad::new("too_many_parameters", detail));
                break;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => query.pairs.push((name, value)),
                _ => faults.add(
                    &InQuery(name),
                    Bad::new("invalid_encoding", "is not valid UTF-8 when percent-decoded"),
                ),
            }
        }
        query
    }

    /// A parameter that `judge` accepts, where it is given; where it is refused, the fault is noted.
    pub(crate) fn take<T>(&mut self, name: &str, faults: &mut Faults, judge: impl FnOnce(&str) -> Result<T, Bad>) -> Option<T> {
        let mut given = self.pairs.extract_if(.., |(given, _)| given == name).map(|(_, value)| value);
        let value = given.next()?;
        if given.count() > 0 {
            faults.add(&InQuery(name), Bad::new("duplicate_parameter", "is there more than once"));
            return None;
        }
        judge(&value).map_err(|bad| faults.add(&InQuery(name), bad)).ok()
    }

    /// What nobody has taken is unknown.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for (name, _) in self.pairs {
            faults.add(
                &InQuery(&name),
                Bad::new("unknown_parameter", "is not a parameter that this route reads"),
            );
        }
    }
}

/// A plus is a space, as in forms (WHATWG URL §5.1).
fn decode(text: &str) -> Option<String> {
    let spaced: Cow<'_, str> = if text.contains('+') {
        text.replace('+', " ").into()
    } else {
        text.into()
    };
    percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).ok()
}
