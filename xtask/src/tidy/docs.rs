//! Docs that do not lie: paths and links lead somewhere, generated pages are what would be generated.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Findings, assert_clean, source};

fn read(path: &str) -> String {
    fs::read_to_string(crate::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between back-ticks on a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn the_map_names_only_what_is_there() {
    let mut findings = Findings::new();
    for (index, line) in read("ARCHITECTURE.md").lines().enumerate() {
        for path in quoted(line).filter(|text| ["crates/", "docs/", "xtask/", ".ci/"].iter().any(|top| text.starts_with(top))) {
            if !crate::root().join(path).exists() {
                findings.push(format!("ARCHITECTURE.md:{}: {path} is not there", index + 1));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn the_map_names_every_crate() {
    let map = read("ARCHITECTURE.md");
    let mut findings = Findings::new();
    for entry in fs::read_dir(crate::root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !map.contains(&format!("`crates/{name}`")) {
            findings.push(format!("ARCHITECTURE.md:1: does not name `crates/{name}`"));
        }
    }
    assert_clean(&findings);
}

#[test]
fn the_map_fits_its_frame() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 250, "ARCHITECTURE.md:251: {lines} lines: the map has at most 250");
    for path in source::files(&["md"]).iter().filter(|path| path.starts_with("docs/decisions/")) {
        let lines = read(path).lines().count();
        assert!(lines <= 60, "{path}:61: {lines} lines: a decision has at most 60");
    }
}

#[test]
fn limits_are_what_the_code_says() {
    let made = crate::limits::page(&crate::root()).unwrap();
    let page = read(crate::limits::PAGE);
    let same = page.lines().zip(made.lines()).take_while(|(is, should)| is == should).count();
    assert!(
        page == made,
        "{}:{}: run `cargo run -p xtask -- docs`",
        crate::limits::PAGE,
        same + 1
    );
}

#[test]
fn each_decision_has_a_number_of_its_own_and_is_listed() {
    let list = read("docs/README.md");
    let decisions = source::files(&["md"])
        .into_iter()
        .filter(|path| path.starts_with("docs/decisions/"));
    let mut findings = Findings::new();
    for (number, path) in (1..).zip(decisions) {
        let name = path.trim_start_matches("docs/");
        if !name.starts_with(&format!("decisions/{number:04}-")) || !read(&path).starts_with(&format!("# {number}. ")) {
            findings.push(format!("{path}:1: decision {number} says so in its name and in its heading"));
        }
        if !list.contains(&format!("\n{number}. [")) || !list.contains(&format!("]({name})")) {
            findings.push(format!("docs/README.md:1: does not list {name} as {number}"));
        }
    }
    assert_clean(&findings);
}

/// The pages of docs/ that a text names.
fn pages_named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| letter.is_whitespace() || "`()[],;:\"".contains(letter));
    words
        .filter(|word| word.starts_with("docs/"))
        .map(|word| word.trim_end_matches('.'))
}

#[test]
fn code_names_only_pages_that_are_there() {
    // Taken apart, so that this file does not find itself.
    let elsewhere = [concat!("CONT", "RACT"), concat!("DES", "IGN")];
    let mut findings = Findings::new();
    for path in source::files(&["rs", "sql", "toml", "py"]) {
        for (index, line) in read(&path).lines().enumerate() {
            let text = line
                .split_once("//")
                .or_else(|| line.split_once("--"))
                .or_else(|| line.split_once('#'));
            let Some((_, text)) = text else { continue };
            if let Some(word) = super::first_word(text, &elsewhere) {
                findings.push(format!("{path}:{}: {word} is no page of docs/", index + 1));
            }
            for page in pages_named(text).filter(|page| !crate::root().join(page).exists()) {
                findings.push(format!("{path}:{}: {page} is not there", index + 1));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn pages_that_a_comment_names_are_seen() {
    let text = " as `docs/wire.md` and docs/decisions/0003-x.md say; see docs/concepts.md.";
    assert_eq!(
        pages_named(text).collect::<Vec<_>>(),
        ["docs/wire.md", "docs/decisions/0003-x.md", "docs/concepts.md"]
    );
}

/// The target of each link on a line: `](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// A heading's anchor, as forges make it: lower case, hyphens for spaces, other signs left out.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = letters
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// `a/b/../c` as `a/c`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
        plain
    })
}

/// Why the link on a page leads nowhere.
fn dead_link(page: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target
        .split_once('#')
        .map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() {
        PathBuf::from(page)
    } else {
        plain(&Path::new(page).parent().unwrap().join(file))
    };
    let path = path.to_str().unwrap();
    if !crate::root().join(path).exists() {
        return Some(format!("the link leads to {path}, which is not there"));
    }
    let heading = heading?;
    let has_heading = read(path).lines().any(|line| line.starts_with('#') && anchor(line) == heading);
    (!has_heading).then(|| format!("{path} has no heading #{heading}"))
}

#[test]
fn links_lead_somewhere() {
    let mut findings = Findings::new();
    for page in source::files(&["md"]) {
        let mut in_fence = false;
        for (index, line) in read(&page).lines().enumerate() {
            in_fence ^= line.trim_start().starts_with("```");
            let dead = links(line).filter(|_| !in_fence).filter_map(|target| dead_link(&page, target));
            findings.extend(dead.map(|reason| format!("{page}:{}: {reason}", index + 1)));
        }
    }
    assert_clean(&findings);
}

#[test]
fn nothing_speaks_of_one_machine_or_one_registry() {
    // Taken apart, so that this file does not find itself.
    let paths = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let hosts = [
        concat!("crates", ".io"),
        concat!("py", "pi.org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("debian", ".org"),
        concat!("proxy.gol", "ang.org"),
    ];
    let kinds = [
        "rs", "md", "toml", "sql", "py", "sh", "js", "json", "yml", "yaml", "html", "css", "txt", "pem", "snap", "",
    ];
    let mut findings = Findings::new();
    for path in source::files(&kinds) {
        // What is not text has no lines.
        let Ok(text) = fs::read_to_string(crate::root().join(&path)) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = paths.iter().find(|found| line.contains(*found)) {
                findings.push(format!("{path}:{}: {found} is a place on one machine", index + 1));
            }
            if let Some(found) = hosts.iter().find(|found| line.contains(*found)) {
                findings.push(format!("{path}:{}: {found} is a registry's host", index + 1));
            }
        }
    }
    assert_clean(&findings);
}

#[test]
fn anchors_and_links_are_read_as_forges_do() {
    assert_eq!(anchor("## The life of a delivery"), "the-life-of-a-delivery");
    assert_eq!(anchor("# `POST /events`: what?"), "post-events-what");
    assert_eq!(links("see [a](b.md) and [c](../d.md#e)").collect::<Vec<_>>(), ["b.md", "../d.md#e"]);
    assert_eq!(plain(Path::new("docs/decisions/../concepts.md")), Path::new("docs/concepts.md"));
}
