//! Which urls may be registered, and what of a url a delivery needs.
//!
//! https, and a name that anybody can look up: never an address, in any spelling. A url is told by RFC 3986 and its host by
//! UTS #46 (IDNA), as browsers do it; where a spelling could be read in two ways it is refused.
//! What a name resolves to is judged later, by [`crate::address`].

mod host;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use self::host::Host;
pub use self::host::{HOST_BYTES_MAX, LABEL_BYTES_MAX};

/// Longest url, in characters as given.
pub const URL_CHARS_MAX: usize = 2_048;

/// What may be registered beyond the default.
#[derive(Clone, Debug, Default)]
pub struct UrlPolicy {
    /// Lifts the rules of scheme, IP and name (`--dev`); how a url is spelled is still checked.
    pub dev: bool,
    /// Names that are allowed although special or without a dot (`--allow-host-suffix`), in ASCII:
    /// `.internal` stands for `internal` and all below it. Never lifts https or no-IP.
    pub host_suffixes: Vec<String>,
}

/// Why a url may not be registered: one variant for each rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// More than [`URL_CHARS_MAX`] characters.
    #[error("a url has at most 2,048 characters")]
    TooLong,
    /// White space of any script, also at either end, tab and line break included.
    #[error("a url holds no white space")]
    Whitespace,
    /// A backslash, which some readers take for a slash.
    #[error("a url holds no backslash")]
    Backslash,
    /// A control character.
    #[error("a url holds no control character")]
    ControlCharacter,
    /// Any other scheme than https, or none.
    #[error("the url must begin with https://")]
    NotHttps,
    /// Neither http nor https, where http is allowed.
    #[error("the url must begin with https:// or http://")]
    NotHttp,
    /// A `#`, with or without text behind it: a fragment is never sent.
    #[error("the url must not have a fragment (#)")]
    Fragment,
    /// An `@` before the path, with or without a name before it.
    #[error("the url must not have a user name or password (@)")]
    Userinfo,
    /// Nothing where the host should be.
    #[error("the url has no host")]
    NoHost,
    /// A port that is empty, no number, 0 or above 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// An IP address in any spelling, or a name that ends in a number and so would be read as one.
    #[error("the host must be a name, not an IP address in any spelling")]
    IsIp,
    /// An IP address in a spelling that not every reader understands the same, where IPs are allowed.
    #[error("an IP address must be spelled like 127.0.0.1 or [::1]")]
    IpSpelling,
    /// A `%` in the host.
    #[error("the host must not be percent-encoded")]
    PercentInHost,
    /// A host that UTS #46 refuses.
    #[error("the host is not a valid internationalized name (IDNA)")]
    Idna,
    /// A host that ends with a dot.
    #[error("the host must not end with a dot")]
    TrailingDot,
    /// A host that begins with a dot, or has two in a row.
    #[error("the host has an empty part between its dots")]
    EmptyLabel,
    /// A part of the host above [`LABEL_BYTES_MAX`].
    #[error("a part of the host between two dots has at most 63 characters")]
    LabelTooLong,
    /// A part of the host that begins or ends with a hyphen (RFC 952).
    #[error("a part of the host must not begin or end with a hyphen")]
    LabelHyphen,
    /// A host above [`HOST_BYTES_MAX`].
    #[error("the host has at most 253 characters")]
    HostTooLong,
    /// Anything but letters, digits, hyphen and underscore in the host.
    #[error("the host holds a character that no host name has")]
    HostCharacter,
    /// A name that only a closed network can have, such as `localhost` or one below `.internal`.
    #[error("the host is a special-use name that no public server has")]
    SpecialUseName,
    /// A host of one part.
    #[error("the host must have a dot")]
    NoDot,
}

impl UrlError {
    /// A stable name of the rule, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "url_too_long",
            Self::Whitespace => "url_whitespace",
            Self::Backslash => "url_backslash",
            Self::ControlCharacter => "url_control_character",
            Self::NotHttps => "url_not_https",
            Self::NotHttp => "url_not_http",
            Self::Fragment => "url_fragment",
            Self::Userinfo => "url_userinfo",
            Self::NoHost => "url_no_host",
            Self::Port => "url_port",
            Self::IsIp => "url_is_ip",
            Self::IpSpelling => "url_ip_spelling",
            Self::PercentInHost => "url_percent_in_host",
            Self::Idna => "url_idna",
            Self::TrailingDot => "url_trailing_dot",
            Self::EmptyLabel => "url_empty_label",
            Self::LabelTooLong => "url_label_too_long",
            Self::LabelHyphen => "url_label_hyphen",
            Self::HostTooLong => "url_host_too_long",
            Self::HostCharacter => "url_host_character",
            Self::SpecialUseName => "url_special_use_name",
            Self::NoDot => "url_no_dot",
        }
    }
}

/// A url that was allowed when it was registered. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    text: Arc<str>,
    https: bool,
    host: Host,
    port: u16,
    authority: Box<str>,
    path_and_query: Box<str>,
}

impl WebhookUrl {
    /// Reads a url that somebody wants to register.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        check_characters(text)?;
        let (https, rest) = split_scheme(text, policy)?;
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, tail) = split_before(rest, rest.find(['/', '?']));
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let (host, port) = split_port(authority);
        let host = Host::parse(host, policy)?;
        let default_port = if https { 443 } else { 80 };
        let port = port.map_or(Ok(default_port), parse_port)?;
        let shown_port = (port != default_port).then_some(port);
        Ok(Self(Arc::new(Parts {
            text: text.into(),
            https,
            authority: host.authority(shown_port).into(),
            host,
            port,
            path_and_query: encode_path_and_query(tail).into(),
        })))
    }

    /// Reads a url that the store holds. It was judged when it was registered, and a policy that
    /// changed since does not disable it: only its spelling is checked.
    ///
    /// # Errors
    /// The first rule of spelling that it breaks: then the store is damaged.
    pub fn from_stored(text: &str) -> Result<Self, UrlError> {
        Self::parse(
            text,
            &UrlPolicy {
                dev: true,
                host_suffixes: Vec::new(),
            },
        )
    }

    /// The url as it was given.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The same, for whoever keeps it: attempts show the url that they went to.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0.text)
    }

    /// Whether it is sent over TLS: always, but for `--dev`.
    pub fn is_https(&self) -> bool {
        self.0.https
    }

    /// The host in ASCII (punycode) and lower case; an IP address, with `--dev`, without brackets.
    pub fn host(&self) -> &str {
        self.0.host.as_str()
    }

    /// The host, where it is an IP address: only with `--dev`.
    pub fn host_ip(&self) -> Option<IpAddr> {
        self.0.host.ip()
    }

    /// The port, that of the scheme if none was given.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// What goes into the request line: at least `/`, with what RFC 3986 does not allow in a url
    /// percent-encoded, and all else (dots and percents too) as it was given.
    pub fn path_and_query(&self) -> &str {
        &self.0.path_and_query
    }

    /// What goes into the `Host` header (RFC 9110 §7.2): the port is left out if it is the scheme's.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

fn check_characters(text: &str) -> Result<(), UrlError> {
    if text.chars().nth(URL_CHARS_MAX).is_some() {
        return Err(UrlError::TooLong);
    }
    text.chars().try_for_each(|letter| match letter {
        // First, since a tab and a line break are control characters too.
        _ if letter.is_whitespace() => Err(UrlError::Whitespace),
        _ if letter.is_control() => Err(UrlError::ControlCharacter),
        '\\' => Err(UrlError::Backslash),
        _ => Ok(()),
    })
}

/// Whether it is https, and what stands behind the `//`.
fn split_scheme<'a>(text: &'a str, policy: &UrlPolicy) -> Result<(bool, &'a str), UrlError> {
    if let Some(rest) = strip_prefix_ignoring_case(text, "https://") {
        return Ok((true, rest));
    }
    if !policy.dev {
        return Err(UrlError::NotHttps);
    }
    let rest = strip_prefix_ignoring_case(text, "http://").ok_or(UrlError::NotHttp)?;
    Ok((false, rest))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Cuts before the byte `at`; all of `text` is the first part if there is none.
fn split_before(text: &str, at: Option<usize>) -> (&str, &str) {
    at.and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

/// The host, and what stands behind its colon if it has one.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    // RFC 3986 §3.2.2: colons within brackets belong to an IPv6 address.
    let from = authority.rfind(']').unwrap_or(0);
    let colon = authority.get(from..).and_then(|rest| rest.find(':')).map(|at| from + at);
    let (host, port) = split_before(authority, colon);
    (host, port.strip_prefix(':'))
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    // `u16::from_str` alone would take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or(UrlError::Port)
}

/// RFC 3986 §2.1. Brackets are no part of a path or query there either, but queries are full of
/// them and servers take them.
fn encode_path_and_query(tail: &str) -> String {
    let mut out = String::with_capacity(tail.len() + 1);
    if !tail.starts_with('/') {
        out.push('/');
    }
    for byte in tail.bytes() {
        if byte.is_ascii() && !b"\"<>^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
