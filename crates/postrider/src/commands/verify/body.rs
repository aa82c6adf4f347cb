//! The bodies that may have been signed in place of the one that was given: what befalls a body on its way, and what code makes of it
//! before it signs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::finding::Finding;
use super::rewrite::{self, Escapes, Numbers, Order, Space, Style};

/// Bodies over this are not written in every style: it would take too long.
const STYLED_BYTES_MAX: usize = 1 << 20;
/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
const AS_IT_CAME: &str = "verify the bytes as they came, before anything reads, trims or converts them";
const RAW: &str = "something reads the body as JSON and writes it again: take the raw bytes, before any parser of the framework has them";

/// A body that may have been signed.
pub(super) struct Variant {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// How it departs from the body given; `None` for that one.
    pub(super) departure: Option<Finding>,
}

impl Variant {
    fn new(code: &'static str, detail: &str, advice: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            departure: Some(Finding::wrong(code, detail, advice)),
        }
    }
}

/// All of them, the given one first and likelier ones before others; each once.
pub(super) fn variants(body: &[u8]) -> Vec<Variant> {
    let mut all = vec![Variant {
        bytes: body.to_vec(),
        departure: None,
    }];
    all.extend(ends_and_lines(body));
    all.extend(encodings(body));
    all.extend(printed(body));
    if let Some(text) = std::str::from_utf8(body).ok().filter(|text| text.len() <= STYLED_BYTES_MAX) {
        styled(text.strip_prefix('\u{feff}').unwrap_or(text), &mut all);
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|variant| seen.insert(variant.bytes.clone()));
    all
}

fn ends_and_lines(body: &[u8]) -> Vec<Variant> {
    let with = |end: &[u8]| [body, end].concat();
    let mut all = Vec::new();
    if let Some(rest) = body.strip_suffix(b"\n") {
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        all.push(Variant::new(
            "body_line_break_added",
            "the body that was signed has no line break at its end, the one given has",
            "an editor, `echo` or a log has added it: keep the bytes as they came (`printf %s` adds none)",
            rest,
        ));
    }
    all.push(Variant::new(
        "body_line_break_removed",
        "the body that was signed ends with a line break, the one given does not",
        AS_IT_CAME,
        with(b"\n"),
    ));
    all.push(Variant::new(
        "body_line_break_removed",
        "the body that was signed ends with a line break (CR LF), the one given does not",
        AS_IT_CAME,
        with(b"\r\n"),
    ));
    let text = String::from_utf8_lossy(body);
    let has_text = matches!(text, std::borrow::Cow::Borrowed(_));
    if has_text {
        let lf = text.replace("\r\n", "\n");
        let crlf = lf.replace('\n', "\r\n");
        all.push(Variant::new(
            "body_line_ends",
            "the body that was signed has lines that end with LF, in the one given they end with CR LF",
            AS_IT_CAME,
            lf,
        ));
        all.push(Variant::new(
            "body_line_ends",
            "the body that was signed has lines that end with CR LF, in the one given they end with LF",
            AS_IT_CAME,
            crlf,
        ));
        all.push(Variant::new(
            "body_white_space",
            "the body that was signed has no white space around it, the one given has",
            AS_IT_CAME,
            text.trim(),
        ));
    }
    let (bom_detail, bom) = match body.strip_prefix(BOM) {
        Some(rest) => (
            "the body given begins with a byte order mark, the one that was signed does not",
            rest.to_vec(),
        ),
        None => (
            "the body that was signed begins with a byte order mark, the one given does not",
            [BOM, body].concat(),
        ),
    };
    all.push(Variant::new("body_byte_order_mark", bom_detail, AS_IT_CAME, bom));
    all
}

/// Bodies that were packed or decoded on their way.
fn encodings(body: &[u8]) -> Vec<Variant> {
    let mut all = Vec::new();
    if let Ok(plain) = STANDARD.decode(body.trim_ascii()) {
        all.push(Variant::new(
            "body_base64",
            "the body given is base64 of the one that was signed",
            "a gateway has packed it (it says so beside, as isBase64Encoded does): decode it first",
            plain,
        ));
    }
    all.push(Variant::new(
        "body_base64",
        "base64 of the body was signed in place of the body",
        AS_IT_CAME,
        STANDARD.encode(body),
    ));
    let Ok(text) = std::str::from_utf8(body) else {
        let latin: String = body.iter().map(|byte| char::from(*byte)).collect();
        all.push(Variant::new(
            "body_charset",
            "the body given is in Latin-1, the one that was signed in UTF-8",
            AS_IT_CAME,
            latin,
        ));
        return all;
    };
    if let Some(bytes) = text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<u8>>>() {
        all.push(Variant::new(
            "body_charset",
            "the body that was signed was taken for Latin-1 and written again as UTF-8",
            "it is UTF-8 whatever the framework takes for its default",
            bytes,
        ));
    }
    if let Ok(inner) = serde_json::from_str::<String>(text) {
        all.push(Variant::new(
            "body_in_a_text",
            "the body given is a JSON text that holds the one that was signed",
            "something has written the raw body as JSON once more: take what is inside",
            inner,
        ));
    }
    let form = text.replace('+', " ");
    let decoded: Vec<u8> = percent_decoded(form.as_bytes());
    all.push(Variant::new(
        "body_percent_encoded",
        "the body given is percent-encoded, as in a form",
        "something took it for a form: take the raw bytes",
        decoded,
    ));
    all
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    out
}

/// What code signs that puts something else than the raw body into a text.
fn printed(body: &[u8]) -> Vec<Variant> {
    let stands = |what: &'static str, why: &str| {
        Variant::new(
            "body_not_raw",
            &format!("{what} was signed in place of the body: {why}"),
            "keep the raw body: have the framework hand out the bytes before it parses them",
            what.as_bytes(),
        )
    };
    let mut all = vec![
        Variant::new(
            "body_empty",
            "an empty body was signed in place of the one given",
            "something has read the body before: a stream is empty the second time. Keep the bytes when they are read first",
            Vec::new(),
        ),
        stands(
            "[object Object]",
            "the body was parsed already, and JavaScript puts objects into a text like this",
        ),
        stands("undefined", "the body was not there: no parser of the framework took it"),
        stands("null", "the body was not there"),
        stands("None", "the body was not there"),
        stands("{}", "the framework hands out an empty object where it has not read the body"),
    ];
    all.push(Variant::new(
        "body_not_raw",
        "b'…' was signed in place of the body: Python puts bytes into a text like this",
        "decode the body (body.decode()) before it goes into a text, or join bytes with bytes",
        python_repr(body),
    ));
    all
}

/// As Python's `repr` writes bytes that hold a double quote.
fn python_repr(body: &[u8]) -> String {
    let mut out = String::from("b'");
    for byte in body {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\'' => out.push_str("\\'"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('\'');
    out
}

/// The same JSON, written in other styles: few changes before many.
fn styled(text: &str, all: &mut Vec<Variant>) {
    let Some(tree) = rewrite::parse(text) else {
        return;
    };
    let mut styles: Vec<(usize, Style)> = Vec::new();
    for space in [
        Space::None,
        Space::AfterSigns,
        Space::Indent("  "),
        Space::Indent("    "),
        Space::Indent("\t"),
    ] {
        for escapes in [
            Escapes::AsWritten,
            Escapes::Fewest,
            Escapes::Ascii,
            Escapes::Slashes,
            Escapes::AsciiAndSlashes,
            Escapes::Html,
        ] {
            for order in [Order::AsWritten, Order::OfEvents, Order::Sorted] {
                for numbers in [Numbers::AsWritten, Numbers::AsDoubles] {
                    let changes = usize::from(escapes != Escapes::AsWritten)
                        + usize::from(order != Order::AsWritten)
                        + usize::from(numbers != Numbers::AsWritten);
                    styles.push((
                        changes,
                        Style {
                            space,
                            escapes,
                            order,
                            numbers,
                        },
                    ));
                }
            }
        }
    }
    styles.sort_by_key(|(changes, _)| *changes);
    for (_, style) in styles {
        let written = style.write(&tree);
        let is_spaced_so = Style {
            escapes: Escapes::AsWritten,
            order: Order::AsWritten,
            numbers: Numbers::AsWritten,
            ..style
        }
        .write(&tree)
            == text;
        let detail = format!(
            "the signature was made over the same JSON, written differently: {}",
            words(style, is_spaced_so)
        );
        all.push(Variant::new("body_rewritten", &detail, RAW, written));
    }
}

/// What a style does, as far as the text given is not so already.
fn words(style: Style, is_spaced_so: bool) -> String {
    let space = match style.space {
        _ if is_spaced_so => None,
        Space::None => Some("without white space between its parts"),
        Space::AfterSigns => Some("with a space behind each comma and colon"),
        Space::Indent("  ") => Some("pretty-printed, indented by two spaces"),
        Space::Indent("\t") => Some("pretty-printed, indented by tabs"),
        Space::Indent(_) => Some("pretty-printed, indented by four spaces"),
    };
    let escapes = match style.escapes {
        Escapes::AsWritten => None,
        Escapes::Fewest => Some("with letters as they are instead of escapes such as \\u00e9 or \\/"),
        Escapes::Ascii => Some("with letters beyond ASCII escaped as \\u…"),
        Escapes::Slashes => Some("with / escaped as \\/"),
        Escapes::AsciiAndSlashes => Some("with letters beyond ASCII escaped as \\u… and / as \\/"),
        Escapes::Html => Some("with <, > and & escaped as \\u…"),
    };
    let order = match style.order {
        Order::AsWritten => None,
        Order::OfEvents => Some("with the keys in the order of an event: id, name, resource, data, created_at"),
        Order::Sorted => Some("with the keys sorted"),
    };
    let numbers = (style.numbers == Numbers::AsDoubles).then_some("with numbers as floating point keeps them (12.50 as 12.5)");
    let said: Vec<&str> = [space, escapes, order, numbers].into_iter().flatten().collect();
    said.join(", ")
}
