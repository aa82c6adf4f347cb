//! The host of a url: which names are public, and every spelling of an IP address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{UrlError, UrlPolicy};

/// Longest host name, in its ASCII form (RFC 1035 §2.3.4, without the dot of the root).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest part of a host name between two dots (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Names that never lead to a public server: IANA's special-use registry (RFC 6761), `.alt`
/// (RFC 9476), and `.internal`, which ICANN reserved in 2024. Each stands for itself and all below.
const SPECIAL_USE_NAMES: [&str; 9] = [
    "localhost",
    "local",
    "internal",
    "test",
    "example",
    "invalid",
    "onion",
    "alt",
    "arpa",
];

/// A host name in ASCII and lower case, or an IP address in its usual spelling.
#[derive(PartialEq, Eq)]
pub(super) struct Host {
    text: Box<str>,
    ip: Option<IpAddr>,
}

impl Host {
    /// Reads what stands between `//` and the port.
    pub(super) fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError::NoHost);
        }
        if text.starts_with('[') {
            return Self::from_ip(parse_bracketed(text), policy);
        }
        if text.contains('%') {
            return Err(UrlError::PercentInHost);
        }
        let name = to_ascii(text)?;
        // After IDNA: full-width digits and ideographic full stops spell an address too.
        if ends_in_number(&name) {
            return Self::from_ip(name.parse::<Ipv4Addr>().ok().map(IpAddr::V4), policy);
        }
        check_name(&name)?;
        if !is_lifted(&name, policy) {
            check_is_public(&name)?;
        }
        Ok(Self {
            text: name.into(),
            ip: None,
        })
    }

    /// `ip` is `None` for a spelling that only some readers understand.
    fn from_ip(ip: Option<IpAddr>, policy: &UrlPolicy) -> Result<Self, UrlError> {
        if !policy.dev {
            return Err(UrlError::IsIp);
        }
        let ip = ip.ok_or(UrlError::IpSpelling)?;
        Ok(Self {
            text: ip.to_string().into(),
            ip: Some(ip),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// `host[:port]`, as the `Host` header has it.
    pub(super) fn authority(&self, port: Option<u16>) -> String {
        let host = match self.ip {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.text.to_string(),
        };
        match port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

fn parse_bracketed(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn to_ascii(host: &str) -> Result<String, UrlError> {
    // Characters, hyphens and lengths are for `check_name`, which says what is wrong with them.
    let (any, hyphens, lengths) = (AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    let name = Uts46::new().to_ascii(host.as_bytes(), any, hyphens, lengths);
    name.map(|name| name.into_owned()).map_err(|_| UrlError::Idna)
}

/// WHATWG URL, "ends in a number": then a resolver may read the whole host as an IPv4 address,
/// which can have one to four parts, each decimal, octal or hexadecimal.
fn ends_in_number(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    let decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hex = last.strip_prefix("0x");
    decimal || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn check_name(name: &str) -> Result<(), UrlError> {
    if name.is_empty() {
        // UTS #46 drops some characters: a soft hyphen alone is nothing.
        return Err(UrlError::NoHost);
    }
    if name.ends_with('.') {
        return Err(UrlError::TrailingDot);
    }
    name.split('.').try_for_each(check_label)?;
    if name.len() > HOST_BYTES_MAX {
        return Err(UrlError::HostTooLong);
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), UrlError> {
    // The underscore is no hostname of RFC 952, but DNS and certificates know it, and so do users.
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    match label {
        "" => Err(UrlError::EmptyLabel),
        _ if !label.bytes().all(known) => Err(UrlError::HostCharacter),
        _ if label.starts_with('-') || label.ends_with('-') => Err(UrlError::LabelHyphen),
        _ if label.len() > LABEL_BYTES_MAX => Err(UrlError::LabelTooLong),
        _ => Ok(()),
    }
}

fn is_lifted(name: &str, policy: &UrlPolicy) -> bool {
    let mut suffixes = policy.host_suffixes.iter();
    policy.dev || suffixes.any(|suffix| is_at_or_below(name, suffix))
}

fn check_is_public(name: &str) -> Result<(), UrlError> {
    if SPECIAL_USE_NAMES.iter().any(|special| is_at_or_below(name, special)) {
        return Err(UrlError::SpecialUseName);
    }
    if !name.contains('.') {
        return Err(UrlError::NoDot);
    }
    Ok(())
}

/// Whether `host` is `suffix` or a name below it; a dot before the suffix makes no difference.
fn is_at_or_below(host: &str, suffix: &str) -> bool {
    let suffix = suffix.strip_prefix('.').unwrap_or(suffix);
    let start = host.len().checked_sub(suffix.len());
    let Some((above, end)) = start.and_then(|start| host.split_at_checked(start)) else {
        return false;
    };
    // No name ends with a dot by now, so that an empty suffix stands for nothing.
    end.eq_ignore_ascii_case(suffix) && (above.is_empty() || above.ends_with('.'))
}
