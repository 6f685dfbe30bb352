//! The secret of a token: made here, read from a file or a header, and never shown.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sweep_spec::Digest;
use sweep_trust::bounded;

/// How a token of ours begins, so that people and scanners know one when they see it.
const PREFIX: &str = "sweep_";
/// As many random bytes: nobody guesses them, however fast the hash is that they are stored under.
const RANDOM_BYTES: usize = 32;
/// Fewer for a code that opens once and expires: it has to fit on a line of a terminal.
const CODE_BYTES: usize = 16;
/// The shortest secret that is taken from a file, and the longest that is looked at.
const SHORTEST: usize = 20;
const LONGEST: usize = 512;
/// The largest file of a token.
const MAX_FILE_BYTES: u64 = 4096;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why there is no secret. What was found is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("cannot read the token file {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in it.
    #[error("{path} contains no token: expected {SHORTEST} to {LONGEST} letters, digits and signs on one line")]
    NotAToken {
        /// Which.
        path: String,
    },
    /// No random numbers.
    #[error("cannot get random numbers from this machine")]
    Random(#[source] getrandom::Error),
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(format!("{PREFIX}{}", random::<RANDOM_BYTES>()?)))
    }

    /// A new one for an address: without the prefix, because it is no token.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub(crate) fn code() -> Result<Self, Error> {
        Ok(Self(random::<CODE_BYTES>()?))
    }

    /// The one in a file; what stands around it does not count.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = || path.display().to_string();
        let bytes = bounded::read(path, MAX_FILE_BYTES).map_err(|source| match source.kind() {
            ErrorKind::FileTooLarge => Error::NotAToken { path: name() },
            _ => Error::File { path: name(), source },
        })?;
        let text = std::str::from_utf8(&bytes).ok().and_then(Self::of);
        text.filter(|secret| secret.0.len() >= SHORTEST).ok_or_else(|| Error::NotAToken { path: name() })
    }

    /// What somebody presents, if it can be a token at all.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// Of a header `Authorization: Bearer ...`.
    pub fn bearer(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") { Self::of(rest) } else { None }
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// For the one to whom it is given.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Random bytes as letters that an address and a header can hold.
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
