//! Keeps the keyring as the store and the token files have it: at the start, whenever a token is made or revoked, and every
//! second, so that what another coordinator wrote, a secret that was mounted anew, and an end by time count soon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_spec::Digest;
use sweep_store::{self as store, leadership::Leadership};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::keyring::Given;
use super::secret::Error;
use super::{Keyring, Role, Secret};
use crate::clock::Clock;

const PAUSE: Duration = Duration::from_secs(1);
/// Refused calls are told of together, once in so long.
const TELL: Duration = Duration::from_secs(60);

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
    pub(crate) clock: Clock,
    /// What the files held.
    pub(crate) digests: Vec<Digest>,
    /// What was said of files and of the store, and need not be said again.
    pub(crate) said: (bool, bool),
}

impl Refresh {
    /// Until the coordinator stops. What cannot be read leaves what was known before.
    pub(crate) async fn run(mut self) {
        let mut told: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            self.files();
            if self.leadership.is_shared() {
                self.store().await;
            }
            self.keyring.tick(self.clock.unix_ms());
            if told.is_none_or(|at| at.elapsed() > TELL) {
                let calls = self.keyring.take_refused();
                if calls > 0 {
                    told = Some(Instant::now());
                    warn!(calls, "calls were refused: they had no token, an invalid one, or one with another role");
                }
            }
        }
    }

    fn files(&mut self) {
        if self.given.files.is_empty() {
            return;
        }
        match self.given.read() {
            Ok(given) => {
                let digests = given.iter().map(|given| given.digest).collect();
                if digests != self.digests {
                    info!("a token file has changed");
                    self.digests = digests;
                    self.keyring.give(given, self.clock.unix_ms());
                }
                self.said.0 = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said.0, true) {
                    warn!(error = %crate::chain(&error), "a token file cannot be read; its earlier token is still \
                        valid");
                }
            }
        }
    }

    async fn store(&mut self) {
        let read = async { Ok((self.leadership.tokens().await?, self.leadership.session_key().await?)) };
        match read.await {
            Ok((tokens, key)) => {
                self.keyring.stored(tokens, self.clock.unix_ms());
                if let Some(key) = key {
                    self.keyring.seal_with(key);
                }
                self.said.1 = false;
            }
            Err::<_, store::Error>(error) => {
                if !std::mem::replace(&mut self.said.1, true) {
                    warn!(error = %crate::chain(&error), "tokens cannot be read; the earlier ones are still valid");
                }
            }
        }
    }
}
