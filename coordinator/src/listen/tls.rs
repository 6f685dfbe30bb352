//! TLS certificates: reads and checks the files, and reloads them when they change, so a renewed certificate needs no
//! restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use sweep_trust::{Certificate, Damaged, Validity, shown};
use time::OffsetDateTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, InconsistentKeys, RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Protocol;

/// How often the files are checked for changes.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// How often the log warns of a certificate that expires soon or has expired.
const EXPIRY_WARNING_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The files of a TLS configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authority of client certificates, if workers must present one.
    pub client_authority: Option<PathBuf>,
}

/// Why TLS cannot be configured. No message contains a part of a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not PEM.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// A file contains no certificate.
    #[error("{path} contains no certificate")]
    Empty {
        /// The file.
        path: String,
    },
    /// A certificate and its key cannot be used, for example because the key's type is not supported.
    #[error("the certificate {certificate} and the key {key} cannot be used")]
    Pair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The key belongs to another certificate.
    #[error("the key {key} does not belong to the certificate {certificate}: name the key that was made with it")]
    Mismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// The certificate has expired.
    #[error("{path}: {certificate}, expired on {}; renew it, because clients do not trust it", shown(certificate.not_after))]
    Expired {
        /// The file.
        path: String,
        /// The certificate of the file.
        certificate: Box<Certificate>,
    },
    /// The certificate is not valid yet.
    #[error(
        "{path}: {certificate}, is valid only from {} on; check this machine's clock, because clients do not trust it",
        shown(certificate.not_before)
    )]
    NotYet {
        /// The file.
        path: String,
        /// The certificate of the file.
        certificate: Box<Certificate>,
    },
    /// The certificate cannot be parsed.
    #[error("{path} cannot be used")]
    Damaged {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: Damaged,
    },
    /// The file of the client authority contains no usable authority.
    #[error("{path} is not a certificate authority")]
    Authority {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: VerifierBuilderError,
    },
}

struct Pair {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    certificate: Certificate,
}

/// The current certificates, shared by both listeners.
pub struct Tls {
    files: Files,
    pair: RwLock<Pair>,
}

impl Tls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// A file is missing, invalid, expired, or does not belong to the others.
    pub fn open(files: Files) -> Result<Self, Error> {
        let pair = RwLock::new(read(&files, OffsetDateTime::now_utc())?);
        Ok(Self { files, pair })
    }

    /// Warns of a certificate that expires soon or has expired.
    fn warn_of_expiry(&self) {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        let (path, certificate) = (self.files.certificate.display(), &pair.certificate);
        let not_after = shown(certificate.not_after);
        match certificate.validity(OffsetDateTime::now_utc()) {
            Validity::Holds | Validity::NotYet => {}
            Validity::EndsSoon => warn!(%path, %not_after, "the certificate expires soon: renew it"),
            Validity::Expired => {
                warn!(%path, %not_after, "the certificate has expired and clients do not trust it: renew it");
            }
        }
    }

    pub(super) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(match protocol {
            Protocol::Grpc => &pair.grpc,
            Protocol::Http => &pair.http,
        }))
    }

    /// Reloads the files whenever they change. If the new ones cannot be used, the earlier ones stay in use.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut seen = self.changed();
        let mut remind = tokio::time::interval(EXPIRY_WARNING_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = remind.tick() => {
                    self.warn_of_expiry();
                    continue;
                }
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
            }
            let now = self.changed();
            if now == seen {
                continue;
            }
            seen = now;
            match read(&self.files, OffsetDateTime::now_utc()) {
                Ok(pair) => {
                    let not_after = shown(pair.certificate.not_after);
                    *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
                    info!(certificate = %self.files.certificate.display(), %not_after, "the certificate was reloaded");
                    remind.reset_immediately();
                }
                Err(error) => warn!(error = %crate::chain(&error), "the earlier certificate stays in use"),
            }
        }
    }

    fn changed(&self) -> Vec<Option<SystemTime>> {
        let Files { certificate, key, client_authority } = &self.files;
        let files = [Some(certificate), Some(key), client_authority.as_ref()];
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        files.into_iter().flatten().map(changed).collect()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(files: &Files, now: OffsetDateTime) -> Result<Pair, Error> {
    let chain = certificates(&files.certificate)?;
    let certificate = checked(&files.certificate, &chain, now)?;
    let failed = |source| Error::File { path: files.key.display().to_string(), source };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed)?;
    let unusable = |source| {
        let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::Mismatch { certificate, key },
            source => Error::Pair { certificate, key, source },
        }
    };
    let builder = || ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let http = builder().map_err(unusable)?.with_no_client_auth();
    let mut http = http.with_single_cert(chain.clone(), key.clone_key()).map_err(unusable)?;
    let grpc = builder().map_err(unusable)?;
    let grpc = match &files.client_authority {
        None => grpc.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                let bad = |source| Error::Pair {
                    certificate: path.display().to_string(),
                    key: files.key.display().to_string(),
                    source,
                };
                roots.add(authority).map_err(bad)?;
            }
            let failed = |source| Error::Authority { path: path.display().to_string(), source };
            // Users and health checks have no certificate, so it is optional here. `access` decides which calls need one.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            grpc.with_client_cert_verifier(verifier.allow_unauthenticated().build().map_err(failed)?)
        }
    };
    let mut grpc = grpc.with_single_cert(chain, key).map_err(unusable)?;
    grpc.alpn_protocols = vec![b"h2".to_vec()];
    http.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Pair { grpc: Arc::new(grpc), http: Arc::new(http), certificate })
}

/// The first certificate of a file, if it is valid now. A client that rejects an invalid one could not explain why.
fn checked(path: &Path, chain: &[CertificateDer<'_>], now: OffsetDateTime) -> Result<Certificate, Error> {
    let path = path.display().to_string();
    let Some(first) = chain.first() else { return Err(Error::Empty { path }) };
    let certificate = match Certificate::from_der(first) {
        Ok(certificate) => certificate,
        Err(source) => return Err(Error::Damaged { path, source }),
    };
    match certificate.validity(now) {
        Validity::Holds | Validity::EndsSoon => Ok(certificate),
        Validity::Expired => Err(Error::Expired { path, certificate: Box::new(certificate) }),
        Validity::NotYet => Err(Error::NotYet { path, certificate: Box::new(certificate) }),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(Error::Empty { path: path.display().to_string() }) } else { Ok(found) }
}
