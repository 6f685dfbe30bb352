//! Keeps the keyring as the store and the token files have it: at the start, whenever a token is made or revoked, and every
//! second, so that what another coordinator wrote, a secret that was mounted anew, and an end by time count soon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_spec::Digest;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::keyring::Given;
use super::secret::Error;
use super::{Keyring, Role, Secret, unix_ms};
use crate::store::leadership::Leadership;

const PAUSE: Duration = Duration::from_secs(1);

/// Tokens that the configuration gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenTokens {
    /// Files with one token each.
    pub files: Vec<(Role, PathBuf)>,
    /// Hashes of tokens that whoever embeds a coordinator made.
    pub digests: Vec<(Role, Digest)>,
}

impl GivenTokens {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or holds no token.
    pub(crate) fn read(&self) -> Result<Vec<Given>, Error> {
        let files =
            self.files.iter().map(|(role, path)| Ok(Given { role: *role, digest: Secret::read(path)?.digest() }));
        let made = self.digests.iter().map(|(role, digest)| Ok(Given { role: *role, digest: *digest }));
        files.chain(made).collect()
    }
}

/// What is looked at again and again.
pub(crate) struct Refresh {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) given: GivenTokens,
    pub(crate) leadership: Arc<dyn Leadership>,
    pub(crate) shutdown: CancellationToken,
}

impl Refresh {
    /// Until the coordinator stops. What cannot be read leaves what was known before.
    pub(crate) async fn run(self) {
        let (mut digests, mut said) = (Vec::new(), (false, false));
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if !self.given.files.is_empty() {
                match self.given.read() {
                    Ok(given) => {
                        let now: Vec<_> = given.iter().map(|given| given.digest).collect();
                        if now != digests && !digests.is_empty() {
                            info!("a token file has changed");
                        }
                        digests = now;
                        self.keyring.give(given, unix_ms());
                        said.0 = false;
                    }
                    Err(error) if !said.0 => {
                        warn!(error = %crate::chain(&error), "a token file cannot be read: the token before still holds");
                        said.0 = true;
                    }
                    Err(_) => {}
                }
            }
            if self.leadership.is_shared() {
                match self.leadership.tokens().await {
                    Ok(tokens) => {
                        self.keyring.stored(tokens, unix_ms());
                        said.1 = false;
                    }
                    Err(error) if !said.1 => {
                        warn!(error = %crate::chain(&error), "tokens cannot be read: those before still hold");
                        said.1 = true;
                    }
                    Err(_) => {}
                }
            }
            self.keyring.tick(unix_ms());
        }
    }
}
