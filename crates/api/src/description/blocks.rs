//! A page as a list of blocks, which HTML and Markdown render each in their own way. Texts may hold `code`, **strong** words and links
//! as Markdown writes them, nothing else.

/// One block of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading; its level is 1 for the page's own. `anchor` is what links in HTML name.
    Heading { level: usize, anchor: String, text: String },
    /// A paragraph.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// A table: the heads of its columns and its rows.
    Table(&'static [&'static str], Vec<Vec<String>>),
    /// Code in a language.
    Code(&'static str, String),
}

impl Block {
    pub(crate) fn heading(level: usize, anchor: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Heading {
            level,
            anchor: anchor.into(),
            text: text.into(),
        }
    }

    /// Markdown as it is in our own files: paragraphs and lists.
    pub(crate) fn read(markdown: &str) -> Vec<Self> {
        let parts = markdown.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
        parts.map(Self::read_one).collect()
    }

    fn read_one(part: &str) -> Self {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        match part.strip_prefix("- ") {
            Some(list) => Self::List(list.split("\n- ").map(one_line).collect()),
            None => Self::Text(one_line(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Block;

    #[test]
    fn paragraphs_and_lists_are_read_without_their_line_breaks() {
        let read = Block::read("One\ntwo.\n\n- a\n  b\n- c\n");
        let list = vec!["a b".to_owned(), "c".to_owned()];
        assert_eq!(read, [Block::Text("One two.".to_owned()), Block::List(list)]);
    }
}
