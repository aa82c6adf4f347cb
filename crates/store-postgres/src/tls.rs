//! TLS to the server, as `sslmode` says it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postrider_ports::StoreError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is asked of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: who can only listen learns nothing, who can stand in between can.
    Any,
    /// That one of these signed it, whatever name is in it.
    Signer(Roots),
    /// That one of these signed it for the name in the url.
    Full(Roots),
}

/// Who may sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Whom this machine trusts.
    System,
    /// Those in this file.
    File(PathBuf),
}

/// How connections are secured.
pub(crate) struct Tls {
    connector: MakeRustlsConnect,
}

impl Tls {
    /// As the url says it.
    ///
    /// # Errors
    /// `CannotOpen` where the file of roots cannot be read.
    pub(crate) fn new(trust: &Trust) -> Result<Self, StoreError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| cannot_open("TLS", error))?;
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Any => Arc::new(Lenient { provider, signer: None }),
            Trust::Signer(roots) => {
                let signer = Some(signed_by(roots, &provider)?);
                Arc::new(Lenient { provider, signer })
            }
            Trust::Full(roots) => signed_by(roots, &provider)?,
        };
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self {
            connector: MakeRustlsConnect::new(config),
        })
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        self.connector.clone()
    }
}

fn signed_by(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, StoreError> {
    let roots = match roots {
        Roots::System => system_roots(),
        Roots::File(path) => file_roots(path)?,
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| cannot_open("the root certificates", error))
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a part of the system's root certificates cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore, StoreError> {
    let what = path.display().to_string();
    let pem = std::fs::read(path).map_err(|error| cannot_open(&what, error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| cannot_open(&what, error))?;
        roots.add(certificate).map_err(|error| cannot_open(&what, error))?;
    }
    if roots.is_empty() {
        return Err(cannot_open(&what, "there is no certificate in PEM in it"));
    }
    Ok(roots)
}

fn cannot_open(what: &str, reason: impl ToString) -> StoreError {
    StoreError::CannotOpen {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}

/// Asks less of a certificate than the name that is in it.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// Who must have signed it; anybody where it is `None`.
    signer: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(signer) = &self.signer else {
            return Ok(ServerCertVerified::assertion());
        };
        match signer.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: all else is as it should be.
            Err(Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
