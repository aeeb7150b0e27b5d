//! A certificate of this machine's own, and the browser's trust in it.

use grantkeep_server::TlsFiles;
use grantkeep_tests::process::tool;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What `openssl` is asked for.
const REQUEST: &str = "[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = 127.0.0.1
[extensions]
subjectAltName = IP:127.0.0.1
basicConstraints = critical, CA:FALSE
";

/// Makes a certificate in a directory.
///
/// # Errors
/// What is missing.
pub(crate) fn make(directory: &Path) -> Result<TlsFiles, String> {
    let at = |name: &str| directory.join(name);
    let files = TlsFiles { certificates: at("certificate.pem"), key: at("key.pem") };
    std::fs::write(at("request"), REQUEST).map_err(|cause| cause.to_string())?;
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt"]);
    openssl.arg("ec_paramgen_curve:prime256v1").arg("-config").arg(at("request"));
    openssl.arg("-keyout").arg(&files.key).arg("-out").arg(&files.certificates);
    match tool(&mut openssl) {
        Ok(_) => Ok(files),
        Err(why) => Err(format!("{why} is missing: run tests/clients/install")),
    }
}

/// A client's side of TLS that trusts these certificates alone.
pub(crate) fn trusting(certificates: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificates).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
