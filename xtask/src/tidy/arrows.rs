//! The walls: which crate may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::{Findings, assert_clean, source};

/// For each crate: what of ours it may use, and what of others must nowhere be in its tree.
const WALLS: [(&str, &[&str], &[&str]); 10] = [
    (
        "model",
        &[],
        &[
            "tokio",
            "async-trait",
            "axum",
            "http",
            "hyper",
            "rusqlite",
            "sqlx",
            "tokio-postgres",
            "rustls",
            "tracing",
            "rand",
        ],
    ),
    (
        "lanes",
        &["model"],
        &[
            "tokio",
            "async-trait",
            "axum",
            "http",
            "hyper",
            "rusqlite",
            "sqlx",
            "tokio-postgres",
            "rustls",
            "tracing",
            "rand",
        ],
    ),
    (
        "ports",
        &["model"],
        &[
            "tokio",
            "axum",
            "http",
            "hyper",
            "rusqlite",
            "sqlx",
            "tokio-postgres",
            "rustls",
            "rand",
        ],
    ),
    (
        "engine",
        &["lanes", "ports", "model"],
        &["axum", "http", "hyper", "rusqlite", "sqlx", "tokio-postgres", "rustls", "rand"],
    ),
    ("sender", &["ports", "model"], &["axum", "rusqlite", "sqlx", "tokio-postgres"]),
    (
        "store-sqlite",
        &["ports", "model"],
        &["axum", "http", "hyper", "sqlx", "tokio-postgres", "rustls"],
    ),
    ("store-postgres", &["ports", "model"], &["axum", "http", "hyper", "rusqlite"]),
    (
        "api",
        &["engine", "lanes", "ports", "model"],
        &["rusqlite", "sqlx", "tokio-postgres", "rustls", "hickory-resolver"],
    ),
    (
        "dashboard",
        &["engine", "lanes", "ports", "model"],
        &["rusqlite", "sqlx", "tokio-postgres", "rustls", "hickory-resolver"],
    ),
    (
        "testkit",
        &["lanes", "ports", "model"],
        &["axum", "rusqlite", "sqlx", "tokio-postgres"],
    ),
];

/// Names of all packages that the crate is built from, itself left out; dependencies of its tests do not count.
fn tree_of(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "-e", "normal", "--prefix", "none", "-p", package])
        .current_dir(crate::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != package).collect()
}

/// Manifests of the crates: folder and text. An example is to be copied, so it stands for itself.
fn manifests() -> BTreeMap<String, String> {
    source::files(&["toml"])
        .into_iter()
        .filter(|path| !path.starts_with("examples/"))
        .filter_map(|path| {
            // The fuzz targets are a workspace of their own.
            let folder = path.strip_suffix("/Cargo.toml").filter(|folder| *folder != "fuzz")?.to_owned();
            let text = std::fs::read_to_string(crate::root().join(&path)).unwrap();
            Some((folder, text))
        })
        .collect()
}

/// Lines of a manifest that name a dependency: index, kind and line.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    manifest.lines().enumerate().filter_map(move |(index, line)| {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            return None;
        }
        let counts = section.ends_with("dependencies") && !line.trim().is_empty() && !line.starts_with('#');
        counts.then_some((index, section, line))
    })
}

#[test]
fn no_crate_reaches_over_its_walls() {
    let mut findings = Findings::new();
    for (folder, manifest) in manifests() {
        let Some(krate) = folder.strip_prefix("crates/") else { continue };
        if krate == "postrider" {
            continue;
        }
        let Some((_, ours, forbidden)) = WALLS.iter().find(|(name, ..)| *name == krate) else {
            findings.push(format!(
                "{folder}/Cargo.toml:1: a crate that no wall in xtask/src/tidy/arrows.rs knows"
            ));
            continue;
        };
        let line_of = |name: &str| {
            let found = dependencies(&manifest).find(|(_, section, line)| *section == "dependencies" && line.starts_with(name));
            found.map_or(1, |(index, ..)| index + 1)
        };
        for name in tree_of(&format!("postrider-{krate}")) {
            let is_stranger = name.strip_prefix("postrider-").is_some_and(|name| !ours.contains(&name));
            if is_stranger || forbidden.contains(&name.as_str()) {
                findings.push(format!(
                    "{folder}/Cargo.toml:{}: {krate} must not be built from {name}",
                    line_of(&name)
                ));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn a_version_or_feature_is_said_once_in_the_root_manifest() {
    let mut findings = Findings::new();
    for (folder, manifest) in manifests() {
        for (index, _, line) in dependencies(&manifest) {
            if !line.ends_with(".workspace = true") {
                let line_number = index + 1;
                findings.push(format!(
                    "{folder}/Cargo.toml:{line_number}: say `name.workspace = true`, and the rest in the root's list"
                ));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            findings.push(format!("{folder}/Cargo.toml:1: takes no part in the workspace's lints"));
        }
    }
    assert_clean(&findings);
}

#[test]
fn what_is_for_one_place_stays_there() {
    let mut findings = Findings::new();
    for (folder, manifest) in manifests() {
        for (index, section, line) in dependencies(&manifest) {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            let reason = match name {
                "anyhow" if folder != "crates/postrider" => "errors have types here: anyhow is for the binary alone",
                "postrider-testkit" if section != "dev-dependencies" => "the testkit is for tests only",
                "figment" | "clap" if folder != "crates/postrider" => "the binary alone reads arguments, environment and files",
                _ => continue,
            };
            findings.push(format!("{folder}/Cargo.toml:{}: {reason}", index + 1));
        }
    }
    assert_clean(&findings);
}

#[test]
fn sql_is_written_in_the_stores_alone() {
    let words = ["SELECT", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "PRAGMA"];
    let mut findings = Findings::new();
    for source in source::all() {
        // What starts a PostgreSQL for tests speaks to it too.
        let is_its_server = source.krate == "testkit" && source.path.contains("postgres");
        if source.krate.starts_with("store-") || source.krate == "xtask" || is_its_server {
            continue;
        }
        for (index, text) in source.strings.iter().enumerate() {
            if let Some(word) = super::first_word(text, &words) {
                findings.push(source.finding(index, &format!("{word}: all SQL is in a store-* crate")));
            }
        }
    }
    assert_clean(&findings);
}
