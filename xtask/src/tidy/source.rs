//! The Rust files of the repository, each line taken apart into code, text and comment.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What part of a crate a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `src/`
    Src,
    /// `tests/` or `benches/`
    Tests,
}

/// One Rust file. All lists have one entry for each line.
pub(super) struct Source {
    /// From the root of the repository.
    pub(super) path: String,
    /// The folder's name: `model`, `xtask`.
    pub(super) krate: String,
    /// Of which part it is.
    pub(super) place: Place,
    /// Lines without comments, and without what stands in quotes.
    pub(super) code: Vec<String>,
    /// What stands in quotes.
    pub(super) strings: Vec<String>,
    /// Comments, with their slashes.
    pub(super) comments: Vec<String>,
    /// Whether the line is test code: of `tests/`, or below `#[cfg(test)]`.
    pub(super) is_test: Vec<bool>,
}

impl Source {
    /// `file:line: reason`.
    pub(super) fn finding(&self, index: usize, reason: &str) -> String {
        format!("{}:{}: {reason}", self.path, index + 1)
    }

    fn read(path: String, text: &str) -> Self {
        let mut parts = path.split('/');
        let (top, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let krate = if top == "crates" { second } else { top }.to_owned();
        let in_tests = path.contains("/tests/") || path.contains("/benches/");
        let place = if in_tests { Place::Tests } else { Place::Src };
        let [code, strings, comments] = take_apart(text);
        let is_test = tested_lines(&code, place);
        Self {
            path,
            krate,
            place,
            code,
            strings,
            comments,
            is_test,
        }
    }
}

/// All Rust files, read once.
pub(super) fn all() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| {
        let read = |path: String| {
            let text = fs::read_to_string(crate::root().join(&path)).unwrap();
            Source::read(path, &text)
        };
        files(&["rs"]).into_iter().map(read).collect()
    })
}

/// Files of the repository with one of these extensions (`""`: none), sorted, from its root; not what is built or fetched.
pub(super) fn files(extensions: &[&str]) -> Vec<String> {
    let root = crate::root();
    let mut found = Vec::new();
    collect(&root, &mut found);
    let mut paths: Vec<String> = found
        .into_iter()
        .filter(|path| extensions.contains(&path.extension().map_or("", |extension| extension.to_str().unwrap())))
        .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    // A file that goes while we look was not part of the tree.
    for entry in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_str().unwrap();
        // In a worktree `.git` is a file.
        if entry.path().is_dir() {
            if !matches!(name, "target" | ".git" | "node_modules" | "proptest-regressions") {
                collect(&entry.path(), found);
            }
        } else if entry.path().is_file() && name != ".git" {
            found.push(entry.path());
        }
    }
}

/// Lines below `#[cfg(test)]`, to the end of what it stands on.
fn tested_lines(code: &[String], place: Place) -> Vec<bool> {
    let mut tested = vec![place == Place::Tests; code.len()];
    for start in (0..code.len()).filter(|index| code[*index].contains("#[cfg(test)]")) {
        let mut depth = 0i32;
        for (offset, line) in code[start..].iter().enumerate() {
            tested[start + offset] = true;
            depth += i32::try_from(line.matches('{').count()).unwrap() - i32::try_from(line.matches('}').count()).unwrap();
            if offset > 0 && depth <= 0 && (line.contains('}') || line.contains(';')) {
                break;
            }
        }
    }
    tested
}

/// Where the reader stands.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Code,
    /// A string; a raw one ends with so many hashes and knows no escapes.
    Text(Option<usize>),
    Line,
    /// A block comment, so deep.
    Block(u32),
}

/// Code, strings and comments of a text; where one stands the other two have spaces.
fn take_apart(text: &str) -> [Vec<String>; 3] {
    let letters: Vec<char> = text.chars().collect();
    let mut out = [String::new(), String::new(), String::new()];
    let mut state = In::Code;
    let mut index = 0;
    while index < letters.len() {
        let (kind, length, next) = step(&letters[index..], state, index.checked_sub(1).map(|before| letters[before]));
        for letter in &letters[index..(index + length).min(letters.len())] {
            for (place, stream) in out.iter_mut().enumerate() {
                stream.push(if *letter == '\n' || place == kind { *letter } else { ' ' });
            }
        }
        index += length;
        state = next;
    }
    out.map(|stream| stream.lines().map(|line| line.trim_end().to_owned()).collect())
}

/// What the next letters are (0 code, 1 text, 2 comment), how many of them, and where the reader stands behind them.
fn step(rest: &[char], state: In, before: Option<char>) -> (usize, usize, In) {
    let at = |offset: usize| rest.get(offset).copied().unwrap_or('\0');
    match state {
        In::Line if at(0) == '\n' => (0, 1, In::Code),
        In::Line => (2, 1, state),
        In::Block(depth) => match (at(0), at(1)) {
            ('*', '/') if depth == 1 => (2, 2, In::Code),
            ('*', '/') => (2, 2, In::Block(depth - 1)),
            ('/', '*') => (2, 2, In::Block(depth + 1)),
            _ => (2, 1, state),
        },
        In::Text(None) if at(0) == '\\' => (1, 2, state),
        In::Text(None) if at(0) == '"' => (0, 1, In::Code),
        In::Text(Some(hashes)) if at(0) == '"' && (1..=hashes).all(|offset| at(offset) == '#') => (0, 1 + hashes, In::Code),
        In::Text(_) => (1, 1, state),
        In::Code => step_in_code(rest, before),
    }
}

fn step_in_code(rest: &[char], before: Option<char>) -> (usize, usize, In) {
    let at = |offset: usize| rest.get(offset).copied().unwrap_or('\0');
    let starts_word = !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    match at(0) {
        '/' if at(1) == '/' => (2, 2, In::Line),
        '/' if at(1) == '*' => (2, 2, In::Block(1)),
        '"' => (0, 1, In::Text(None)),
        'r' if starts_word || before == Some('b') => {
            let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
            if at(1 + hashes) == '"' {
                (0, 2 + hashes, In::Text(Some(hashes)))
            } else {
                (0, 1, In::Code)
            }
        }
        // A letter in quotes, and not a lifetime.
        '\'' if at(1) == '\\' => {
            let length = rest.iter().skip(3).position(|letter| *letter == '\'').map_or(1, |place| place + 4);
            (1, length, In::Code)
        }
        '\'' if at(2) == '\'' => (1, 3, In::Code),
        _ => (0, 1, In::Code),
    }
}

#[test]
fn code_strings_and_comments_are_told_apart() {
    let text = r###"let a = "x // no"; // yes "quoted"
let b = r#"SELECT "1""#; /* two
lines /* deep */ still */ let c = '"';
fn f<'a>(x: &'a str) -> char { '\'' } // end
"###;
    let [code, strings, comments] = take_apart(text);
    assert_eq!(code[0], "let a = \"       \";");
    assert_eq!(strings[0].trim(), "x // no");
    assert_eq!(comments[0].trim(), "// yes \"quoted\"");
    assert_eq!(strings[1].trim(), "SELECT \"1\"");
    assert_eq!(code[2].trim(), "let c =    ;");
    assert_eq!(comments[2].trim(), "lines /* deep */ still */");
    assert_eq!(code[3], "fn f<'a>(x: &'a str) -> char {      }");
    assert_eq!(comments[3].trim(), "// end");
}

#[test]
fn what_is_below_cfg_test_is_test_code() {
    let lines = ["fn a() {}", "#[cfg(test)]", "mod tests {", "    fn b() {}", "}", "fn c() {}"].map(str::to_owned);
    assert_eq!(tested_lines(&lines, Place::Src), [false, true, true, true, true, false]);
    let lines = ["#[cfg(test)]", "mod tidy;", "fn c() {}"].map(str::to_owned);
    assert_eq!(tested_lines(&lines, Place::Src), [true, true, false]);
}
