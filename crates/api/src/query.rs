//! Reading a query string by names, like the fields of a body; the functions that do are the description of it too.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::description::Parameter;
use crate::fault::{Bad, Faults, InQuery};
use crate::rules::Rule;

/// Most parameters that are looked at; no route has nearly as many.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query string; those that are taken are gone.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// At most [`PARAMETERS_MAX`].
    pairs: Vec<(String, String)>,
    /// Set where there is no query string and its parameters are only described: as many as a route reads.
    described: Option<Vec<Parameter>>,
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

    /// What this function reads, parameter by parameter.
    pub(crate) fn describe(read: impl FnOnce(&mut Self, &mut Faults)) -> Vec<Parameter> {
        let mut query = Self {
            pairs: Vec::new(),
            described: Some(Vec::new()),
        };
        read(&mut query, &mut Faults::default());
        query.described.unwrap_or_default()
    }

    /// A parameter that keeps to a rule, where it is given; where it is refused, the fault is noted. `what` says what it is for.
    pub(crate) fn take<R: Rule>(&mut self, name: &str, faults: &mut Faults, rule: R, what: &'static str) -> Option<R::Out> {
        if let Some(described) = &mut self.described {
            described.push(Parameter::of_query(name, rule.schema(), what));
            return None;
        }
        let mut given = self.pairs.extract_if(.., |(given, _)| given == name).map(|(_, value)| value);
        let value = given.next()?;
        if given.count() > 0 {
            faults.add(&InQuery(name), Bad::new("duplicate_parameter", "is there more than once"));
            return None;
        }
        rule.judge(&value).map_err(|bad| faults.add(&InQuery(name), bad)).ok()
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
pub(crate) fn decode(text: &str) -> Option<String> {
    let spaced: Cow<'_, str> = if text.contains('+') {
        text.replace('+', " ").into()
    } else {
        text.into()
    };
    percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).ok()
}
