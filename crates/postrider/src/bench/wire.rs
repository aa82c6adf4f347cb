//! As much of HTTP/1.1 as the bench needs: heads that well-behaved peers write, read without making anything of them.
//! The machine that is measured also runs this, so a request costs it a scan of its head and no memory.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that a connection can hold of what it reads. A batch's answer may be longer, and is then read past it.
const INBOX_BYTES: usize = 32 * 1024;
/// Longest head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a peer was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection ended or broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It does not speak as the bench expects.
    #[error("{0}")]
    Strange(&'static str),
}

/// What was read of a connection and not used yet.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

/// Where a message ends: its head, and its body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of the head, with its empty line.
    pub(crate) head: usize,
    /// Bytes of head and body.
    pub(crate) whole: usize,
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(INBOX_BYTES),
        }
    }

    /// Reads until a whole message is there; `None` where the peer closed before one began.
    ///
    /// # Errors
    /// `WireError` where it closed within one, broke, or wrote something strange.
    pub(crate) async fn next<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<Option<Frame>, WireError> {
        let mut head = None;
        loop {
            if head.is_none() {
                head = head_end(&self.bytes).map(|end| (end, content_length(self.bytes.get(..end).unwrap_or_default())));
            }
            if let Some((end, length)) = head {
                let whole = end + length.ok_or(WireError::Strange("a message without Content-Length"))?;
                if whole > MESSAGE_BYTES_MAX {
                    return Err(WireError::Strange("a message longer than 64 MiB"));
                }
                if self.bytes.len() >= whole {
                    return Ok(Some(Frame { head: end, whole }));
                }
                self.bytes.reserve(whole - self.bytes.len());
            } else if self.bytes.len() > HEAD_BYTES_MAX {
                return Err(WireError::Strange("a head longer than 16 KiB"));
            }
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(WireError::Strange("the connection ended within a message"))
                };
            }
        }
    }

    /// The head of a message that `next` found.
    pub(crate) fn head(&self, frame: Frame) -> &[u8] {
        self.bytes.get(..frame.head).unwrap_or_default()
    }

    /// The body of a message that `next` found.
    pub(crate) fn body(&self, frame: Frame) -> &[u8] {
        self.bytes.get(frame.head..frame.whole).unwrap_or_default()
    }

    /// Forgets a message that `next` found.
    pub(crate) fn pass(&mut self, frame: Frame) {
        if self.bytes.len() == frame.whole {
            self.bytes.clear();
        } else {
            self.bytes.drain(..frame.whole.min(self.bytes.len()));
        }
    }
}

/// Behind the empty line that ends a head.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_at_checked(NAME.len()))
        .find(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.trim().parse().ok())
}

/// The status of a response's head; 0 where it has none.
pub(crate) fn status(head: &[u8]) -> u16 {
    let digits = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut inbox = Inbox::new();
        let mut found = Vec::new();
        while let Ok(Some(frame)) = inbox.next(&mut bytes).await {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            found.push((text(inbox.head(frame)), text(inbox.body(frame))));
            inbox.pass(frame);
        }
        found
    }

    #[tokio::test]
    async fn messages_behind_each_other_are_parted() {
        let found = frames(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /x HTTP/1.1\r\ncontent-length:0\r\n\r\n").await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].1, "abc");
        assert_eq!(found[1].0, "POST /x HTTP/1.1\r\ncontent-length:0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_message_without_a_length_is_strange() {
        let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        assert!(matches!(Inbox::new().next(&mut bytes).await, Err(WireError::Strange(_))));
    }

    #[tokio::test]
    async fn a_message_cut_short_is_an_error_and_an_end_between_two_is_none() {
        let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort";
        assert!(matches!(Inbox::new().next(&mut bytes).await, Err(WireError::Strange(_))));
        let mut nothing: &[u8] = b"";
        assert_eq!(Inbox::new().next(&mut nothing).await.unwrap(), None);
    }

    #[test]
    fn the_status_is_read_from_its_place() {
        assert_eq!(status(b"HTTP/1.1 201 Created\r\n"), 201);
        assert_eq!(status(b"junk"), 0);
    }
}
