//! As much of HTTP/1.1 as client and receiver of the tests need, on blocking sockets.

use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;

/// A request or a response.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) start: String,
    /// Names as they came, and values.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// A header; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// One word of the first line.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }
}

/// Reads one message; `None` where the peer closed before it began.
pub(crate) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut start = String::new();
    if stream.read_line(&mut start)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let head = Head {
        start: start.trim_end().to_owned(),
        headers,
    };
    let mut body = vec![0; head.get("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Some((head, body)))
}
