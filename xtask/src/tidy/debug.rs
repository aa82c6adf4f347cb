//! What is secret is not printed: no derived `Debug` shows a bare secret.

use super::{Findings, Source, assert_clean, is_product, source};

const SECRETS: [&str; 9] = [
    "token",
    "secret",
    "password",
    "secret_key",
    "operator_key",
    "operator_keys",
    "private_key",
    "key_pem",
    "bearer",
];
const BARE: [&str; 6] = ["String", "Option<String>", "Vec<String>", "Vec<u8>", "Arc<str>", "[u8"];

/// Whether the field's line holds a secret in a type that prints it.
fn prints_secret(code: &str) -> bool {
    let field = code
        .trim()
        .trim_start_matches("pub ")
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ");
    let Some((name, kind)) = field.split_once(": ") else { return false };
    // Zeroizing wipes what it holds, and prints it all the same.
    kind.starts_with("Zeroizing<")
        || kind.starts_with("Option<Zeroizing<")
        || (SECRETS.contains(&name) && BARE.iter().any(|bare| kind.starts_with(bare)))
}

/// The lines of the struct that the attribute on line `index` stands on.
fn body_of(source: &Source, index: usize) -> impl Iterator<Item = usize> {
    let ends = |line: &usize| source.code[*line].starts_with('}') || source.code[*line].ends_with(';');
    let end = (index..source.code.len()).find(ends).unwrap_or(source.code.len());
    index..end
}

#[test]
fn no_derived_debug_prints_a_secret() {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| is_product(source)) {
        for (index, code) in source.code.iter().enumerate() {
            if !(code.contains("derive(") && super::has_word(code, "Debug")) {
                continue;
            }
            for line in body_of(source, index).filter(|line| prints_secret(&source.code[*line])) {
                findings.push(source.finding(line, "the derived Debug prints this: write one that says ***"));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn bare_secrets_are_seen() {
    assert!(prints_secret("    pub token: String,"));
    assert!(prints_secret("    secret: Option<String>,"));
    assert!(prints_secret("    bytes: Zeroizing<Vec<u8>>,"));
    assert!(!prints_secret("    pub secret: SigningSecret,"));
    assert!(!prints_secret("    pub name: String,"));
}
