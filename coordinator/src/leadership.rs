//! The leader task. It waits until this coordinator may write to the store, starts an engine for that term and opens the
//! services. When the coordinator loses leadership, the task closes the services and drops everything in memory.

use std::sync::Arc;
use std::time::Duration;

use sweep_store::Store;
use sweep_store::artifacts::Folder;
use sweep_store::leadership::{Leadership, Led, Waiting};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::access::{Keyring, SessionKey};
use crate::engine::{self, Trouble};
use crate::metrics::Metrics;
use crate::role::Role;
use crate::service::streams::Streams;
use crate::services::{Services, Term};
use crate::unix_ms;

/// Timeout for the engine of a lost term to stop. It can no longer write.
const ENGINE_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the task checks between commits that the store's file still exists.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Delay before the next attempt to lead, after the store could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// The task that leads whenever it can.
pub(crate) struct LeaderTask {
    pub(crate) leadership: Arc<dyn Leadership>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) engine: engine::Settings,
    pub(crate) artifacts: Folder,
    /// Limits of concurrent streams.
    pub(crate) streams: Streams,
    /// Tracks the tasks that send streams.
    pub(crate) tasks: TaskTracker,
    pub(crate) role: watch::Sender<Role>,
    /// Whether this coordinator leads and its engine has read the store.
    pub(crate) ready: watch::Sender<bool>,
    /// The damage of the store that makes this coordinator exit.
    pub(crate) damage: watch::Sender<Option<String>>,
    pub(crate) shutdown: CancellationToken,
}

impl LeaderTask {
    /// Leads whenever it can, until `shutdown` is cancelled. Returns the store of the last term, for the caller to close.
    pub(crate) async fn run(self) -> Option<Arc<dyn Store>> {
        loop {
            let led = tokio::select! {
                () = self.shutdown.cancelled() => return None,
                led = self.acquire() => led,
            };
            let store = Arc::clone(&led.store);
            self.lead(led).await;
            if self.shutdown.is_cancelled() {
                return Some(store);
            }
            // In a task of its own: closing connections to an unreachable database may take long.
            self.tasks.spawn(async move { store.close().await });
        }
    }

    async fn acquire(&self) -> Led {
        let waiting = watch::Sender::new(Waiting::Looking);
        let mut seen = waiting.subscribe();
        let acquired = self.leadership.acquire(&waiting);
        tokio::pin!(acquired);
        loop {
            tokio::select! {
                led = &mut acquired => return led,
                changed = seen.changed() => if changed.is_ok() {
                    self.role.send_replace(Role::Waiting(seen.borrow_and_update().clone()));
                },
            }
        }
    }

    /// Runs an engine until leadership is lost, or until `shutdown` is cancelled and the last batch is on disk.
    async fn lead(&self, led: Led) {
        // Tokens that the previous leader created or revoked apply before the first request.
        match led.store.tokens().await {
            Ok(tokens) => self.keyring.stored(tokens, unix_ms()),
            Err(error) => {
                warn!(error = %crate::chain(&error), "cannot read the tokens: this coordinator does not lead");
                return self.wait_before_retry().await;
            }
        }
        // A coordinator that answers one question has no pages, and so no browser sessions.
        if !self.engine.asked_once {
            match session_key(led.store.as_ref()).await {
                Ok(key) => self.keyring.seal_with(key),
                Err(error) => {
                    warn!(error = %crate::chain(&error), "cannot store a session key: this coordinator does not lead");
                    return self.wait_before_retry().await;
                }
            }
        }
        self.clear_artifacts().await;
        let (ended, tasks) = (self.shutdown.child_token(), TaskTracker::new());
        let metrics = Arc::clone(&self.metrics);
        let store = (Arc::clone(&led.store), self.artifacts.clone());
        let engine = engine::start(store, metrics, self.engine.clone(), &tasks, &ended);
        tasks.close();
        let (mut ready, mut trouble) = (engine.ready(), engine.trouble());
        let removed = self.removed(led.store.as_ref());
        tokio::pin!(removed);
        let services = self.services(engine, Arc::clone(&led.store), &ended);
        self.role.send_replace(Role::Leading(Arc::new(services)));
        loop {
            self.ready.send_replace(*ready.borrow_and_update());
            // An engine that finds damage stops at once, which closes its channels: the damage is read first.
            tokio::select! {
                biased;
                () = ended.cancelled() => break,
                () = led.lost.cancelled() => break,
                Ok(found) = trouble.wait_for(|trouble| matches!(trouble, Trouble::Damage(_))) => {
                    if let Trouble::Damage(why) = &*found {
                        self.damage.send_replace(Some(why.clone()));
                    }
                    self.shutdown.cancel();
                    break;
                }
                why = &mut removed => {
                    self.damage.send_replace(Some(why));
                    self.shutdown.cancel();
                    break;
                }
                changed = ready.changed() => if changed.is_err() { break },
            }
        }
        self.ready.send_replace(false);
        if self.shutdown.is_cancelled() {
            tasks.wait().await;
            // The services refer to this channel: without a new role, neither they nor the store would ever be dropped.
            self.role.send_replace(Role::Waiting(Waiting::Looking));
            return;
        }
        // Refuse new requests first: they are for another leader.
        self.role.send_replace(Role::Waiting(Waiting::Looking));
        ended.cancel();
        if tokio::time::timeout(ENGINE_STOP_TIMEOUT, tasks.wait()).await.is_err() {
            warn!("the engine did not end in time");
        }
    }

    /// Waits before the next attempt to lead; the shutdown ends the wait.
    async fn wait_before_retry(&self) {
        self.shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await;
    }

    /// Removes unfinished uploads of an earlier leader, and the copies of the store that its backups made. Workers and
    /// clients start again with this leader.
    async fn clear_artifacts(&self) {
        crate::backup::clear(&self.artifacts).await;
        match self.artifacts.remove_unfinished().await {
            Ok(0) => {}
            Ok(files) => info!(files, "removed unfinished artifacts"),
            Err(error) => warn!(error = %crate::chain(&error), "unfinished artifacts cannot be removed"),
        }
    }

    /// Returns when the store's file no longer exists. A coordinator without anything to commit would not notice that its
    /// file was removed; a shared database reports its own loss.
    async fn removed(&self, store: &dyn Store) -> String {
        loop {
            tokio::time::sleep(FILE_CHECK_INTERVAL).await;
            if self.leadership.is_shared() {
                continue;
            }
            if let Err(error) = store.check().await
                && error.is_gone()
            {
                return crate::chain(&error);
            }
        }
    }

    fn services(&self, engine: engine::Handle, store: Arc<dyn Store>, ended: &CancellationToken) -> Services {
        Services::new(Term {
            engine,
            store,
            artifacts: self.artifacts.clone(),
            keyring: Arc::clone(&self.keyring),
            streams: self.streams.clone(),
            tasks: self.tasks.clone(),
            ended: ended.clone(),
        })
    }
}

/// The key that seals browser sessions. The first leader of a store creates it.
async fn session_key(store: &dyn Store) -> Result<SessionKey, engine::Error> {
    if let Some(key) = store.session_key().await? {
        return Ok(key);
    }
    let key = SessionKey::generate().map_err(|error| engine::Error::Internal(error.to_string()))?;
    store.keep_session_key(&key, unix_ms()).await?;
    // The stored key wins if another coordinator was faster.
    Ok(store.session_key().await?.unwrap_or(key))
}
