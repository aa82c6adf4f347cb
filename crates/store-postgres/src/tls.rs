//! TLS to the server, as `sslmode` says it.

use tokio_postgres_rustls::MakeRustlsConnect;

/// How connections are secured.
pub(crate) struct Tls {
    connector: MakeRustlsConnect,
}

impl Tls {
    /// By this configuration of rustls.
    pub(crate) fn new(config: rustls::ClientConfig) -> Self {
        Self {
            connector: MakeRustlsConnect::new(config),
        }
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        self.connector.clone()
    }
}
