//! The secret of a token: generated, or read from a file or a header. It is never logged.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sweep_spec::Digest;
use sweep_trust::bounded;

/// The prefix of every token, so that people and secret scanners recognise one.
const PREFIX: &str = "sweep_";
/// Random bytes of a token: enough that a fast hash in the store is safe.
const RANDOM_BYTES: usize = 32;
/// Random bytes of the code of a link. They are fewer, so that the link fits on a line; a code is valid once and expires.
const CODE_BYTES: usize = 16;
/// The shortest secret that a file may contain, and the longest that is read.
const SHORTEST: usize = 20;
const LONGEST: usize = 512;
/// The largest token file, in bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// A secret of a token, or the code of a link.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why there is no secret. No message repeats the content of a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the token file {path}")]
    File {
        /// The path.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file contains no token.
    #[error("{path} contains no token: expected {SHORTEST} to {LONGEST} letters, digits and signs on one line")]
    NotAToken {
        /// The path.
        path: String,
    },
    /// The operating system provides no random numbers.
    #[error("cannot get random numbers from this machine")]
    Random(#[source] getrandom::Error),
}

impl Secret {
    /// Generates a token.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(format!("{PREFIX}{}", random::<RANDOM_BYTES>()?)))
    }

    /// Generates a code for a link: without the prefix, because it is not a token.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub(crate) fn code() -> Result<Self, Error> {
        Ok(Self(random::<CODE_BYTES>()?))
    }

    /// Reads a token from a file. Whitespace around it is ignored.
    ///
    /// # Errors
    /// The file cannot be read, or contains no token.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = || path.display().to_string();
        let bytes = bounded::read(path, MAX_FILE_BYTES).map_err(|source| match source.kind() {
            ErrorKind::FileTooLarge => Error::NotAToken { path: name() },
            _ => Error::File { path: name(), source },
        })?;
        let text = std::str::from_utf8(&bytes).ok().and_then(Self::of);
        text.filter(|secret| secret.0.len() >= SHORTEST).ok_or_else(|| Error::NotAToken { path: name() })
    }

    /// A presented text, if it has the form of a token.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The token of a header `Authorization: Bearer ...`.
    pub fn bearer(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") { Self::of(rest) } else { None }
    }

    /// The hash that the store keeps.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The secret in clear text, for its owner only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Random bytes as text that fits into an address and a header.
fn random<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_long_unlike_any_other_and_not_shown() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        assert!(!format!("{one:?}").contains(&one.reveal()[PREFIX.len()..]));
    }

    #[test]
    fn a_file_holds_one_token_or_is_refused_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::generate().unwrap();
        std::fs::write(&path, format!("  {}\n", secret.reveal())).unwrap();
        assert_eq!(Secret::read(&path).unwrap(), secret);
        let wrong: [&[u8]; 5] = [b"", b"short", b"two words that are long enough", &[0xff; 40], &[b'a'; 5000]];
        for content in wrong {
            std::fs::write(&path, content).unwrap();
            let error = Secret::read(&path).unwrap_err().to_string();
            assert!(error.contains("contains no token") && !error.contains("words that"), "{error}");
        }
        assert!(matches!(Secret::read(&folder.path().join("none")), Err(Error::File { .. })));
    }

    #[test]
    fn a_header_is_taken_apart_with_care() {
        assert_eq!(Secret::bearer("Bearer abc").unwrap().reveal(), "abc");
        assert_eq!(Secret::bearer("bearer  abc ").unwrap().reveal(), "abc");
        for header in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer a b", "Bearer \u{7f}"] {
            assert!(Secret::bearer(header).is_none(), "{header:?}");
        }
        assert!(Secret::bearer(&format!("Bearer {}", "a".repeat(LONGEST + 1))).is_none());
    }
}
