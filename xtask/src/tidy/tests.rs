//! Tests tell a story, wait on signals, and can fail.

use super::{Findings, assert_clean, has_word, source};

/// Why this line of a test is refused.
fn objection(code: &str, can_sleep: bool) -> Option<&'static str> {
    let sleeps = ["::sleep(", " sleep(", ".sleep("].iter().any(|call| code.contains(call)) && !code.contains("fn sleep(");
    if sleeps && !can_sleep {
        return Some("a test waits on signals, never on time");
    }
    if code.contains("#[ignore") {
        return Some("a test that is ignored tests nothing");
    }
    if code.contains("#[should_panic") {
        return Some("a panic may be another: assert on what is returned");
    }
    let cannot_fail = code.contains("assert!(true") || code.contains("assert_eq!(true, true");
    cannot_fail.then_some("a test that cannot fail")
}

#[test]
fn a_test_neither_sleeps_nor_hides_nor_always_passes() {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| source.krate != "xtask") {
        for (index, code) in source.code.iter().enumerate() {
            if source.comments[index].contains("```ignore") || source.comments[index].contains("```no_run") {
                findings.push(source.finding(index, "an example that is not run may be wrong: let it run, or call it text"));
            }
            let is_test = source.is_test[index] || source.krate == "testkit";
            if let Some(reason) = objection(code, !is_test) {
                findings.push(source.finding(index, reason));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut findings = Findings::new();
    for source in source::all() {
        for (index, comment) in source.comments.iter().enumerate() {
            if let Some(word) = super::first_word(comment, &words) {
                findings.push(source.finding(index, &format!("{word}: do it, or open an issue")));
            }
        }
    }
    assert_clean(&findings);
}

/// Whether a comment is a line of code that somebody wanted to keep.
fn is_code(comment: &str) -> bool {
    let Some(text) = comment.trim().strip_prefix("// ") else {
        return false;
    };
    let looks = text.contains('(') || text.contains(" = ") || has_word(text, "let") || has_word(text, "return") || text.starts_with("use ");
    let is_statement = text.ends_with(';') && looks && !text.contains(": ");
    let is_bracket = matches!(text, "{" | "}" | "})" | "});" | "},");
    is_statement || is_bracket || text.ends_with(") {") || text.starts_with("#[")
}

#[test]
fn code_is_not_kept_in_comments() {
    let mut findings = Findings::new();
    for source in source::all() {
        for (index, comment) in source.comments.iter().enumerate() {
            if source.code[index].is_empty() && is_code(comment) {
                findings.push(source.finding(index, "code in a comment: version control keeps it"));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(objection("    tokio::time::sleep(second).await;", false).is_some());
    assert!(objection("    clock.sleep_until(later).await;", false).is_none());
    assert!(objection("    #[ignore = \"slow\"]", false).is_some());
    assert!(is_code("    // let a = f(x);"));
    assert!(is_code("// }"));
    assert!(!is_code("// a comma would do; a full stop is better;"));
    assert!(!is_code("/// Docs(x);"));
}
