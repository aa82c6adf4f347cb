//! How the text of one setting is read.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use postrider_api::MetricsAccess;
use postrider_model::key::TokenHash;
use postrider_model::limits::{EXPIRY_GRACE, LABEL_CHARS_MAX};
use postrider_ports::nodes::Roles;

/// Shortest operator key that is accepted.
const OPERATOR_KEY_CHARS_MIN: usize = 32;
/// Shortest time that events can be kept.
const RETENTION_MIN: Duration = Duration::from_secs(3_600);
/// Shortest and longest lease of a node.
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(60);

/// How the store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// What was answered survives power loss.
    Full,
    /// The last moments before a power loss may be lost.
    Normal,
    /// A power loss may damage the file.
    Off,
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why a text is not what a setting needs. It never repeats the text, which may be a secret put into the wrong place.
pub(crate) type Read<T> = Result<T, String>;

pub(super) fn listen(text: &str) -> Read<SocketAddr> {
    let text = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse()
        .map_err(|_| "must be an address and a port, such as 127.0.0.1:8080".to_owned())
}

/// Which of the two that a node can do, where it is not to do both.
pub(super) fn only(text: &str) -> Read<Roles> {
    match text {
        "api" => Ok(Roles {
            api: true,
            dispatch: false,
        }),
        "dispatch" => Ok(Roles {
            api: false,
            dispatch: true,
        }),
        _ => Err("must be api or dispatch".to_owned()),
    }
}

pub(super) fn node_name(text: &str) -> Read<String> {
    let is_name = text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| format!("must be a name of at most {LABEL_CHARS_MAX} characters, without control characters"))
}

/// Shorter ones end whenever the database takes a moment; longer ones leave what a dead node had waiting for minutes.
pub(super) fn lease(text: &str) -> Read<Duration> {
    let lease = duration(text)?;
    (LEASE_MIN..=LEASE_MAX)
        .contains(&lease)
        .then_some(lease)
        .ok_or_else(|| format!("must be a duration from {} s to {} s", LEASE_MIN.as_secs(), LEASE_MAX.as_secs()))
}

pub(super) fn synchronous(text: &str) -> Read<Synchronous> {
    match text {
        "full" => Ok(Synchronous::Full),
        "normal" => Ok(Synchronous::Normal),
        "off" => Ok(Synchronous::Off),
        _ => Err("must be full, normal or off".to_owned()),
    }
}

pub(super) fn log_format(text: &str) -> Read<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be auto, human or json".to_owned()),
    }
}

pub(super) fn metrics(text: &str) -> Read<MetricsAccess> {
    match text {
        "open" => Ok(MetricsAccess::Open),
        "operator" => Ok(MetricsAccess::Operator),
        "off" => Ok(MetricsAccess::Off),
        _ => Err("must be open, operator or off".to_owned()),
    }
}

/// The shortest retention beside a schedule of this length: what may still be tried must not be taken away.
pub(super) fn retention_min(schedule: Duration) -> Duration {
    (schedule + EXPIRY_GRACE).max(RETENTION_MIN)
}

pub(super) fn retention(text: &str, min: Duration) -> Read<Duration> {
    let retention = duration(text)?;
    if retention < RETENTION_MIN {
        return Err("must be at least 1h".to_owned());
    }
    if retention <= min {
        return Err(format!(
            "must be longer than the retry schedule and {} h, together {} h: what may still be tried must not be taken away",
            EXPIRY_GRACE.as_secs() / 3_600,
            min.as_secs().div_ceil(3_600)
        ));
    }
    Ok(retention)
}

pub(super) fn truth(text: &str) -> Read<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// `30d`, `12h`, `5m`, `30s`, `500ms`.
pub(crate) fn duration(text: &str) -> Read<Duration> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let millis: Option<u64> = match unit.trim() {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let millis = millis.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| "must be a duration such as 30d, 12h, 5m or 30s".to_owned())
}

/// A number from `min` on.
pub(super) fn count(text: &str, min: usize, max: usize) -> Read<usize> {
    let count = text.parse().ok().filter(|count| (min..=max).contains(count));
    count.ok_or_else(|| format!("must be a number from {min} to {max}"))
}

/// `64MiB`, `1GiB`, `65536`.
pub(super) fn bytes(text: &str) -> Read<usize> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let factor: Option<usize> = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<usize>().ok()?.checked_mul(factor));
    bytes.ok_or_else(|| "must be a number of bytes, such as 64MiB".to_owned())
}

pub(super) fn networks(text: &str) -> Read<Vec<IpNet>> {
    parts(text)
        .map(|part| {
            part.parse()
                .map_err(|_| "must be networks such as 10.0.0.0/8, parted by commas".to_owned())
        })
        .collect()
}

pub(super) fn host_suffixes(text: &str) -> Read<Vec<String>> {
    parts(text)
        .map(|part| {
            let name = part.strip_prefix('.').unwrap_or(part);
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            is_name
                .then(|| format!(".{}", name.to_ascii_lowercase()))
                .ok_or_else(|| "must be ends of host names such as .internal, parted by commas".to_owned())
        })
        .collect()
}

/// Whole urls in links begin with this: without the slash at its end.
pub(super) fn public_url(text: &str) -> Read<String> {
    let url: Option<http::Uri> = text.parse().ok();
    let is_base =
        url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some() && url.query().is_none());
    is_base
        .then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "must be a url such as https://hooks.example.com".to_owned())
}

pub(super) fn operator_keys(text: &str) -> Read<Vec<TokenHash>> {
    parts(text)
        .map(|key| {
            let is_long = key.chars().count() >= OPERATOR_KEY_CHARS_MIN;
            let is_token = key.bytes().all(|byte| byte.is_ascii_graphic());
            (is_long && is_token)
                .then(|| TokenHash::of(key))
                .ok_or_else(|| format!("must be keys of at least {OPERATOR_KEY_CHARS_MIN} characters without spaces, parted by commas"))
        })
        .collect()
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(bytes("512"), Ok(512));
        for wrong in ["", "MiB", "-1", "1.5GiB", "1MB", "99999999999999999999", "99999999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "5", "m", "-5s", "1.5h", "5w", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_may_still_be_tried_is_kept() {
        let min = retention_min(Duration::from_secs(3 * 86_400));
        assert_eq!(retention("5d", min), Ok(Duration::from_secs(5 * 86_400)));
        assert!(retention("4d", min).unwrap_err().contains("96 h"));
        assert!(retention("59m", min).unwrap_err().contains("1h"));
    }

    #[test]
    fn a_node_does_one_of_two_and_its_lease_has_bounds() {
        assert_eq!(only("api").map(|roles| (roles.api, roles.dispatch)), Ok((true, false)));
        assert_eq!(only("dispatch").map(|roles| (roles.api, roles.dispatch)), Ok((false, true)));
        assert!(only("both").is_err());
        assert_eq!(lease("5s"), Ok(Duration::from_secs(5)));
        assert!(lease("999ms").is_err() && lease("2m").is_err());
        assert!(node_name("web-1").is_ok());
        assert!(node_name("a\nb").is_err() && node_name(&"x".repeat(LABEL_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn an_address_needs_its_port() {
        assert_eq!(listen("localhost:1"), Ok(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert!(listen("[::1]:8080").is_ok());
        for wrong in ["", "127.0.0.1", "8080", "host:80", "127.0.0.1:99999"] {
            assert!(listen(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn suffixes_begin_with_a_dot_afterwards() {
        assert_eq!(
            host_suffixes(".Internal, corp"),
            Ok(vec![".internal".to_owned(), ".corp".to_owned()])
        );
        assert!(host_suffixes(".").is_err());
        assert!(host_suffixes("a b").is_err());
    }

    #[test]
    fn operator_keys_are_long_and_never_repeated_in_errors() {
        let (one, other) = ("a".repeat(32), "b".repeat(40));
        let keys = operator_keys(&format!("{one},{other}")).unwrap();
        assert!(keys == [TokenHash::of(&one), TokenHash::of(&other)]);
        let error = operator_keys("hush-too-short").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
        assert!(operator_keys(&format!("{one},")).is_err(), "an empty key would let everybody in");
    }

    #[test]
    fn a_public_url_loses_its_last_slash() {
        assert_eq!(public_url("https://hooks.example.com/"), Ok("https://hooks.example.com".to_owned()));
        for wrong in ["", "hooks.example.com", "ftp://x", "https://x/?q", "/path"] {
            assert!(public_url(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn counts_and_networks_have_bounds() {
        assert_eq!(count("5", 1, 10), Ok(5));
        assert!(count("0", 1, 10).is_err());
        assert!(count("x", 1, 10).is_err());
        assert_eq!(networks("10.0.0.0/8,fd00::/8").unwrap().len(), 2);
        assert!(networks("10.0.0.0").is_err());
        assert_eq!(synchronous("off"), Ok(Synchronous::Off));
        assert!(synchronous("OFF").is_err());
        assert!(truth("yes").is_err());
    }
}
