//! One word for one thing, and none that says nothing.

use super::{Findings, Source, assert_clean, first_word, judge_code, source};

/// Words of other systems for what we call account and webhook.
const STRANGERS: [&str; 6] = ["endpoint", "endpoints", "subscriber", "subscribers", "tenant", "tenants"];

#[test]
fn modules_and_types_say_what_they_are() {
    assert_clean(&judge_code(
        |_| true,
        |code| {
            let words: Vec<&str> = code
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .filter(|word| !word.is_empty())
                .collect();
            words.windows(2).find_map(|pair| {
                let is_vague = match pair[0] {
                    "mod" => ["util", "utils", "helper", "helpers", "common", "misc"].contains(&pair[1]),
                    "struct" | "enum" | "trait" | "type" => ["Manager", "Helper", "Util", "Utils", "Info"]
                        .iter()
                        .any(|end| pair[1].ends_with(end)),
                    _ => false,
                };
                is_vague.then(|| format!("{} {} says nothing", pair[0], pair[1]))
            })
        },
    ));
}

#[test]
fn files_say_what_they_hold() {
    let is_vague = |path: &str| {
        ["util", "utils", "helper", "helpers", "common", "misc"]
            .iter()
            .any(|name| path.contains(&format!("/{name}.rs")) || path.contains(&format!("/{name}/")))
    };
    let findings = source::all()
        .iter()
        .filter(|source| is_vague(&source.path))
        .map(|source| source.finding(0, "this name says nothing"));
    assert_clean(&findings.collect());
}

#[test]
fn only_the_contracts_words_are_used() {
    let mut findings = Findings::new();
    // The binary speaks to libraries that have words of their own (a log has subscribers).
    let takes = |source: &&Source| source.krate != "xtask" && source.krate != "postrider";
    for source in source::all().iter().filter(takes) {
        for (index, code) in source.code.iter().enumerate() {
            let line = format!("{code} {} {}", source.strings[index], source.comments[index]).to_lowercase();
            // A test that reads the log names that library too.
            let line = line.replace("tracing_subscriber", "").replace("tracing::subscriber", "");
            if let Some(word) = first_word(&line.replace('_', " "), &STRANGERS) {
                findings.push(source.finding(index, &format!("{word}: the words are account and webhook")));
            }
        }
    }
    assert_clean(&findings);
}
