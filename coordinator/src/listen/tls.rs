//! Certificates: read, checked, and read again when their files change, so that one that is renewed needs no restart.

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

use super::Speech;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How often the log says that a certificate ends soon, or has ended.
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those between it and an authority that clients know.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority of workers' certificates, where they must show one.
    pub client_authority: Option<PathBuf>,
}

/// Why connections cannot be made secret. Nothing of a key is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is no PEM, or not there.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A file without a certificate.
    #[error("{path} contains no certificate")]
    Empty {
        /// Which.
        path: String,
    },
    /// A certificate and a key that do not fit, or are of a kind that nobody knows.
    #[error("the certificate {certificate} and the key {key} cannot be used")]
    Pair {
        /// The certificate's file.
        certificate: String,
        /// The key's.
        key: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A key of another certificate.
    #[error("the key {key} does not belong to the certificate {certificate}: name the key that was made with it")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's.
        key: String,
    },
    /// A certificate whose time is over.
    #[error("{path}: {certificate}, expired on {}; renew it, because clients do not trust it", shown(certificate.not_after))]
    Expired {
        /// Which file.
        path: String,
        /// What is in it.
        certificate: Box<Certificate>,
    },
    /// A certificate whose time has not come.
    #[error(
        "{path}: {certificate}, is valid only from {} on; check this machine's clock, because clients do not trust it",
        shown(certificate.not_before)
    )]
    NotYet {
        /// Which file.
        path: String,
        /// What is in it.
        certificate: Box<Certificate>,
    },
    /// A certificate that cannot be read.
    #[error("{path} cannot be used")]
    Damaged {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: Damaged,
    },
    /// An authority that is none.
    #[error("{path} is not a certificate authority")]
    Authority {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

struct Pair {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    /// What is in the certificate.
    certificate: Certificate,
}

/// What connections are made secret with.
pub struct Tls {
    files: Files,
    pair: RwLock<Pair>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(files: Files) -> Result<Self, Error> {
        let pair = RwLock::new(read(&files, OffsetDateTime::now_utc())?);
        Ok(Self { files, pair })
    }

    /// Warns of a certificate that does not hold for long any more, or not at all.
    fn warn_of_the_end(&self) {
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

    pub(super) fn acceptor(&self, speech: Speech) -> TlsAcceptor {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(match speech {
            Speech::Grpc => &pair.grpc,
            Speech::Http => &pair.http,
        }))
    }

    /// Reads the files again whenever they change; what cannot be used leaves what was.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut seen = self.changed();
        let mut remind = tokio::time::interval(REMIND);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = remind.tick() => {
                    self.warn_of_the_end();
                    continue;
                }
                () = tokio::time::sleep(LOOK) => {}
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

/// The one that is used everywhere here.
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
            // People and health checks have none: who needs one is decided where the call is known.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            grpc.with_client_cert_verifier(verifier.allow_unauthenticated().build().map_err(failed)?)
        }
    };
    let mut grpc = grpc.with_single_cert(chain, key).map_err(unusable)?;
    grpc.alpn_protocols = vec![b"h2".to_vec()];
    http.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Pair { grpc: Arc::new(grpc), http: Arc::new(http), certificate })
}

/// The first certificate of a file, where it holds: with another no client would speak, and none could say why so well.
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
