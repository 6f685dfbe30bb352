//! From standing by to leading and back: when this coordinator gets the right to write, an engine is started on the store
//! and the services are opened; when it loses it, they are closed and memory is dropped.

use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1::access_service_server::AccessServiceServer;
use sweep_proto::v1::store_service_server::StoreServiceServer;
use sweep_proto::v1::sweep_service_server::SweepServiceServer;
use sweep_proto::v1::worker_service_server::WorkerServiceServer;
use sweep_store::Store;
use sweep_store::artifacts::Folder;
use sweep_store::leadership::{Leadership, Led, Waiting};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::about::About;
use crate::access::{Keyring, SessionKey};
use crate::engine::{self, Trouble};
use crate::grpc::access::Access;
use crate::grpc::sweep::Sweeps;
use crate::grpc::upkeep::Upkeep;
use crate::grpc::worker::Workers;
use crate::grpc::{MAX_ENDING_BYTES, MAX_QUESTION_BYTES, MAX_REPORT_BYTES, MAX_RESPONSE_BYTES};
use crate::metrics::Metrics;
use crate::streams::Streams;
use crate::unix_ms;

/// How long an engine that lost its right may take to end. It can write nothing any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a store's file is looked for between commits.
const LOOK: Duration = Duration::from_secs(1);
/// After a store could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// Whether this coordinator leads.
#[derive(Clone)]
pub enum Standing {
    /// It does not.
    Waiting(Waiting),
    /// It does.
    Leading(Arc<Room>),
}

/// What there is while this coordinator leads.
pub struct Room {
    /// The engine.
    pub engine: engine::Handle,
    /// What workers ask.
    workers: WorkerServiceServer<Workers>,
    /// Endings, which are longer.
    endings: WorkerServiceServer<Workers>,
    /// What people ask.
    sweeps: SweepServiceServer<Sweeps>,
    /// The same, for pages, which ask without a wire.
    pub(crate) people: Sweeps,
    /// What admins ask.
    access: AccessServiceServer<Access>,
    /// What keeps the store in order.
    upkeep: StoreServiceServer<Upkeep>,
}

impl Room {
    /// What answers workers at this path.
    pub(crate) fn workers(&self, path: &str) -> WorkerServiceServer<Workers> {
        if path.ends_with("/Finish") { self.endings.clone() } else { self.workers.clone() }
    }

    /// What answers people, at any path.
    pub(crate) fn sweeps(&self, _path: &str) -> SweepServiceServer<Sweeps> {
        self.sweeps.clone()
    }

    /// What answers admins, at any path.
    pub(crate) fn access(&self, _path: &str) -> AccessServiceServer<Access> {
        self.access.clone()
    }

    /// What keeps the store in order, at any path.
    pub(crate) fn upkeep(&self, _path: &str) -> StoreServiceServer<Upkeep> {
        self.upkeep.clone()
    }
}

/// What the task is given that leads when it can.
pub(crate) struct Office {
    pub(crate) leadership: Arc<dyn Leadership>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) engine: engine::Settings,
    pub(crate) artifacts: Folder,
    /// What this coordinator is.
    pub(crate) about: Arc<About>,
    /// How many of them there may be.
    pub(crate) streams: Streams,
    /// Where streams run.
    pub(crate) tasks: TaskTracker,
    pub(crate) standing: watch::Sender<Standing>,
    /// Whether it leads and holds what the store holds.
    pub(crate) ready: watch::Sender<bool>,
    /// What of the store is damaged: the coordinator leaves.
    pub(crate) damage: watch::Sender<Option<String>>,
    pub(crate) shutdown: CancellationToken,
}

impl Office {
    /// Leads whenever it can, until the token is cancelled; gives the store that is to be closed then.
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
            // Nobody waits for connections to a database that may be away.
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
                    self.standing.send_replace(Standing::Waiting(seen.borrow_and_update().clone()));
                },
            }
        }
    }

    /// Runs an engine until the right is lost, or the token cancelled and the last batch on disk.
    async fn lead(&self, led: Led) {
        // What was made or revoked under the coordinator before counts before anybody is let in.
        match led.store.tokens().await {
            Ok(tokens) => self.keyring.stored(tokens, unix_ms()),
            Err(error) => {
                warn!(error = %crate::chain(&error), "cannot read the tokens: this coordinator does not lead");
                return tokio::time::sleep(RETRY).await;
            }
        }
        // A question that is asked once has no pages, and so no browsers.
        if !self.engine.asked_once {
            match session_key(led.store.as_ref()).await {
                Ok(key) => self.keyring.seal_with(key),
                Err(error) => {
                    warn!(error = %crate::chain(&error), "cannot store a session key: this coordinator does not lead");
                    return tokio::time::sleep(RETRY).await;
                }
            }
        }
        self.clear_artifacts().await;
        let (term, tasks) = (self.shutdown.child_token(), TaskTracker::new());
        let metrics = Arc::clone(&self.metrics);
        let store = (Arc::clone(&led.store), self.artifacts.clone());
        let engine = engine::start(store, metrics, self.engine.clone(), &tasks, &term);
        tasks.close();
        let (mut ready, mut trouble) = (engine.ready(), engine.trouble());
        let gone = self.gone(led.store.as_ref());
        tokio::pin!(gone);
        self.standing.send_replace(Standing::Leading(Arc::new(self.room(engine, Arc::clone(&led.store), &term))));
        loop {
            self.ready.send_replace(*ready.borrow_and_update());
            // An engine that found damage leaves at once, and its channels close with it: damage is looked at first.
            tokio::select! {
                biased;
                () = term.cancelled() => break,
                () = led.lost.cancelled() => break,
                Ok(found) = trouble.wait_for(|trouble| matches!(trouble, Trouble::Damage(_))) => {
                    if let Trouble::Damage(why) = &*found {
                        self.damage.send_replace(Some(why.clone()));
                    }
                    self.shutdown.cancel();
                    break;
                }
                why = &mut gone => {
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
            // The room knows of this channel, so nobody would ever let go of the store.
            self.standing.send_replace(Standing::Waiting(Waiting::Looking));
            return;
        }
        // Refuse first: what comes now is for another.
        self.standing.send_replace(Standing::Waiting(Waiting::Looking));
        term.cancel();
        if tokio::time::timeout(PATIENCE, tasks.wait()).await.is_err() {
            warn!("the engine did not end in time");
        }
    }

    /// Removes artifacts that an earlier leader had begun to take, and its backups' copies of the store. Workers and clients
    /// begin again, with this one.
    async fn clear_artifacts(&self) {
        crate::backup::clear(&self.artifacts).await;
        match self.artifacts.remove_unfinished().await {
            Ok(0) => {}
            Ok(files) => info!(files, "removed unfinished artifacts"),
            Err(error) => warn!(error = %crate::chain(&error), "unfinished artifacts cannot be removed"),
        }
    }

    /// Returns when the store's file is not there any more. A file can be removed under a coordinator that has nothing to
    /// commit; a database that is shared says so itself.
    async fn gone(&self, store: &dyn Store) -> String {
        loop {
            tokio::time::sleep(LOOK).await;
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

    fn room(&self, engine: engine::Handle, store: Arc<dyn Store>, term: &CancellationToken) -> Room {
        let workers = WorkerServiceServer::new(Workers::new(engine.clone(), self.artifacts.clone()));
        let about = Arc::clone(&self.about);
        let run = (self.streams.clone(), self.tasks.clone(), term.clone());
        let sweeps = Sweeps::new(engine.clone(), self.artifacts.clone(), about, run);
        let people = sweeps.clone();
        let sweeps = SweepServiceServer::new(sweeps);
        let workers = workers.max_encoding_message_size(MAX_RESPONSE_BYTES);
        let access = AccessServiceServer::new(Access::new(store, Arc::clone(&self.keyring)));
        let tasks = (self.tasks.clone(), term.clone());
        let upkeep =
            StoreServiceServer::new(Upkeep::new(people.clone(), (engine.clone(), self.artifacts.clone()), tasks));
        Room {
            engine,
            people,
            access,
            upkeep,
            endings: workers.clone().max_decoding_message_size(MAX_ENDING_BYTES),
            workers: workers.max_decoding_message_size(MAX_REPORT_BYTES),
            sweeps: sweeps.max_decoding_message_size(MAX_QUESTION_BYTES).max_encoding_message_size(MAX_RESPONSE_BYTES),
        }
    }
}

/// The key under which sessions of browsers are sealed; the first coordinator that leads makes it.
async fn session_key(store: &dyn Store) -> Result<SessionKey, engine::Error> {
    if let Some(key) = store.session_key().await? {
        return Ok(key);
    }
    let key = SessionKey::generate().map_err(|error| engine::Error::Internal(error.to_string()))?;
    store.keep_session_key(&key, unix_ms()).await?;
    // What is kept counts, should another one have been faster.
    Ok(store.session_key().await?.unwrap_or(key))
}
