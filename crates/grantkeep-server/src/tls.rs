//! TLS from files: a chain of certificates and a key, both PEM.

use crate::failure::Failure;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Whoever accepts connections with this certificate.
///
/// # Errors
/// Where a file cannot be read, holds no certificate or no key, or the two do not belong together.
pub(crate) fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let failed = |what: &str, path: &Path, cause: &dyn std::fmt::Display| {
        Failure::new(format!("the {what} in {} cannot be used: {cause}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| failed("certificates", certificates, &cause))?;
    if chain.is_empty() {
        return Err(failed("certificates", certificates, &"there is none in it"));
    }
    let own = PrivateKeyDer::from_pem_file(key).map_err(|cause| failed("key", key, &cause))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, own))
        .map_err(|cause| failed("certificate", certificates, &cause))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
