//! TLS on the listener: certificate and key from PEM files, replaced without a restart. If a new certificate
//! cannot be used, the old one stays.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::lock::Lock;

/// The certificate of handshakes.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Lock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files; the error names the one that cannot be used.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Lock::new(Arc::new(load(files, &provider)?));
        Ok(Arc::new(Self { files: files.clone(), provider, current }))
    }

    /// Reads the files again, for new handshakes.
    pub fn reload(&self) -> Result<(), String> {
        let certified = Arc::new(load(&self.files, &self.provider)?);
        *self.current.lock() = certified;
        Ok(())
    }

    /// Returns the acceptor that wraps connections in TLS.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, String> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let resolver = Arc::clone(self) as Arc<dyn ResolvesServerCert>;
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.lock()))
    }
}

fn load(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (cert, key) = (files.cert.display(), files.key.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| format!("certificate file {cert}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("certificate file {cert}: it holds no certificate"));
    }
    let private =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| format!("key file {key}: {error}"))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| format!("certificate file {cert} and key file {key} do not work together: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &std::path::Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn shown(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.current.lock().cert[0].clone()
    }

    #[test]
    fn a_bad_new_certificate_leaves_the_old_one_in_place_and_a_good_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path());
        let certificate = Certificate::read(&files).unwrap();
        let first = shown(&certificate);
        std::fs::write(&files.cert, "not a certificate").unwrap();
        assert!(certificate.reload().unwrap_err().contains("cert.pem"));
        assert_eq!(shown(&certificate), first);
        write_pair(dir.path());
        certificate.reload().unwrap();
        assert_ne!(shown(&certificate), first);
    }

    #[test]
    fn a_key_of_another_certificate_and_a_missing_file_are_told() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one_files, two_files) = (write_pair(one.path()), write_pair(two.path()));
        let mixed = TlsFiles { cert: one_files.cert, key: two_files.key };
        assert!(Certificate::read(&mixed).unwrap_err().contains("do not work together"));
        std::fs::remove_file(&mixed.cert).unwrap();
        assert!(Certificate::read(&mixed).unwrap_err().contains("cert.pem"));
    }
}
