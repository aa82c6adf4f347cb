//! A limit on everything: what may grow says how far.

use super::{Findings, Source, assert_clean, is_product, judge_code, source};

/// Collections that grow with what happens; a plain list mostly holds what a caller gave.
const GROWING: [&str; 7] = [
    "HashMap<",
    "HashSet<",
    "BTreeMap<",
    "BTreeSet<",
    "VecDeque<",
    "BinaryHeap<",
    "Slab<",
];

/// Words by which a doc line names a limit.
const LIMITS: [&str; 10] = [
    "at most",
    "most",
    "limit",
    "bound",
    "bounded",
    "no more",
    "one for each",
    "one entry for each",
    "as many",
    "_max",
];

/// Crates whose state lives as long as the server. The model's types do not live by themselves.
fn lives_long(source: &Source) -> bool {
    is_product(source) && source.krate != "model" && source.krate != "postrider"
}

/// Whether the line declares a field of a struct that grows.
fn is_growing_field(code: &str) -> bool {
    let field = code
        .trim()
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ")
        .trim_start_matches("pub ");
    let Some((name, kind)) = field.split_once(": ") else { return false };
    let is_name = name
        .chars()
        .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    is_name
        && code.starts_with("    ")
        && !code.starts_with("     ")
        && kind.ends_with(',')
        && GROWING.iter().any(|collection| kind.contains(collection))
}

/// The doc lines right above, attributes passed over.
fn doc_above(source: &Source, index: usize) -> String {
    let is_doc = |line: &usize| source.code[*line].trim_start().starts_with("#[") || source.comments[*line].trim_start().starts_with("///");
    let lines = (0..index)
        .rev()
        .take_while(is_doc)
        .map(|line| source.comments[line].trim().to_owned());
    lines.collect::<Vec<_>>().join(" ")
}

/// Whether the field, or the struct that it stands in, says how far it grows.
fn names_limit(source: &Source, index: usize) -> bool {
    let head = (0..index).rev().find(|line| super::has_word(&source.code[*line], "struct"));
    let docs = [Some(index), head]
        .into_iter()
        .flatten()
        .map(|line| doc_above(source, line).to_lowercase());
    docs.into_iter().any(|doc| LIMITS.iter().any(|word| doc.contains(word)))
}

#[test]
fn what_grows_names_its_limit() {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| lives_long(source)) {
        for (index, code) in source.code.iter().enumerate().filter(|(_, code)| is_growing_field(code)) {
            if !source.is_test[index] && !names_limit(source, index) {
                let field = code.trim().trim_end_matches(',');
                findings.push(source.finding(index, &format!("{field}: its doc line names no limit")));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn nothing_is_unbounded() {
    let takes = |source: &Source| source.krate != "xtask";
    assert_clean(&judge_code(takes, |code| {
        code.contains("unbounded").then(|| "every queue and channel has a limit".to_owned())
    }));
}

#[test]
fn fields_that_grow_are_seen() {
    assert!(is_growing_field("    lanes: FxHashMap<WebhookId, Lane>,"));
    assert!(is_growing_field("    pub(crate) waiting: VecDeque<Queued>,"));
    assert!(!is_growing_field("    rows: Vec<Queued>,"));
    assert!(!is_growing_field("        known: HashSet<DeliveryId>,"));
    assert!(!is_growing_field("    let known: HashSet<DeliveryId> = rows.collect();"));
}
