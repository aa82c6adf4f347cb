//! How long files are, and what stands in them: no cleverness. How long functions are is clippy's to say.

use std::collections::BTreeMap;

use super::{Findings, Place, assert_clean, is_product, judge_code, judge_shipped, source};

const FILE_LINES_MAX: usize = 600;
const MEDIAN_LINES_MAX: usize = 200;
const MACROS_MAX: usize = 2;

#[test]
fn no_file_is_too_long() {
    let too_long = source::all().iter().filter(|source| source.code.len() > FILE_LINES_MAX);
    let findings = too_long.map(|source| {
        source.finding(
            FILE_LINES_MAX,
            &format!("{} lines: a file has at most {FILE_LINES_MAX}", source.code.len()),
        )
    });
    assert_clean(&findings.collect());
}

#[test]
fn most_files_of_a_crate_are_short() {
    let mut lengths: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for source in source::all().iter().filter(|source| source.place == Place::Src) {
        lengths.entry(&source.krate).or_default().push(source.code.len());
    }
    let mut findings = Findings::new();
    for (krate, mut lengths) in lengths {
        lengths.sort_unstable();
        let median = lengths[lengths.len() / 2];
        if median > MEDIAN_LINES_MAX {
            findings.push(format!(
                "crates/{krate}/src:1: the median file has {median} lines, at most {MEDIAN_LINES_MAX} is meant"
            ));
        }
    }
    assert_clean(&findings);
}

#[test]
fn the_core_holds_no_lock() {
    let takes = |source: &super::Source| matches!(source.krate.as_str(), "model" | "lanes");
    assert_clean(&judge_shipped(takes, |code| {
        super::first_word(code, &["Mutex", "RwLock", "async", "await"]).map(|word| format!("{word}: the core is pure"))
    }));
}

#[test]
fn what_goes_over_the_wire_is_no_inner_type() {
    let is_inner =
        |source: &super::Source| matches!(source.krate.as_str(), "model" | "lanes" | "ports" | "engine") && source.place == Place::Src;
    let takes = |source: &super::Source| {
        is_inner(source) && !source.path.ends_with("model/src/id.rs") && !source.path.ends_with("model/src/time.rs")
    };
    assert_clean(&judge_code(takes, |code| {
        super::has_word(code, "Serialize")
            .then(|| "wire shapes are in crates/api/src/json; inside only ids and timestamps have one".to_owned())
    }));
}

#[test]
fn there_are_few_macros_of_ours() {
    let mut places = judge_code(
        |source| source.krate != "xtask",
        |code| code.contains("macro_rules!").then(|| "a macro".to_owned()),
    );
    if places.len() <= MACROS_MAX {
        places.clear();
    }
    assert_clean(&places);
}

#[test]
fn nothing_is_unsafe_or_dead() {
    assert_clean(&judge_code(
        |_| true,
        |code| {
            let dead = code.contains("(dead_code") || code.contains("(unused");
            (dead || super::has_word(code, "unsafe")).then(|| "no unsafe, and what is not used goes".to_owned())
        },
    ));
}

#[test]
fn a_lint_is_lifted_with_its_reason() {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| is_product(source)) {
        for (index, code) in source.code.iter().enumerate() {
            let lifts = code.contains("allow(clippy::")
                || code.contains("expect(clippy::")
                || code.contains("allow(") && code.trim_start().starts_with("#[");
            let reasons = source.code[index..].iter().take(6).any(|line| line.contains("reason ="));
            if lifts && !source.is_test[index] && !reasons {
                findings.push(source.finding(index, "a lint is lifted by `expect(…, reason = \"…\")`"));
            }
        }
    }
    assert_clean(&findings);
}
