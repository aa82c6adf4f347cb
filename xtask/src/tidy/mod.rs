//! Tidy: each test is one rule of the house, and says file, line and reason of whatever breaks it.

mod arrows;
mod blocks;
mod bounds;
mod debug;
mod docs;
mod errors;
mod names;
mod runner;
mod shape;
mod source;
mod tests;
mod time;

use source::{Place, Source};

/// What a rule found: `file:line: reason`.
type Findings = Vec<String>;

/// Fails with all that was found.
fn assert_clean(findings: &Findings) {
    assert!(findings.is_empty(), "{} to tidy up:\n{}\n", findings.len(), findings.join("\n"));
}

/// Looks at each line of code of the files that `takes` chooses; `judge` gives the reason where a line breaks the rule.
fn judge_code(takes: impl Fn(&Source) -> bool, judge: impl Fn(&str) -> Option<String>) -> Findings {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| takes(source)) {
        for (index, code) in source.code.iter().enumerate() {
            findings.extend(judge(code).map(|reason| source.finding(index, &reason)));
        }
    }
    findings
}

/// As `judge_code`, but only of what is shipped: no test code, no testkit, no xtask.
fn judge_shipped(takes: impl Fn(&Source) -> bool, judge: impl Fn(&str) -> Option<String>) -> Findings {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| is_product(source) && takes(source)) {
        for (index, code) in source.code.iter().enumerate().filter(|(index, _)| !source.is_test[*index]) {
            findings.extend(judge(code).map(|reason| source.finding(index, &reason)));
        }
    }
    findings
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |side: Option<char>| side.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        !is_letter(before) && !is_letter(after)
    })
}

/// The first of the words that stands in `text`.
fn first_word<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    words.iter().copied().find(|word| has_word(text, word))
}

/// Source files of crates that are part of the server itself, without their tests.
fn is_product(source: &Source) -> bool {
    source.place == Place::Src && source.krate != "xtask" && source.krate != "testkit"
}

#[test]
fn words_are_found_whole_only() {
    assert!(has_word("a tenant, perhaps", "tenant"));
    assert!(has_word("tenant", "tenant"));
    assert!(!has_word("tenants", "tenant"));
    assert!(!has_word("subtenant", "tenant"));
    assert!(!has_word("tenant_id", "tenant"));
}
