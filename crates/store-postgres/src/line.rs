//! A connection that belongs to one purpose, outside every pool: nothing else waits for it, and it waits for nothing else. It is driven
//! by the runtime of whoever uses it first, and made anew where it broke.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_ports::Clock;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config, Notification, Row};

use crate::fault::{Fault, Outcome};
use crate::param::{Param, typed};
use crate::tls::Tls;

/// How long it takes at most to connect, and to run one statement.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Notices that wait to be read. With more, those behind are lost, and who listens is told so.
pub(crate) const NOTICES_MAX: usize = 1_024;

/// The way to the server.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) config: Config,
    pub(crate) tls: Arc<Tls>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A connection to be kept.
pub(crate) struct Line {
    way: Way,
    /// `None` while a statement runs, and where it broke: then it is gone with its statement.
    client: Mutex<Option<Client>>,
}

impl Way {
    /// A connection, and the notices that come over it. It ends when the client is dropped; the notices end with it.
    pub(crate) async fn connect(&self) -> Outcome<(Client, mpsc::Receiver<Notification>)> {
        let connecting = self.config.connect(self.tls.connector());
        let (client, mut connection) = self.in_time(connecting).await?;
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

    /// Ends what takes too long.
    pub(crate) async fn in_time<T>(&self, call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Outcome<T> {
        let deadline = self.clock.mono() + ANSWER_TIME_MAX;
        tokio::select! {
            biased;
            answer = call => Ok(answer?),
            () = self.clock.sleep_until(deadline) => Err(Fault::Unanswered),
        }
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
pub(crate) async fn query(client: &Client, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, tokio_postgres::Error> {
    client.query_typed(sql, &typed(params)).await
}
