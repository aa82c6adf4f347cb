//! Errors have types, are answered in one place, and are never swallowed without a word.

use super::{Findings, Source, assert_clean, judge_shipped, source};

/// The line on which the statement that ends on `index` begins.
fn statement_start(code: &[String], index: usize) -> usize {
    let mut start = index;
    while start > 0 && code[start].trim_start().starts_with(['.', ')', '}', ']']) {
        start -= 1;
    }
    start
}

/// Whether the line throws a result away; `first` is the first line of its statement, which may take what `.ok()` gives.
fn drops_error(code: &str, first: &str) -> bool {
    let takes = first.contains(" = ") || first.trim_start().starts_with("return");
    code.contains("let _ = ") || code.contains(".ok();") && !takes
}

#[test]
fn a_swallowed_error_has_its_why_on_the_line_above() {
    let mut findings = Findings::new();
    for source in source::all() {
        for (index, code) in source.code.iter().enumerate() {
            let start = statement_start(&source.code, index);
            if !drops_error(code, &source.code[start]) {
                continue;
            }
            let has_why = |line: usize| source.code[line].is_empty() && source.comments[line].contains("//");
            // Several in a row share the reason above the first.
            let first = (0..start)
                .rev()
                .find(|line| !source.code[*line].contains("let _ = ") && !source.code[*line].contains(".ok();"));
            if !first.is_some_and(has_why) {
                findings.push(source.finding(index, "an error is dropped: say why on the line above"));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn an_error_is_a_type_and_no_text() {
    let takes = |source: &Source| source.krate != "postrider";
    assert_clean(&judge_shipped(takes, |code| {
        let is_text = code.contains("Err(format!") || code.contains("Err(\"") || code.contains("Err(String::");
        is_text.then(|| "callers cannot act on a text: give the error a type".to_owned())
    }));
}

#[test]
fn routes_say_only_how_it_went_well() {
    const WELL: [&str; 4] = ["OK", "CREATED", "ACCEPTED", "NO_CONTENT"];
    let takes = |source: &Source| source.path.starts_with("crates/api/src/routes");
    assert_clean(&judge_shipped(takes, |code| {
        let mut statuses = code
            .match_indices("StatusCode::")
            .map(|(start, found)| &code[start + found.len()..]);
        let other = statuses.find(|rest| !WELL.iter().any(|status| rest.starts_with(status)))?;
        let word: String = other
            .chars()
            .take_while(|letter| letter.is_ascii_uppercase() || *letter == '_')
            .collect();
        Some(format!("{word}: errors are answered in crates/api/src/error.rs alone"))
    }));
}

#[test]
fn input_never_panics() {
    assert_clean(&judge_shipped(
        |_| true,
        |code| {
            let lifted = ["unwrap_used", "expect_used", "indexing_slicing", "todo", "unimplemented"];
            let is_lifted = code.contains("clippy::") && lifted.iter().any(|lint| code.contains(lint));
            is_lifted.then(|| "outside tests nothing unwraps, expects or indexes".to_owned())
        },
    ));
}

#[test]
fn a_result_that_is_thrown_away_is_seen() {
    assert!(drops_error("    let _ = send();", "    let _ = send();"));
    assert!(drops_error("        .ok();", "    channel.send(()).await"));
    assert!(!drops_error("    let url = text.parse().ok();", "    let url = text.parse().ok();"));
}
