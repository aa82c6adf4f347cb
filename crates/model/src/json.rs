//! Comparing JSON as values while numbers stay as they were written.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Deeper than this, values are compared as they were written: the comparison must not cost a stack.
const DEPTH_MAX: usize = 64;

/// Whether two JSON texts are the same value: the order of keys and white space mean nothing, a number is the
/// same only as it was written (`1.0` is not `1`), of a key twice the last counts.
pub fn same_value(left: &str, right: &str) -> bool {
    same_at(left, right, 0)
}

fn same_at(left: &str, right: &str, depth: usize) -> bool {
    let (left, right) = (left.trim(), right.trim());
    if left == right {
        return true;
    }
    if depth >= DEPTH_MAX || left.bytes().next() != right.bytes().next() {
        return false;
    }
    match left.bytes().next() {
        Some(b'{') => same_object(left, right, depth),
        Some(b'[') => same_array(left, right, depth),
        Some(b'"') => same_string(left, right),
        _ => false,
    }
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

fn same_object(left: &str, right: &str, depth: usize) -> bool {
    let (Ok(left), Ok(right)) = (serde_json::from_str::<Object<'_>>(left), serde_json::from_str::<Object<'_>>(right)) else {
        return false;
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .all(|((left_key, left), (right_key, right))| left_key == right_key && same_at(left.get(), right.get(), depth + 1))
}

fn same_array(left: &str, right: &str, depth: usize) -> bool {
    let (Ok(left), Ok(right)) = (
        serde_json::from_str::<Vec<&RawValue>>(left),
        serde_json::from_str::<Vec<&RawValue>>(right),
    ) else {
        return false;
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .all(|(left, right)| same_at(left.get(), right.get(), depth + 1))
}

fn same_string(left: &str, right: &str) -> bool {
    matches!((serde_json::from_str::<String>(left), serde_json::from_str::<String>(right)), (Ok(left), Ok(right)) if left == right)
}
