//! The worker's credentials: a token for every call, an optional client certificate, and the trusted authorities. The
//! token's file is read again from time to time, so that a replaced token needs no restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sweep_trust::{Certificate, Roots, ServerCertVerifier, Validity, shown};
use time::OffsetDateTime;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{ClientTlsConfig, Identity};
use tonic::{Request, Status};

use crate::config::Config;
use crate::files;

/// How long a token from a file is used before the file is read again.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);
/// The largest credentials file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A token. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Trims whitespace around the token.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    fn header(&self) -> Option<MetadataValue<Ascii>> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", self.0).parse().ok()?;
        value.set_sensitive(true);
        Some(value).filter(|_| !self.0.is_empty())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// Why the credentials cannot be used. Messages never contain a file's content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is not a token.
    #[error("{} does not contain one token on one line: write the token that `sweepctl token create` printed into it", path.display())]
    NotAToken { path: PathBuf },
    /// The file contains no usable authority, or the machine trusts none.
    #[error(
        "cannot load the certificate authority: pass the certificate (PEM) of the coordinator's authority with --ca-file"
    )]
    Authority(#[from] sweep_trust::Error),
    /// The client certificate cannot be read.
    #[error("{} is not a certificate that the worker can use", path.display())]
    NotACertificate {
        path: PathBuf,
        #[source]
        source: sweep_trust::Damaged,
    },
    /// The client certificate has expired or is not valid yet.
    #[error("{}: {certificate}, is valid from {} to {}, but not now", path.display(), shown(certificate.not_before), shown(certificate.not_after))]
    NotValidNow { path: PathBuf, certificate: Box<Certificate> },
    /// A certificate without its key, or a key without its certificate.
    #[error("one of `client_cert` and `client_key` is missing: set both or none")]
    IncompletePair,
}

/// Adds the token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(Arc<Mutex<Cached>>);

struct Cached {
    header: Option<MetadataValue<Ascii>>,
    file: Option<PathBuf>,
    read: Instant,
}

impl Bearer {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let header = match (&config.token, &config.token_file) {
            (Some(token), _) => token.header(),
            (None, Some(path)) => Some(read_token(path)?),
            (None, None) => None,
        };
        let file = config.token_file.clone().filter(|_| config.token.is_none());
        Ok(Self(Arc::new(Mutex::new(Cached { header, file, read: Instant::now() }))))
    }
}

impl Bearer {
    /// Whether a token is configured.
    pub(crate) fn has_token(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).header.is_some()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &cached.file
            && cached.read.elapsed() > REREAD_INTERVAL
        {
            // If the file cannot be read now, the previous token stays in use.
            let header = read_token(path).ok();
            cached.header = header.or(cached.header.take());
            cached.read = Instant::now();
        }
        if let Some(header) = &cached.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    files::read(path, MAX_FILE_BYTES).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn read_token(path: &Path) -> Result<MetadataValue<Ascii>, Error> {
    let bytes = read(path)?;
    let token = std::str::from_utf8(&bytes).ok().map(Token::new);
    token.and_then(|token| token.header()).ok_or_else(|| Error::NotAToken { path: path.to_owned() })
}

/// TLS settings for coordinators with an `https` address.
pub(crate) fn tls(config: &Config) -> Result<ClientTlsConfig, Error> {
    let tls = ClientTlsConfig::new();
    match (&config.client_cert, &config.client_key) {
        (Some(path), Some(key)) => {
            let pem = read(path)?;
            check_dates(path, &pem)?;
            Ok(tls.identity(Identity::from_pem(pem, read(key)?)))
        }
        (None, None) => Ok(tls),
        (Some(_), None) | (None, Some(_)) => Err(Error::IncompletePair),
    }
}

/// Verifies the coordinator's certificate.
pub(crate) fn verifier(config: &Config) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let Some(path) = &config.ca_file else { return Ok(sweep_trust::verifier(Roots::Machine)?) };
    // A configured authority replaces the machine's.
    Ok(sweep_trust::verifier(Roots::File(path, &read(path)?))?)
}

/// Refuses a certificate outside its dates, as a coordinator would, and names it.
fn check_dates(path: &Path, pem: &[u8]) -> Result<(), Error> {
    let damaged = |source| Error::NotACertificate { path: path.to_owned(), source };
    let certificate = Certificate::from_pem(pem).map_err(damaged)?;
    match certificate.validity(OffsetDateTime::now_utc()) {
        Validity::Holds => Ok(()),
        Validity::EndsSoon => {
            tracing::warn!(path = %path.display(), not_after = shown(certificate.not_after), "the certificate expires soon: renew it");
            Ok(())
        }
        Validity::Expired | Validity::NotYet => {
            Err(Error::NotValidNow { path: path.to_owned(), certificate: Box::new(certificate) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bearer: &mut Bearer) -> Option<String> {
        let request = bearer.call(Request::new(())).unwrap();
        request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_goes_with_every_call_and_is_not_shown() {
        let config = Config { token: Some(Token::new(" secret-secret\n")), ..Config::default() };
        let mut bearer = Bearer::new(&config).unwrap();
        assert_eq!(header(&mut bearer).as_deref(), Some("Bearer secret-secret"));
        assert!(!format!("{config:?}").contains("secret-secret"));
        assert_eq!(header(&mut Bearer::new(&Config::default()).unwrap()), None);
    }

    #[test]
    fn a_file_that_is_replaced_is_read_again_and_one_that_is_gone_is_not_missed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "first\n").unwrap();
        let config = Config { token_file: Some(file.path().to_owned()), ..Config::default() };
        let mut bearer = Bearer::new(&config).unwrap();
        let later = |bearer: &Bearer| bearer.0.lock().unwrap().read -= 2 * REREAD_INTERVAL;
        std::fs::write(file.path(), "second\n").unwrap();
        assert_eq!(header(&mut bearer).as_deref(), Some("Bearer first"));
        later(&bearer);
        assert_eq!(header(&mut bearer).as_deref(), Some("Bearer second"));
        drop(file);
        later(&bearer);
        assert_eq!(header(&mut bearer).as_deref(), Some("Bearer second"));
    }

    #[test]
    fn a_file_that_holds_no_token_is_named_without_its_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in ["", "\n", "one\ntwo", "\u{7}"] {
            std::fs::write(file.path(), content).unwrap();
            let config = Config { token_file: Some(file.path().to_owned()), ..Config::default() };
            assert!(matches!(Bearer::new(&config), Err(Error::NotAToken { .. })), "{content:?}");
        }
    }
}
