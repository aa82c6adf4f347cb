//! The way to the servers; and a connection that belongs to one purpose, outside every pool: nothing else waits for it, and it waits for
//! nothing else. It is driven by the runtime of whoever uses it first, and made anew where it broke.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_ports::Clock;
use tokio::sync::mpsc;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, Notification, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::{Fault, Outcome};
use crate::param::{Param, typed};
use crate::tls::Tls;

/// How long it takes at most to connect, and to run one statement.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Notices that wait to be read. With more, those behind are lost, and who listens is told so.
pub(crate) const NOTICES_MAX: usize = 1_024;

/// Where PostgreSQL listens unless somebody says otherwise.
const PORT: u16 = 5432;

/// What a connection lives by.
pub(crate) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The way to the servers that a url names, each tried by itself, first the one that answered last: where one swallows whatever it is sent,
/// whoever waits for it gives up, and goes to the next. Who began at the first of them each time would never come to the others.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
    /// Counts on to the server that is tried first. Shared by all connections of a store; written by each `Turn`.
    first: Arc<AtomicUsize>,
}

/// One server's turn to answer. Where it is over without an answer, also because nobody waits for it any more, the next server is tried
/// first, unless another connection has moved on already: those that are made together do not push each other past one that answers.
struct Turn<'a> {
    first: &'a AtomicUsize,
    number: usize,
    stays: bool,
}

/// A connection to be kept.
pub(crate) struct Line {
    way: Way,
    /// `None` while a statement runs, and where it broke: then it is gone with its statement.
    client: Mutex<Option<Client>>,
}

impl Way {
    pub(crate) fn new(config: Config, tls: Tls, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            clock,
            tls: Arc::new(tls),
            first: Arc::default(),
        }
    }

    /// The way to the same servers, where a session is told something else at its beginning.
    pub(crate) fn with(&self, config: Config) -> Self {
        Self { config, ..self.clone() }
    }

    /// A connection, and the notices that come over it. It ends when the client is dropped; the notices end with it.
    pub(crate) async fn connect(&self) -> Outcome<(Client, mpsc::Receiver<Notification>)> {
        let (client, mut connection) = self.within(ANSWER_TIME_MAX, self.reach()).await?;
        let (sender, notices) = mpsc::channel(NOTICES_MAX);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notice) = message
                    && let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(notice)
                {
                    // Who listens sees the end, and takes it for what it is: something was lost.
                    return;
                }
            }
        });
        Ok((client, notices))
    }

    /// A connection to the first server that answers. Where there is another to go to, each has the url's `connect_timeout` for all that
    /// connecting takes: a frozen machine still accepts.
    pub(crate) async fn reach(&self) -> Outcome<(Client, Driver)> {
        let servers = each(&self.config).await;
        let patience = self.config.get_connect_timeout().filter(|_| servers.len() > 1);
        let first = self.first.load(Ordering::Relaxed);
        let mut failed = None;
        for number in (0..servers.len()).map(|step| first.wrapping_add(step)) {
            let Some(server) = servers.get(number % servers.len()) else { break };
            let mut turn = Turn {
                first: &self.first,
                number,
                stays: false,
            };
            let call = server.connect(self.tls.connector());
            let answer = match patience {
                Some(patience) => self.within(*patience, call).await,
                None => call.await.map_err(Fault::from),
            };
            match answer {
                Ok(connected) => {
                    // Those of which one is as good as another take turns.
                    turn.stays = self.config.get_load_balance_hosts() != LoadBalanceHosts::Random;
                    return Ok(connected);
                }
                Err(Fault::Sql(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        Err(failed.map_or(Fault::Unanswered, Fault::Sql))
    }

    /// Ends what takes too long.
    pub(crate) async fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Outcome<T> {
        self.within(ANSWER_TIME_MAX, call).await
    }

    async fn within<T, E>(&self, time_max: Duration, call: impl Future<Output = Result<T, E>>) -> Outcome<T>
    where
        Fault: From<E>,
    {
        let deadline = self.clock.mono() + time_max;
        tokio::select! {
            biased;
            answer = call => Ok(answer?),
            () = self.clock.sleep_until(deadline) => Err(Fault::Unanswered),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.stays {
            self.first.store(self.number, Ordering::Relaxed);
        } else {
            let next = self.number.wrapping_add(1);
            // It fails where another was quicker.
            let _ = self.first.compare_exchange(self.number, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Each address that a config leads to, by itself: at most as many as its hosts have.
async fn each(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let mut servers = Vec::new();
    for at in 0..hosts.len().max(addresses.len()) {
        let host = hosts.get(at);
        let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(PORT);
        let found: Vec<IpAddr> = match (addresses.get(at), host) {
            (Some(address), _) => vec![*address],
            (None, Some(Host::Tcp(name))) => {
                let found = tokio::net::lookup_host((name.as_str(), port)).await;
                // Who tries it by its name alone is told what is wrong with it.
                found.map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect())
            }
            (None, _) => Vec::new(),
        };
        if found.is_empty() {
            servers.push(only(config, host, None, port));
        }
        servers.extend(found.into_iter().map(|address| only(config, host, Some(address), port)));
    }
    servers
}

/// The same config with one address. (A config is only ever added to.)
fn only(config: &Config, host: Option<&Host>, address: Option<IpAddr>, port: u16) -> Config {
    let mut only = Config::new();
    only.port(port)
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .load_balance_hosts(config.get_load_balance_hosts())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle());
    match host {
        Some(Host::Tcp(name)) => only.host(name),
        Some(Host::Unix(path)) => only.host_path(path),
        None => &mut only,
    };
    let set = &mut only;
    given(set, address, Config::hostaddr);
    given(set, config.get_user(), Config::user);
    given(set, config.get_password(), Config::password);
    given(set, config.get_dbname(), Config::dbname);
    given(set, config.get_options(), Config::options);
    given(set, config.get_application_name(), Config::application_name);
    given(set, config.get_connect_timeout().copied(), Config::connect_timeout);
    given(set, config.get_tcp_user_timeout().copied(), Config::tcp_user_timeout);
    given(set, config.get_keepalives_interval(), Config::keepalives_interval);
    given(set, config.get_keepalives_retries(), Config::keepalives_retries);
    only
}

fn given<T>(config: &mut Config, value: Option<T>, set: impl FnOnce(&mut Config, T) -> &mut Config) {
    if let Some(value) = value {
        set(config, value);
    }
}

impl Line {
    pub(crate) const fn new(way: Way) -> Self {
        Self {
            way,
            client: Mutex::new(None),
        }
    }

    pub(crate) const fn way(&self) -> &Way {
        &self.way
    }

    /// The connection, to be given back with `keep` where all went well.
    pub(crate) async fn take(&self) -> Outcome<Client> {
        let kept = self.client.lock().take();
        match kept.filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => Ok(self.way.connect().await?.0),
        }
    }

    pub(crate) fn keep(&self, client: Client) {
        *self.client.lock() = Some(client);
    }

    /// Closes the connection: the next use makes another.
    pub(crate) fn drop_it(&self) {
        self.client.lock().take();
    }
}

/// Runs a statement that is sent whole, so that it passes through a pooler that knows nothing of prepared ones.
pub(crate) async fn query(client: &Client, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, Error> {
    client.query_typed(sql, &typed(params)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::read;

    #[test]
    fn those_that_give_the_same_server_up_move_on_by_one() {
        let first = AtomicUsize::new(0);
        let turn = |number, stays| Turn {
            first: &first,
            number,
            stays,
        };
        drop([turn(0, false), turn(0, false)]);
        assert_eq!(first.load(Ordering::Relaxed), 1);
        let slow = turn(1, false);
        drop(turn(2, true));
        drop(slow);
        assert_eq!(first.load(Ordering::Relaxed), 2, "the one that answered last");
    }

    #[tokio::test]
    async fn what_a_url_says_holds_for_each_of_its_servers() {
        let all = "user=me&password=secret&dbname=orders&options=-c%20jit%3Doff&application_name=us&connect_timeout=3&keepalives=0\
             &keepalives_idle=7&keepalives_interval=8&keepalives_retries=9&channel_binding=require&load_balance_hosts=random\
             &sslmode=require&target_session_attrs=any&tcp_user_timeout=4000";
        let config = |hosts: &str| read(&format!("postgres://{hosts}?{all}")).unwrap().config;
        let both = each(&config("10.0.0.1:77,10.0.0.2:78/orders")).await;
        let one = |host: &str, port: &str| config(&format!("{host}:{port}/orders")).hostaddr(host.parse().unwrap()).clone();
        assert_eq!(both.len(), 2);
        assert!(both[0] == one("10.0.0.1", "77") && both[1] == one("10.0.0.2", "78"), "{both:?}");
        let unknown = config("no-such-host.invalid:77/orders");
        assert!(each(&unknown).await == [unknown]);
    }
}
