//! The relay's certificate. TLS 1.3 only: every member runs a build that speaks it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsFiles;

/// Why TLS can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate file is missing, unreadable, not PEM, or without a certificate.
    #[error("the certificate file cannot be used: {0}")]
    Certificates(String),
    /// The key file is missing, unreadable, not PEM, or without a private key.
    #[error("the key file cannot be used: {0}")]
    Key(String),
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("certificate and key do not work together: {0}")]
    Mismatch(rustls::Error),
}

/// Reads the files and builds the acceptor.
///
/// # Errors
/// [`TlsError`] says which file is to blame.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::Certificates(error.to_string()))?;
    if certificates.is_empty() {
        return Err(TlsError::Certificates("it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::Key(error.to_string()))?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Mismatch)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
