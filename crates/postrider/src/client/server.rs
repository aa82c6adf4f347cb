//! Where a server is, and how it is reached: plain, or over TLS with the system's roots and those of `--ca-file`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The url of a server: http or https, a host, and perhaps a path before all routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    is_tls: bool,
    host: String,
    port: u16,
    authority: String,
    prefix: String,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "must be the url of a server, such as http://127.0.0.1:8080 or https://hooks.example.com".to_owned();
        let url: Uri = text.parse().map_err(|_| refused())?;
        let authority = url.authority().ok_or_else(refused)?;
        let is_tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused()),
        };
        if url.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused());
        }
        Ok(Self {
            is_tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}://{}{}",
            if self.is_tls { "https" } else { "http" },
            self.authority,
            self.prefix
        )
    }
}

impl ServerUrl {
    /// A server on this machine.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            is_tls: false,
            host: address.ip().to_string(),
            port: address.port(),
            authority: address.to_string(),
            prefix: String::new(),
        }
    }

    /// Host and port, as the header `Host` says them.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands before the path of every route.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Connects.
    pub(crate) async fn connect(&self, ca_pem: Option<&[u8]>) -> anyhow::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .with_context(|| format!("nothing answers at {self}"))?;
        stream.set_nodelay(true)?;
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host.clone()).with_context(|| format!("{self} has a host that no certificate can name"))?;
        let stream = connector(ca_pem)?.connect(name, stream).await;
        let stream = stream.with_context(|| format!("{self} is not trusted, or does not speak TLS"))?;
        Ok(Box::new(stream))
    }
}

fn connector(ca_pem: Option<&[u8]>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are not trusted; where one of them was needed, that is what the connection says.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in ca_pem.into_iter().flat_map(CertificateDer::pem_slice_iter) {
        let certificate = certificate.map_err(|error| anyhow::anyhow!("the CA file: {error}"))?;
        roots.add(certificate).context("the CA file")?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_a_path_and_loses_its_last_slash() {
        let url: ServerUrl = "https://example.com/hooks/".parse().unwrap();
        assert_eq!((url.port, url.prefix(), url.authority()), (443, "/hooks", "example.com"));
        assert_eq!(url.to_string(), "https://example.com/hooks");
        let url: ServerUrl = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 8080));
        for wrong in [
            "",
            "localhost:8080",
            "example.com",
            "ftp://x",
            "https://x/?a",
            "https://u:p@x/",
            "/path",
        ] {
            assert!(wrong.parse::<ServerUrl>().is_err(), "{wrong:?}");
        }
    }
}
