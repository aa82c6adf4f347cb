//! JSON written again as other programs write it: white space, escapes, the order of keys, numbers. What a text held is kept byte for byte
//! where a style does not change it.

use std::fmt::Write as _;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 128;
/// The keys of an event, in their order on the wire.
pub(super) const EVENT_KEYS: [&str; 5] = ["id", "name", "resource", "data", "created_at"];
const RESOURCE_KEYS: [&str; 2] = ["id", "resource_type"];

/// A JSON value whose texts and numbers are as they were written.
#[derive(Debug)]
pub(super) enum Tree<'a> {
    Plain(&'a str),
    Text(&'a str),
    List(Vec<Self>),
    Object(Vec<(&'a str, Self)>),
}

/// White space between parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    None,
    AfterSigns,
    Indent(&'static str),
}

/// How texts are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    AsWritten,
    Fewest,
    Ascii,
    Slashes,
    AsciiAndSlashes,
    Html,
}

/// In which order keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    AsWritten,
    OfEvents,
    Sorted,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    AsWritten,
    AsDoubles,
}

/// A way to write JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) space: Space,
    pub(super) escapes: Escapes,
    pub(super) order: Order,
    pub(super) numbers: Numbers,
}

/// Takes JSON apart; `None` where it is none.
pub(super) fn parse(text: &str) -> Option<Tree<'_>> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut reader = Reader { rest: text };
    reader.value(DEPTH_MAX)
}

/// Reads what is known to be JSON.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(sign) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn value(&mut self, depth: usize) -> Option<Tree<'a>> {
        let depth = depth.checked_sub(1)?;
        if self.take('{') {
            return self.object(depth);
        }
        if self.take('[') {
            return self.list(depth);
        }
        if self.rest.starts_with('"') {
            return self.text().map(Tree::Text);
        }
        let is_end = |letter: char| letter.is_ascii_whitespace() || ",]}".contains(letter);
        let (plain, rest) = self.rest.split_at_checked(self.rest.find(is_end).unwrap_or(self.rest.len()))?;
        self.rest = rest;
        Some(Tree::Plain(plain))
    }

    fn object(&mut self, depth: usize) -> Option<Tree<'a>> {
        let mut entries = Vec::new();
        while !self.take('}') {
            self.take(',');
            self.rest = self.rest.trim_start();
            let key = self.text()?;
            self.take(':');
            entries.push((key, self.value(depth)?));
        }
        Some(Tree::Object(entries))
    }

    fn list(&mut self, depth: usize) -> Option<Tree<'a>> {
        let mut items = Vec::new();
        while !self.take(']') {
            self.take(',');
            items.push(self.value(depth)?);
        }
        Some(Tree::List(items))
    }

    /// What stands between two quotes.
    fn text(&mut self) -> Option<&'a str> {
        let inside = self.rest.strip_prefix('"')?;
        let mut is_escaped = false;
        let end = inside.bytes().position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        })?;
        self.rest = inside.get(end + 1..)?;
        inside.get(..end)
    }
}

impl Style {
    /// Writes it.
    pub(super) fn write(self, tree: &Tree<'_>) -> String {
        let mut out = String::new();
        self.value(tree, 0, &EVENT_KEYS, &mut out);
        out
    }

    fn value(self, tree: &Tree<'_>, level: usize, keys: &[&str], out: &mut String) {
        match tree {
            Tree::Plain(plain) => out.push_str(&self.plain(plain)),
            Tree::Text(text) => self.text(text, out),
            Tree::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.before(index, level + 1, out);
                    self.value(item, level + 1, &[], out);
                }
                self.end(items.is_empty(), level, ']', out);
            }
            Tree::Object(entries) => {
                out.push('{');
                for (index, (key, value)) in self.sorted(entries, keys).into_iter().enumerate() {
                    self.before(index, level + 1, out);
                    self.text(key, out);
                    out.push_str(if self.space == Space::None { ":" } else { ": " });
                    let keys: &[&str] = if level == 0 && key == "resource" { &RESOURCE_KEYS } else { &[] };
                    self.value(value, level + 1, keys, out);
                }
                self.end(entries.is_empty(), level, '}', out);
            }
        }
    }

    fn sorted<'t, 'a>(self, entries: &'t [(&'a str, Tree<'a>)], keys: &[&str]) -> Vec<(&'a str, &'t Tree<'a>)> {
        let mut sorted: Vec<_> = entries.iter().map(|(key, value)| (*key, value)).collect();
        match self.order {
            Order::AsWritten => {}
            Order::Sorted => sorted.sort_by_key(|(key, _)| *key),
            Order::OfEvents => sorted.sort_by_key(|(key, _)| keys.iter().position(|known| known == key).unwrap_or(usize::MAX)),
        }
        sorted
    }

    fn before(self, index: usize, level: usize, out: &mut String) {
        if index > 0 {
            out.push_str(if self.space == Space::AfterSigns { ", " } else { "," });
        }
        self.line(level, out);
    }

    fn end(self, is_empty: bool, level: usize, sign: char, out: &mut String) {
        if !is_empty {
            self.line(level, out);
        }
        out.push(sign);
    }

    fn line(self, level: usize, out: &mut String) {
        if let Space::Indent(indent) = self.space {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent, level));
        }
    }

    fn plain(self, plain: &str) -> String {
        let is_number = plain.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit());
        match plain.parse::<f64>() {
            Ok(number) if is_number && self.numbers == Numbers::AsDoubles => number.to_string(),
            _ => plain.to_owned(),
        }
    }

    fn text(self, written: &str, out: &mut String) {
        out.push('"');
        let meant = (self.escapes != Escapes::AsWritten).then(|| serde_json::from_str::<String>(&format!("\"{written}\"")));
        match meant {
            Some(Ok(meant)) => meant.chars().for_each(|letter| self.letter(letter, out)),
            // Half of a surrogate pair means nothing, and stays as it was.
            _ => out.push_str(written),
        }
        out.push('"');
    }

    fn letter(self, letter: char, out: &mut String) {
        let is_ascii_only = matches!(self.escapes, Escapes::Ascii | Escapes::AsciiAndSlashes);
        let escapes_slash = matches!(self.escapes, Escapes::Slashes | Escapes::AsciiAndSlashes);
        let is_html = self.escapes == Escapes::Html && matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if escapes_slash => out.push_str("\\/"),
            _ if letter < ' ' || is_html || is_ascii_only && !letter.is_ascii() => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style {
        space: Space::None,
        escapes: Escapes::AsWritten,
        order: Order::AsWritten,
        numbers: Numbers::AsWritten,
    };

    fn written(style: Style, text: &str) -> String {
        style.write(&parse(text).unwrap())
    }

    #[test]
    fn white_space_goes_and_all_else_stays() {
        let text = "{ \"a\" : [1.50, 1e400, \"\\u00e9\\\" , \\/\" ],\r\n\t\"b\": {}, \"c\": [ ] , \"a\": null }\n";
        assert_eq!(
            written(PLAIN, text),
            "{\"a\":[1.50,1e400,\"\\u00e9\\\" , \\/\"],\"b\":{},\"c\":[],\"a\":null}"
        );
    }

    #[test]
    fn white_space_comes_as_others_write_it() {
        let style = |space| Style { space, ..PLAIN };
        let text = "{\"a\":[1,2],\"b\":{}}";
        assert_eq!(written(style(Space::AfterSigns), text), "{\"a\": [1, 2], \"b\": {}}");
        assert_eq!(
            written(style(Space::Indent("  ")), text),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}"
        );
    }

    #[test]
    fn texts_are_escaped_as_others_do() {
        let style = |escapes| Style { escapes, ..PLAIN };
        let text = "\"\\u00e9 😀 <\\/>\"";
        assert_eq!(written(style(Escapes::Fewest), text), "\"é 😀 </>\"");
        assert_eq!(written(style(Escapes::Ascii), text), "\"\\u00e9 \\ud83d\\ude00 </>\"");
        assert_eq!(written(style(Escapes::Slashes), text), "\"é 😀 <\\/>\"");
        assert_eq!(written(style(Escapes::Html), text), "\"é 😀 \\u003c/\\u003e\"");
        assert_eq!(written(style(Escapes::Fewest), "\"\\ud83d\""), "\"\\ud83d\"");
    }

    #[test]
    fn keys_are_put_in_order() {
        let style = |order| Style { order, ..PLAIN };
        let text = r#"{"data":{"z":1,"a":2},"resource":{"resource_type":"r","id":"1"},"name":"n","id":"e"}"#;
        assert_eq!(
            written(style(Order::OfEvents), text),
            r#"{"id":"e","name":"n","resource":{"id":"1","resource_type":"r"},"data":{"z":1,"a":2}}"#
        );
        assert_eq!(
            written(style(Order::Sorted), text),
            r#"{"data":{"a":2,"z":1},"id":"e","name":"n","resource":{"id":"1","resource_type":"r"}}"#
        );
    }

    #[test]
    fn numbers_lose_what_doubles_do_not_hold() {
        let style = Style {
            numbers: Numbers::AsDoubles,
            ..PLAIN
        };
        assert_eq!(
            written(style, "[12.50,1.0,10000000000000001,\"1.0\",true]"),
            "[12.5,1,10000000000000000,\"1.0\",true]"
        );
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_left() {
        assert!(parse("{'a': 1}").is_none());
        assert!(parse("").is_none());
        assert!(parse(&"[".repeat(100_000)).is_none());
        assert!(parse(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000))).is_none());
    }
}
