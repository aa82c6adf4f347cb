//! Code blocks of the docs: each says its language, and what can be read by a machine is read.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{Findings, assert_clean, source};

/// What a block may be written in.
const LANGUAGES: [&str; 18] = [
    "csharp",
    "go",
    "http",
    "ini",
    "java",
    "javascript",
    "json",
    "nginx",
    "php",
    "python",
    "ruby",
    "rust",
    "sh",
    "sql",
    "text",
    "toml",
    "xml",
    "yaml",
];

/// A fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    /// The line of its fence, counted from 1.
    line: usize,
    language: &'a str,
    text: String,
}

/// The blocks of a page.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(Block<'_>, usize)> = None;
    for (index, line) in page.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block {
                    line: index + 1,
                    language: language.trim(),
                    text: String::new(),
                };
                open = Some((block, indent));
            }
            (Some(_), Some(_)) => found.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found.extend(open.map(|(block, _)| block));
    found
}

/// Why bash cannot read the text.
fn shell_fault(text: &str) -> Option<String> {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Why the block is not what it says.
fn fault(block: &Block<'_>) -> Option<String> {
    match block.language {
        "" => Some("the block says no language".to_owned()),
        "json" => serde_json::from_str::<serde_json::Value>(&block.text)
            .err()
            .map(|error| error.to_string()),
        "toml" => toml::from_str::<toml::Table>(&block.text).err().map(|error| error.to_string()),
        "sh" => shell_fault(&block.text),
        other => (!LANGUAGES.contains(&other)).then(|| format!("no language of ours: {other}")),
    }
}

#[test]
fn code_blocks_are_what_they_say() {
    let mut findings = Findings::new();
    for path in source::files(&["md"]) {
        let page = fs::read_to_string(crate::root().join(&path)).unwrap();
        for block in blocks(&page) {
            findings.extend(fault(&block).map(|reason| format!("{path}:{}: {reason}", block.line)));
        }
    }
    assert_clean(&findings);
}

#[test]
fn blocks_are_found_with_their_language_and_line() {
    let page = "a\n```sh\nls\n```\n- b\n  ```json\n  {}\n  ```\n";
    let found = blocks(page);
    let seen: Vec<_> = found
        .iter()
        .map(|block| (block.line, block.language, block.text.as_str()))
        .collect();
    assert_eq!(seen, [(2, "sh", "ls\n"), (6, "json", "{}\n")]);
}

#[test]
fn a_broken_block_is_found() {
    let block = |language, text: &str| Block {
        line: 1,
        language,
        text: text.to_owned(),
    };
    assert!(fault(&block("json", "{\"a\": }")).is_some());
    assert!(fault(&block("toml", "a = ")).is_some());
    assert!(fault(&block("sh", "if true; then")).is_some());
    assert!(fault(&block("", "x")).is_some());
    assert!(fault(&block("cobol", "x")).is_some());
    assert_eq!(fault(&block("sh", "ls | wc -l")), None);
}
