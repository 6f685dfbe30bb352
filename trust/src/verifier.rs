//! The check of a coordinator's certificate: the TLS library's own, with its answer explained.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::VerifierBuilderError;
use tokio_rustls::rustls::{self, CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use crate::certificate::Damaged;
use crate::distrust::Distrust;

/// The trusted authorities.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Those of a file, and no others: its path and its content.
    File(&'a Path, &'a [u8]),
    /// Those that this machine knows.
    Machine,
}

/// Why there are no trusted authorities.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file without a certificate of an authority.
    #[error("{} contains no authority's certificate", path.display())]
    NoAuthority {
        path: PathBuf,
        #[source]
        source: Option<Damaged>,
    },
    /// The machine knows none.
    #[error("this machine has no trusted authorities")]
    Unknowing,
    /// The library refuses them.
    #[error("cannot use the authorities")]
    Unusable(#[from] VerifierBuilderError),
}

/// Checks certificates of servers as the TLS library does; where one is not trusted, `find` finds the reason in the error.
///
/// # Errors
/// There is no authority to believe.
pub fn verifier(roots: Roots<'_>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let mut store = RootCertStore::empty();
    let believed = match roots {
        Roots::File(path, pem) => {
            let none = |source| Error::NoAuthority { path: path.to_owned(), source };
            let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let found = found.map_err(|error| none(Some(error.into())))?;
            if store.add_parsable_certificates(found).0 == 0 {
                return Err(none(None));
            }
            path.display().to_string()
        }
        Roots::Machine => {
            if store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs).0 == 0 {
                return Err(Error::Unknowing);
            }
            "this machine".to_owned()
        }
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build()?;
    Ok(Arc::new(Explaining { inner, believed }))
}

#[derive(Debug)]
struct Explaining {
    inner: Arc<WebPkiServerVerifier>,
    believed: String,
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        checked.map_err(|error| match error {
            rustls::Error::InvalidCertificate(why) => {
                let distrust = Distrust::new(&why, end_entity, &self.believed);
                rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(distrust))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
