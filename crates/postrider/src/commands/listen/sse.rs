//! Server-Sent Events, as a client reads them (WHATWG HTML §9.2.6).

use std::time::Duration;

/// Longest line that is read: an event has at most 256 KiB of data, each byte of it perhaps escaped.
const LINE_BYTES_MAX: usize = 4 << 20;

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Where to go on behind it.
    pub(super) id: Option<String>,
    /// Its lines of data.
    pub(super) data: String,
}

/// A line that is longer than any of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream has a line of more than 4 MiB")]
pub(super) struct LineTooLong;

/// Takes bytes, gives messages.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The line that is not complete yet; at most `LINE_BYTES_MAX`.
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    /// How long the server wants to be left alone before a reconnect.
    pub(super) retry: Option<Duration>,
}

impl Parser {
    /// Takes what came; all messages that are complete with it.
    ///
    /// # Errors
    /// Where a line has no end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, LineTooLong> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(LineTooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.take_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])));
            }
        }
        Ok(complete)
    }

    fn take_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.message.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry),
            // A comment, or a field that means nothing to us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, data: &str) -> Message {
        Message {
            id: Some(id.to_owned()),
            data: data.to_owned(),
        }
    }

    #[test]
    fn messages_come_however_the_bytes_are_cut() {
        let text = ": hello\n\nid: 1\ndata: {\"a\":1}\n\nevent: x\r\nid:2\r\ndata:é\r\ndata: b\r\n\r\nid: 3\n\n";
        let expected = vec![message("1", "{\"a\":1}"), message("2", "é\nb")];
        assert_eq!(Parser::default().push(text.as_bytes()).unwrap(), expected);
        let mut parser = Parser::default();
        let bytewise: Vec<Message> = text.bytes().flat_map(|byte| parser.push(&[byte]).unwrap()).collect();
        assert_eq!(bytewise, expected);
    }

    #[test]
    fn a_message_without_its_end_never_comes() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"id: 1\ndata: x\n").unwrap(), []);
        assert_eq!(parser.push(b"retry: 1500\n").unwrap(), []);
        assert_eq!(parser.retry, Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..8).find_map(|_| parser.push(&chunk).err());
        assert_eq!(refused, Some(LineTooLong));
    }
}
