//! Wiring: store, gRPC, HTTP and who leads, started and stopped in this order.
//!
//! Stopping: the health service says so, new requests are refused, parked polls and streams end, what was decided is
//! committed, listeners close, the store closes. What does not end within the deadline is left behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1::access_service_server::SERVICE_NAME as ACCESS;
use sweep_proto::v1::store_service_server::SERVICE_NAME as STORE;
use sweep_proto::v1::sweep_service_server::SERVICE_NAME as SWEEPS;
use sweep_proto::v1::worker_service_server::SERVICE_NAME as WORKERS;
use sweep_store::artifacts::Folder;
use sweep_store::leadership::{Leadership, Waiting};
use sweep_store::location::Location;
use sweep_store::postgres::durability::Safety;
use sweep_store::{self as store, Opening, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::about::About;
use crate::access::keyring::Given;
use crate::access::refresh::Refresh;
use crate::access::{self, Keyring};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine;
use crate::grpc::gate::Gate;
use crate::grpc::timing::Timing;
use crate::leading::{Office, Room, Standing};
use crate::listen::tls::{self, Tls};
use crate::listen::{self, Door, Speech};
use crate::metrics::{Metrics, Places};
use crate::streams::Streams;
use crate::web::{Web, router};

/// A quiet connection is asked whether it still lives this often.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_WAIT: Duration = Duration::from_secs(10);
/// Calls that one connection may have under way: a worker has some dozen, `sweepctl` a few.
const MAX_STREAMS: u32 = 256;
/// The longest headers of a call, in bytes.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] store::Error),
    /// A port.
    #[error("cannot listen on {address} for {purpose}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// `gRPC` or `HTTP`.
        purpose: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A metric's definition.
    #[error("cannot create the metrics")]
    Metrics(#[from] prometheus::Error),
    /// A file of a token.
    #[error("cannot use the tokens of the configuration")]
    Token(#[from] access::secret::Error),
    /// Certificates.
    #[error("cannot set up TLS")]
    Tls(#[from] tls::Error),
    /// Others could do everything.
    #[error(
        "{key} {address} can be reached by other machines, and no token exists: create one with `sweepctl token create \
        --store {store}`, or name a file with --admin-token-file; to accept every request without a token, add \
        --insecure"
    )]
    Exposed {
        /// Which flag.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// The store.
        store: String,
    },
    /// The reflection service.
    #[error("cannot describe the services")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Where a browser on this machine finds the pages.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    url: String,
    opens_once: bool,
}

impl std::fmt::Display for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = if self.opens_once { " (it opens once, within an hour)" } else { "" };
        write!(f, "pages: {}{bound}", self.url)
    }
}

/// A coordinator that runs.
pub struct Handle {
    grpc: SocketAddr,
    http: SocketAddr,
    store: Location,
    standing: watch::Receiver<Standing>,
    ready: watch::Receiver<bool>,
    damage: watch::Receiver<Option<String>>,
    keyring: Arc<Keyring>,
    clock: Clock,
    secure: bool,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    shutdown_seconds: u64,
    /// Ends with the store that is to be closed.
    office: JoinHandle<Option<Arc<dyn Store>>>,
}

/// Starts a coordinator in this process. It runs until `shutdown` is cancelled and [`Handle::stopped`] is awaited.
///
/// # Errors
/// The store cannot be opened, or a port is taken.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Handle, Error> {
    start_at(config, Clock::default(), shutdown).await
}

/// The same by another clock than the machine's.
///
/// # Errors
/// As of [`start`].
pub async fn start_at(config: Config, clock: Clock, shutdown: CancellationToken) -> Result<Handle, Error> {
    let artifacts = Folder::open(&config.artifacts())?;
    let metrics = Arc::new(Metrics::new()?);
    let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
    let grpc = bind(config.listen, Speech::Grpc).await?;
    // A question needs no pages.
    let http = if config.asked_once { None } else { Some(bind(config.listen_http, Speech::Http).await?) };
    let bound = |listener: &TcpListener, address| {
        listener.local_addr().map_err(|source| Error::Listen { address, purpose: "its own address", source })
    };
    let grpc_address = bound(&grpc, config.listen)?;
    let http_address = http.as_ref().map_or(Ok(config.listen_http), |http| bound(http, config.listen_http))?;
    let address = config.address(grpc_address);
    let safety = if config.allow_unsafe_database { Safety::Waived } else { Safety::Required };
    let opening = Opening { address, accept_loss: config.accept_loss, safety };
    let leadership = store::open(&config.store, opening).await?;
    let leadership: Arc<dyn Leadership> = Arc::from(leadership);
    let given = config.tokens.read()?;
    let digests = given.iter().map(|given| given.digest).collect();
    let keyring = keyring(&config, given, (leadership.as_ref(), &clock)).await?;
    let handle_clock = clock.clone();
    let tasks = TaskTracker::new();
    let (standing, stands) = watch::channel(Standing::Waiting(Waiting::Looking));
    let (ready, is_ready) = watch::channel(false);
    let (damage, damaged) = watch::channel(None);
    let about = Arc::new(About::new(&config, stands.clone(), http_address));
    let rooms = Rooms {
        stands: stands.clone(),
        ready: is_ready.clone(),
        door: access::grpc::Door { keyring: Arc::clone(&keyring), clock: clock.clone() },
        about: Arc::clone(&about),
        metrics: Arc::clone(&metrics),
    };
    let grpc = Door { listener: grpc, speech: Speech::Grpc, tls: tls.clone() }.open(&tasks, &shutdown);
    serve_grpc(grpc, rooms, &tasks, &shutdown)?;
    let door = access::http::Door {
        keyring: Arc::clone(&keyring),
        any_host: config.insecure,
        tls: tls.is_some(),
        port: http_address.port(),
        clock: clock.clone(),
    };
    let places = Places::of(&config);
    let web = router(Web { standing: stands.clone(), metrics: Arc::clone(&metrics), places }, door);
    let secure = tls.is_some();
    if let Some(listener) = http {
        let http = Door { listener, speech: Speech::Http, tls: tls.clone() }.open(&tasks, &shutdown);
        tasks.spawn(listen::http::serve(http, web, tasks.clone(), shutdown.clone()));
    }
    if let Some(tls) = tls {
        tasks.spawn(tls.follow(shutdown.clone()));
    }
    let refresh = Refresh {
        keyring: Arc::clone(&keyring),
        given: config.tokens.clone(),
        leadership: Arc::clone(&leadership),
        shutdown: shutdown.clone(),
        clock: clock.clone(),
        digests,
        said: (false, false),
    };
    tasks.spawn(refresh.run());
    // A parked poll must not hold the listeners open: the engine leaves with the token, before they do.
    let office = Office {
        leadership,
        keyring: Arc::clone(&keyring),
        metrics,
        engine: engine::Settings {
            scheduler: config.scheduler(),
            limits: config.limits(),
            clock,
            asked_once: config.asked_once,
        },
        artifacts,
        about,
        streams: Streams::new(config.streams),
        tasks: tasks.clone(),
        standing,
        ready,
        damage,
        shutdown: shutdown.clone(),
    };
    let office = tokio::spawn(office.run());
    tasks.close();
    info!(grpc = %grpc_address, http = %http_address, store = %config.store, "the coordinator listens");
    Ok(Handle {
        grpc: grpc_address,
        http: http_address,
        store: config.store,
        standing: stands,
        ready: is_ready,
        damage: damaged,
        keyring,
        clock: handle_clock,
        secure,
        tasks,
        shutdown,
        shutdown_seconds: config.shutdown_seconds,
        office,
    })
}

/// What is known of tokens at the start. Without any, only this machine may reach the coordinator, unless somebody said
/// otherwise.
async fn keyring(
    config: &Config,
    given: Vec<Given>,
    (leadership, clock): (&dyn Leadership, &Clock),
) -> Result<Arc<Keyring>, Error> {
    let workers_show = config.tls.as_ref().is_some_and(|files| files.client_authority.is_some());
    let keyring = Arc::new(Keyring::new(workers_show));
    keyring.give(given, clock.unix_ms());
    keyring.stored(leadership.tokens().await?, clock.unix_ms());
    if let Some(key) = leadership.session_key().await? {
        keyring.seal_with(key);
    }
    let exposed = [("--listen", config.listen), ("--listen-http", config.listen_http)];
    let exposed = exposed.into_iter().find(|(_, address)| !address.ip().is_loopback());
    if let Some((key, address)) = exposed {
        if !keyring.is_needed() && !config.insecure {
            return Err(Error::Exposed { key, address, store: config.store.to_string() });
        }
        if keyring.is_needed() && config.tls.is_none() {
            warn!(%address, "tokens are sent in clear text to an address that other machines can reach: set tls_cert \
                and tls_key, or use a proxy with TLS");
        }
        if !keyring.is_needed() {
            warn!(%address, "authentication is disabled: this address accepts every request");
        }
    }
    Ok(keyring)
}

/// What gRPC is answered from.
struct Rooms {
    stands: watch::Receiver<Standing>,
    ready: watch::Receiver<bool>,
    door: access::grpc::Door,
    about: Arc<About>,
    metrics: Arc<Metrics>,
}

fn serve_grpc(
    connections: tokio::sync::mpsc::Receiver<listen::Connection>,
    rooms: Rooms,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sweep_proto::v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let connections = ReceiverStream::new(connections).map(Ok::<_, std::convert::Infallible>);
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .layer(Timing::new(rooms.metrics))
        .layer(rooms.door)
        .add_service(health)
        .add_service(reflection)
        .add_service(Gate::new(rooms.stands.clone(), Room::workers))
        .add_service(Gate::new(rooms.stands.clone(), Room::sweeps).with_about(rooms.about))
        .add_service(Gate::new(rooms.stands.clone(), Room::upkeep))
        .add_service(Gate::new(rooms.stands, Room::access))
        .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            error!(error = %crate::chain(&error), "gRPC ended");
        }
    });
    tasks.spawn(report_health(reporter, rooms.ready, shutdown.clone()));
    Ok(())
}

async fn bind(address: SocketAddr, speech: Speech) -> Result<TcpListener, Error> {
    let purpose = speech.name();
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, purpose, source })
}

async fn report_health(
    reporter: tonic_health::server::HealthReporter,
    mut ready: tokio::sync::watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    loop {
        let serving = *ready.borrow_and_update() && !shutdown.is_cancelled();
        let status =
            if serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        for service in ["", SWEEPS, WORKERS, ACCESS, STORE] {
            reporter.set_service_status(service, status).await;
        }
        if shutdown.is_cancelled() {
            return;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            changed = ready.changed() => if changed.is_err() { return },
        }
    }
}

impl Handle {
    /// Where gRPC listens.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where HTTP listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The address of the pages for a browser on this machine, as it can be opened: where a token is needed, it holds a
    /// code that signs one browser in. None where the pages are not served on loopback.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn page(&self) -> Result<Option<Page>, access::secret::Error> {
        if !self.http.ip().is_loopback() || self.http.port() == 0 {
            return Ok(None);
        }
        let scheme = if self.secure { "https" } else { "http" };
        let root = format!("{scheme}://{}/", self.http);
        if !self.keyring.is_needed() {
            return Ok(Some(Page { url: root, opens_once: false }));
        }
        let code = self.keyring.issue_link(access::Role::Submit, self.clock.unix_ms())?;
        Ok(Some(Page { url: format!("{root}open/{}", code.reveal()), opens_once: true }))
    }

    /// Where the store is.
    pub fn store(&self) -> &Location {
        &self.store
    }

    /// The engine while this coordinator leads, for tests and tools in this process.
    pub fn engine(&self) -> Option<engine::Handle> {
        match &*self.standing.borrow() {
            Standing::Leading(room) => Some(room.engine.clone()),
            Standing::Waiting(_) => None,
        }
    }

    /// Waits until the coordinator leads and answers.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        // An error says that the coordinator has left: then nothing more is to be waited for.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Waits until another coordinator leads, and says where that one is dialled.
    pub async fn standby(&self) -> String {
        let mut standing = self.standing.clone();
        let led = standing.wait_for(|standing| matches!(standing, Standing::Waiting(Waiting::Led { .. }))).await;
        match led.as_deref() {
            Ok(Standing::Waiting(Waiting::Led { address })) => address.clone(),
            // The coordinator has left.
            _ => std::future::pending().await,
        }
    }

    /// What of the store is damaged, if that is why the coordinator leaves.
    pub fn damage(&self) -> watch::Receiver<Option<String>> {
        self.damage.clone()
    }

    /// Waits for the token, then until everything has ended or the deadline has passed.
    pub async fn stopped(self) {
        self.shutdown.cancelled().await;
        let deadline = Duration::from_secs(self.shutdown_seconds);
        let ended = async {
            let store = self.office.await.ok().flatten();
            self.tasks.wait().await;
            if let Some(store) = store {
                store.close().await;
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            warn!(seconds = self.shutdown_seconds, "not everything ended in time");
        }
        info!("the coordinator has stopped");
    }

    /// Stops it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.stopped().await;
    }
}
