//! TLS: the system's roots, those of `--ca-file`, and HTTP/2 by ALPN.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::TlsConnector;

use crate::SetupError;

/// HTTP/2, as ALPN names it (RFC 7301, RFC 9113 §3.2).
pub(crate) const ALPN_H2: &[u8] = b"h2";

/// What opens TLS connections: trusts the system's roots and the extra ones.
pub(crate) fn connector(extra_roots_pem: Option<&[u8]>) -> Result<TlsConnector, SetupError> {
    let mut roots = system_roots();
    if let Some(pem) = extra_roots_pem {
        add_roots(&mut roots, pem)?;
    }
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a part of the system's root certificates cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("the system has no root certificates: without a CA file no receiver is trusted");
    }
    roots
}

fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), SetupError> {
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| SetupError::ExtraRoots(error.to_string()))?;
        roots.add(certificate).map_err(|error| SetupError::ExtraRoots(error.to_string()))?;
        added += 1;
    }
    if added == 0 {
        return Err(SetupError::ExtraRoots("nothing in PEM was found".to_owned()));
    }
    Ok(())
}
