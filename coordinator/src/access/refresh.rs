//! Keeps the keyring in step with the token files and the store. It reads them every second, so that a remounted secret, a
//! token that another coordinator created or revoked, and an expiry take effect soon.

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

const INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two log lines about refused calls.
const REFUSED_INTERVAL: Duration = Duration::from_secs(60);

/// Tokens that the configuration gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenTokens {
    /// Files with one token each.
    pub files: Vec<(Role, PathBuf)>,
    /// Hashes of tokens from the program that embeds the coordinator.
    pub digests: Vec<(Role, Digest)>,
}

impl GivenTokens {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or contains no token.
    pub(crate) fn read(&self) -> Result<Vec<Given>, Error> {
        let files =
            self.files.iter().map(|(role, path)| Ok(Given { role: *role, digest: Secret::read(path)?.digest() }));
        let made = self.digests.iter().map(|(role, digest)| Ok(Given { role: *role, digest: *digest }));
        files.chain(made).collect()
    }
}

/// The task that reads the files and the store.
pub(crate) struct Refresh {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) given: GivenTokens,
    pub(crate) leadership: Arc<dyn Leadership>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) clock: Clock,
    /// The digests of the tokens that the files contained.
    pub(crate) digests: Vec<Digest>,
    /// Whether a failure of the files, and of the store, was logged already.
    pub(crate) said: (bool, bool),
}

impl Refresh {
    /// Runs until the coordinator stops. If a read fails, the earlier tokens stay valid.
    pub(crate) async fn run(mut self) {
        let mut logged: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            self.files();
            if self.leadership.is_shared() {
                self.store().await;
            }
            self.keyring.tick(self.clock.unix_ms());
            if logged.is_none_or(|at| at.elapsed() > REFUSED_INTERVAL) {
                let calls = self.keyring.take_refused();
                if calls > 0 {
                    logged = Some(Instant::now());
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
