//! A certificate authority for tests: its root goes to `--ca-file`, its leaves to receivers.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority that nobody but a test trusts.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// How a leaf is made.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The names, or addresses, that it is for.
    pub names: Vec<String>,
    /// Whether it ended long ago.
    pub is_expired: bool,
    /// What the receiver speaks, by ALPN, its favourite first: `h2`, `http/1.1`.
    pub alpn: Vec<&'static str>,
}

impl Leaf {
    /// A good one for these names, for HTTP/2 and HTTP/1.1.
    pub fn of(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            is_expired: false,
            alpn: vec!["h2", "http/1.1"],
        }
    }

    /// The same without HTTP/2.
    #[must_use]
    pub fn http1_only(mut self) -> Self {
        self.alpn = vec!["http/1.1"];
        self
    }

    /// The same, ended long ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.is_expired = true;
        self
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(
    clippy::expect_used,
    reason = "only tests use it: a certificate that cannot be made is a failed test"
)]
impl TestCa {
    /// A fresh authority with a fresh key.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Each has a name of its own, so that one is not taken for another.
        let key = KeyPair::generate().expect("a key");
        let tag: String = key
            .public_key_raw()
            .iter()
            .rev()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Postrider test CA {tag}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a root certificate");
        Self { issuer }
    }

    /// The root in PEM, for `--ca-file`.
    pub fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    /// What a receiver with such a leaf needs to serve TLS.
    pub fn server_config(&self, leaf: &Leaf) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(leaf);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS");
        let chain = vec![certificate.der().clone(), self.issuer.der().clone()];
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate that fits its key");
        config.alpn_protocols = leaf.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The same in PEM, for a receiver in another process: the chain, then its private key.
    pub fn leaf_pem(&self, leaf: &Leaf) -> String {
        let (chain, key) = self.certificate_pem(leaf);
        chain + &key
    }

    /// The chain in PEM, and its private key in PEM.
    pub fn certificate_pem(&self, leaf: &Leaf) -> (String, String) {
        let (certificate, key) = self.sign(leaf);
        (certificate.pem() + &self.issuer.pem(), key.serialize_pem())
    }

    fn sign(&self, leaf: &Leaf) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(leaf.names.clone()).expect("names that a certificate can hold");
        if leaf.is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf certificate");
        (certificate, key)
    }
}
