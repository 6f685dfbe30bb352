//! The coordinator to connect to, with the credentials and the trusted authority.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sweep_trust::{Roots, ServerCertVerifier, bounded};
use tonic::codegen::http::HeaderValue;

use crate::failure::Failure;

/// The largest credentials file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A token. `Debug` does not print it.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// The source of the token.
#[derive(Debug, Clone, Default)]
pub(crate) enum TokenSource {
    /// No token.
    #[default]
    Absent,
    Token(Token),
    /// The token in this file.
    File(PathBuf),
}

/// One coordinator, or several of which one is the leader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coordinator {
    /// Addresses, separated by commas.
    pub(crate) urls: String,
    /// The token of every call.
    pub(crate) token: TokenSource,
    /// The authority that signed its certificate, if the machine does not trust it.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Coordinator {
    /// A coordinator of this process, with a token that this process created.
    #[cfg(feature = "local")]
    pub(crate) fn local(url: String, token: &str) -> Self {
        Self { urls: url, token: TokenSource::Token(Token::new(token)), ca_file: None }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.urls
    }

    /// The HTTP header with the token.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, Failure> {
        let token = match &self.token {
            TokenSource::Absent => return Ok(None),
            TokenSource::Token(token) => token.clone(),
            TokenSource::File(path) => Token::new(&String::from_utf8_lossy(&read(path)?)),
        };
        let header = HeaderValue::from_str(&format!("Bearer {}", token.0)).ok().filter(|_| !token.0.is_empty());
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        // The error does not repeat the file's content.
        let none = || Failure::usage("invalid token: expected letters, digits and signs on one line");
        header.ok_or_else(none).map(Some)
    }

    /// Verifies coordinators' certificates. A configured authority replaces the machine's.
    pub(crate) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
        let verifier = match self.ca_file.as_deref() {
            Some(path) => sweep_trust::verifier(Roots::File(path, &read(path)?)),
            None => sweep_trust::verifier(Roots::Machine),
        };
        verifier.map_err(|error| {
            let failure = Failure::usage("cannot load the certificate authority").because(error);
            failure.hint("pass the certificate (PEM) of the coordinator's authority with --ca-file FILE")
        })
    }
}

impl fmt::Display for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.urls)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot read {}", path.display())).because(error);
    bounded::read(path, MAX_FILE_BYTES).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_into_a_header_and_is_not_shown() {
        let coordinator =
            Coordinator { token: TokenSource::Token(Token::new("secret-secret\n")), ..Coordinator::default() };
        let header = coordinator.header().unwrap().unwrap();
        assert_eq!(header, "Bearer secret-secret");
        assert!(!format!("{coordinator:?} {header:?}").contains("secret-secret"));
    }

    #[test]
    fn a_file_without_a_token_is_a_wrong_command_line_and_its_content_is_not_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let coordinator = Coordinator { token: TokenSource::File(file.path().to_owned()), ..Coordinator::default() };
        for content in ["", "secret\nsecret"] {
            std::fs::write(file.path(), content).unwrap();
            let failure = coordinator.header().unwrap_err().to_string();
            assert!(!failure.contains("secret"), "{failure}");
        }
    }
}
