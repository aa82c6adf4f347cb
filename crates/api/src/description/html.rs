//! Pages in HTML: one file that needs nothing else, and no script.

use std::fmt::Write as _;

use super::blocks::Block;

/// What `/docs` may load: nothing; its style is in it.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("style.css");

/// The whole page, with a table of contents of the headings of levels 2 and 3.
pub(crate) fn render(title: &str, blocks: &[Block]) -> String {
    let mut contents = String::new();
    let mut body = String::new();
    for block in blocks {
        push(&mut body, block);
        if let Block::Heading {
            level: level @ (2 | 3),
            anchor,
            text,
        } = block
        {
            let text = inline(text);
            contents.push_str(&format!(
                "<li class=\"level{level}\"><a href=\"#{}\">{text}</a></li>\n",
                escape(anchor)
            ));
        }
    }
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<nav aria-label=\"Contents\">\n<ul>\n{contents}</ul>\n</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn push(out: &mut String, block: &Block) {
    let written = match block {
        Block::Heading { level, anchor, text } => writeln!(out, "<h{level} id=\"{}\">{}</h{level}>", escape(anchor), inline(text)),
        Block::Text(text) => writeln!(out, "<p>{}</p>", inline(text)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
            writeln!(out, "<ul>\n{items}</ul>")
        }
        Block::Code(_, code) => writeln!(out, "<pre><code>{}</code></pre>", escape(code)),
        Block::Table(heads, rows) => {
            let heads: String = heads
                .iter()
                .map(|head| format!("<th scope=\"col\">{}</th>", inline(head)))
                .collect();
            let rows: String = rows.iter().map(|cells| row(cells)).collect();
            writeln!(
                out,
                "<div class=\"table\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>"
            )
        }
    };
    // Writing into a String cannot fail.
    written.ok();
}

fn row(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", inline(cell))).collect();
    format!("<tr>{cells}</tr>\n")
}

/// Text as HTML shows it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// A text with its `code`, **strong** words and links.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            out.push_str(&format!("<code>{}</code>", escape(part)));
            continue;
        }
        for (index, part) in part.split("**").enumerate() {
            let part = escape(part);
            out.push_str(&if index % 2 == 1 { format!("<strong>{part}</strong>") } else { part });
        }
    }
    linked(&out)
}

/// `[text](#anchor)` as a link; the text is HTML already.
fn linked(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once("](#") {
        let (Some((lead, text)), Some((anchor, behind))) = (before.rsplit_once('['), after.split_once(')')) else {
            break;
        };
        out.push_str(&format!("{lead}<a href=\"#{anchor}\">{text}</a>"));
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_never_taken_for_html() {
        let shown = inline("<script>alert('1')</script> & `<b>\"` **<i>**");
        assert_eq!(
            shown,
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; <code>&lt;b&gt;&quot;</code> <strong>&lt;i&gt;</strong>"
        );
        let code = Block::Code("json", "</code><script>".to_owned());
        assert!(!render("<t>", &[code]).contains("<script>"));
    }

    #[test]
    fn links_lead_to_anchors_of_the_page() {
        assert_eq!(
            inline("see [`a`](#error-a), [b](#b)"),
            "see <a href=\"#error-a\"><code>a</code></a>, <a href=\"#b\">b</a>"
        );
        assert_eq!(inline("a list[] of (#1)"), "a list[] of (#1)");
    }

    #[test]
    fn the_contents_name_every_chapter() {
        let page = render(
            "T",
            &[
                Block::heading(1, "t", "T"),
                Block::heading(2, "a", "A"),
                Block::heading(4, "b", "B"),
            ],
        );
        assert!(page.contains("<a href=\"#a\">A</a>") && !page.contains("href=\"#b\""), "{page}");
    }
}
