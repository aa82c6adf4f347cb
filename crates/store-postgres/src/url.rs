//! The url of a store: libpq's, with two parameters of our own. Nothing that is said of it shows its password.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postrider_ports::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::fault::told;
use crate::tls::{Roots, Trust};

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// What tokio-postgres reads itself. libpq's `tcp_user_timeout` and `keepalives_count` are not among them: it counts in seconds, or has
/// another name.
const PASSED_ON: [&str; 15] = [
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "options",
    "application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
    "load_balance_hosts",
];
/// What is read here.
const OURS: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "keepalives_count",
    "prepared_statements",
    "connections",
];

/// How long one address may take to answer, where the url does not say it. Two of them fit into the time that a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a server may leave unacknowledged what it was sent: then the network is dead, or its machine is.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// After so long a silence a server is asked whether it is there, this often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;

/// Fewest connections that a node can work with.
pub const CONNECTIONS_MIN: usize = 8;
/// Most connections that a url may ask for.
const CONNECTIONS_ASKED_MAX: usize = 1_000;

/// What a url says.
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    /// Whether statements may be prepared; `None` where it says nothing.
    pub(crate) is_prepared: Option<bool>,
    /// How many connections to open at most; `None` where it says nothing.
    pub(crate) connections_max: Option<usize>,
}

/// Reads a url.
///
/// # Errors
/// `CannotOpen` names the first thing that is wrong, and how it has to be.
pub(crate) fn read(url: &str) -> Result<Target, StoreError> {
    let (plain, query) = split(url)?;
    let mut ours = Ours::default();
    let mut passed_on = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(format!("{pair} has no value")))?;
        if OURS.contains(&name) {
            ours.take(name, &decode(value)?)?;
        } else if PASSED_ON.contains(&name) {
            passed_on.push(pair);
        } else {
            let known = [&PASSED_ON[..], &OURS[..]].concat().join(", ");
            return Err(wrong(format!("it has no parameter {name}, only {known}")));
        }
    }
    let rest = if passed_on.is_empty() {
        plain.to_owned()
    } else {
        format!("{plain}?{}", passed_on.join("&"))
    };
    let mut config: Config = rest.parse().map_err(|error| wrong(told(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong("it names no host"));
    }
    ours.apply(&mut config, |name| {
        passed_on.iter().any(|pair| pair.starts_with(&format!("{name}=")))
    });
    Ok(Target {
        trust: ours.trust()?,
        config,
        is_prepared: ours.is_prepared,
        connections_max: ours.connections_max,
    })
}

/// What comes before the parameters, and they.
fn split(url: &str) -> Result<(&str, &str), StoreError> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(wrong("it must begin with postgres://"));
    }
    // A ? is one of a password where an @ follows it.
    let (plain, query) = url.split_once('?').unwrap_or((url, ""));
    if query.contains('@') || plain.matches('@').count() > 1 {
        return Err(wrong("write an @ in a name or a password as %40, and a ? as %3F"));
    }
    Ok((plain, query))
}

#[derive(Default)]
struct Ours {
    sslmode: Option<String>,
    root: Option<PathBuf>,
    target: Option<TargetSessionAttrs>,
    tcp_user_timeout: Option<Duration>,
    keepalives_count: Option<u32>,
    is_prepared: Option<bool>,
    connections_max: Option<usize>,
}

impl Ours {
    fn take(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let must_be = |what: &str| wrong(format!("{name} must be {what}"));
        match name {
            "sslmode" => self.sslmode = Some(value.to_owned()),
            "sslrootcert" => self.root = Some(PathBuf::from(value)),
            "target_session_attrs" => {
                self.target = Some(match value {
                    "any" => TargetSessionAttrs::Any,
                    "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                    _ => return Err(must_be("read-write or any")),
                });
            }
            "tcp_user_timeout" => {
                let milliseconds = value.parse().map_err(|_| must_be("a number of milliseconds"))?;
                self.tcp_user_timeout = Some(Duration::from_millis(milliseconds));
            }
            "keepalives_count" => self.keepalives_count = Some(value.parse().map_err(|_| must_be("a whole number"))?),
            "prepared_statements" => self.is_prepared = Some(value.parse().map_err(|_| must_be("true or false"))?),
            _ => {
                let range = CONNECTIONS_MIN..=CONNECTIONS_ASKED_MAX;
                let count = value.parse().ok().filter(|count| range.contains(count));
                let what = || must_be(&format!("a number from {CONNECTIONS_MIN} to {CONNECTIONS_ASKED_MAX}"));
                self.connections_max = Some(count.ok_or_else(what)?);
            }
        }
        Ok(())
    }

    /// Puts into the configuration what was said, and what is our own choice where nothing was.
    fn apply(&self, config: &mut Config, is_said: impl Fn(&str) -> bool) {
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        // A socket of this machine needs no TLS, and has none, whatever is asked for: as libpq has it.
        let needs_none = config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_socket);
        config.ssl_mode(match self.sslmode.as_deref() {
            _ if needs_none => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            None | Some("allow" | "prefer") => SslMode::Prefer,
            Some(_) => SslMode::Require,
        });
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        // Of several servers the one is meant that takes writes.
        let usual = if hosts > 1 {
            TargetSessionAttrs::ReadWrite
        } else {
            TargetSessionAttrs::Any
        };
        config.target_session_attrs(self.target.unwrap_or(usual));
        config.tcp_user_timeout(self.tcp_user_timeout.unwrap_or(TCP_USER_TIMEOUT));
        if !is_said("connect_timeout") {
            config.connect_timeout(CONNECT_TIME_MAX);
        }
        if !is_said("keepalives_idle") {
            config.keepalives_idle(KEEPALIVE_IDLE);
        }
        if !is_said("keepalives_interval") {
            config.keepalives_interval(KEEPALIVE_INTERVAL);
        }
        if !is_said("keepalives_retries") {
            config.keepalives_retries(self.keepalives_count.unwrap_or(KEEPALIVE_RETRIES));
        }
        if !is_said("application_name") {
            config.application_name("postrider");
        }
    }

    fn trust(&self) -> Result<Trust, StoreError> {
        let roots = match &self.root {
            Some(path) if path.as_os_str() == "system" => Roots::System,
            Some(path) => Roots::File(path.clone()),
            None => Roots::System,
        };
        match self.sslmode.as_deref() {
            Some("verify-full") => Ok(Trust::Full(roots)),
            Some("verify-ca") if roots == Roots::System => Err(wrong(
                "with sslmode=verify-ca it must name a file in sslrootcert: else anybody's certificate would do. Or use verify-full",
            )),
            Some("verify-ca") => Ok(Trust::Signer(roots)),
            // As libpq has it: who names roots wants them to be looked at.
            Some("require") if self.root.is_some() && roots != Roots::System => Ok(Trust::Signer(roots)),
            Some("require") if self.root.is_some() => Ok(Trust::Full(roots)),
            None | Some("disable" | "allow" | "prefer" | "require") => Ok(Trust::Any),
            Some(_) => Err(wrong("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")),
        }
    }
}

fn decode(value: &str) -> Result<String, StoreError> {
    let text = percent_decode_str(value).decode_utf8();
    Ok(text.map_err(|_| wrong("a % in it does not stand for text in UTF-8"))?.into_owned())
}

fn wrong(reason: impl Into<String>) -> StoreError {
    StoreError::CannotOpen {
        what: "the PostgreSQL url".to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match read(url) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{url} is taken"),
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (query, part) in [
            ("?sslmode=yes", "sslmode must be disable"),
            ("?sslmode=verify-ca", "sslrootcert"),
            ("?sslmod=require", "no parameter sslmod"),
            ("?connections=7", "connections must be a number from 8"),
            ("?prepared_statements=no", "prepared_statements must be true or false"),
            ("?target_session_attrs=standby", "target_session_attrs must be read-write"),
            ("?connections", "connections has no value"),
            ("?connect_timeout=soon", "connect_timeout"),
            ("?sslrootcert=%ff", "UTF-8"),
        ] {
            let told = refusal(&format!("postgres://me:hunter2@db.example.com/orders{query}"));
            assert!(told.contains(part), "{query}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        for url in [
            "postgres://me:hunter2@more@db/orders",
            "postgres://me:hunter2?x=@db/orders",
            "mysql://me:hunter2@db/orders",
        ] {
            assert!(!refusal(url).contains("hunter2"), "{url}");
        }
        assert!(refusal("postgres:///orders").contains("names no host"));
        assert!(!refusal("postgres://me:hunter2@db:port/orders").contains("hunter2"));
    }

    #[test]
    fn every_sslmode_is_known() {
        let url = |query: &str| read(&format!("postgres://db/orders{query}")).unwrap();
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Any),
            ("?sslmode=disable", SslMode::Disable, Trust::Any),
            ("?sslmode=allow", SslMode::Prefer, Trust::Any),
            ("?sslmode=prefer", SslMode::Prefer, Trust::Any),
            ("?sslmode=require", SslMode::Require, Trust::Any),
            ("?sslmode=verify-full", SslMode::Require, Trust::Full(Roots::System)),
            ("?sslmode=require&sslrootcert=system", SslMode::Require, Trust::Full(Roots::System)),
            (
                "?sslmode=require&sslrootcert=/a%20b.pem",
                SslMode::Require,
                Trust::Signer(Roots::File(PathBuf::from("/a b.pem"))),
            ),
            (
                "?sslrootcert=ca.pem&sslmode=verify-ca",
                SslMode::Require,
                Trust::Signer(Roots::File(PathBuf::from("ca.pem"))),
            ),
            (
                "?sslmode=verify-full&sslrootcert=ca.pem",
                SslMode::Require,
                Trust::Full(Roots::File(PathBuf::from("ca.pem"))),
            ),
        ] {
            let target = url(query);
            assert_eq!(target.config.get_ssl_mode(), mode, "{query}");
            assert_eq!(target.trust, trust, "{query}");
        }
        let socket = read("postgres://%2Fvar%2Frun/orders?sslmode=require").unwrap();
        assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable, "a socket has none");
    }

    #[test]
    fn our_own_parameters_are_taken_out() {
        let target = read("postgresql://me@a:1,b:2/orders?connections=40&prepared_statements=false&connect_timeout=7").unwrap();
        assert_eq!((target.connections_max, target.is_prepared), (Some(40), Some(false)));
        assert_eq!(target.config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(target.config.get_ports(), [1, 2]);
        let attrs = target.config.get_target_session_attrs();
        assert_eq!(attrs, TargetSessionAttrs::ReadWrite, "the one of them that takes writes");
        let one = read("postgres://me@a/orders?tcp_user_timeout=1500").unwrap();
        assert_eq!((one.connections_max, one.is_prepared), (None, None));
        assert_eq!(one.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(one.config.get_tcp_user_timeout(), Some(&Duration::from_millis(1_500)));
        assert_eq!(one.config.get_connect_timeout(), Some(&CONNECT_TIME_MAX));
        assert_eq!(one.config.get_application_name(), Some("postrider"));
    }
}
