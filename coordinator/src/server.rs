//! Starts and stops the parts of a coordinator: store, gRPC, HTTP, and the task that leads.
//!
//! A coordinator stops in this order: the health service reports it, new requests are refused, parked polls and streams
//! end, the engine commits its last batch, the listeners close, and the store closes. After the deadline the process does
//! not wait for the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1::access_service_server::SERVICE_NAME as ACCESS;
use sweep_proto::v1::coordinator_service_server::{CoordinatorServiceServer, SERVICE_NAME as COORDINATOR};
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
use tonic_health::ServingStatus;
use tower::util::MapRequestLayer;
use tracing::{error, info, warn};

use crate::access::keyring::Given;
use crate::access::refresh::Refresh;
use crate::access::{self, Keyring};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine;
use crate::grpc::coordinator::{self, Coordinator};
use crate::grpc::gate::Gate;
use crate::grpc::timing::Timing;
use crate::leadership::LeaderTask;
use crate::listen::tls::{self, Tls};
use crate::listen::{self, Listener, Protocol};
use crate::metrics::{Folders, Metrics};
use crate::role::Role;
use crate::service::streams::Streams;
use crate::services::Services;
use crate::web::{Web, router};

/// Interval of pings on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Timeout for the answer to a ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most concurrent calls of one connection: a worker has some dozen, `sweepctl` a few.
const MAX_STREAMS: u32 = 256;
/// The longest headers of a call, in bytes.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] store::Error),
    /// A port cannot be bound.
    #[error("cannot listen on {address} for {purpose}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `gRPC` or `HTTP`.
        purpose: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A metric has an invalid definition.
    #[error("cannot create the metrics")]
    Metrics(#[from] prometheus::Error),
    /// A token file cannot be used.
    #[error("cannot use the tokens of the configuration")]
    Token(#[from] access::secret::Error),
    /// The certificate or its key cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[from] tls::Error),
    /// Other machines could make every request without a token.
    #[error(
        "{key} {address} can be reached by other machines, and no token exists: create one with `sweepctl token create \
        --store {store}`, or name a file with --admin-token-file; to accept every request without a token, add \
        --insecure"
    )]
    Exposed {
        /// The flag.
        key: &'static str,
        /// The address that other machines can reach.
        address: SocketAddr,
        /// The store, for the command in the message.
        store: String,
    },
    /// The reflection service cannot be built.
    #[error("cannot describe the services")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The address of the pages, for a browser on this machine.
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

/// A running coordinator.
pub struct Handle {
    grpc: SocketAddr,
    http: SocketAddr,
    store: Location,
    role: watch::Receiver<Role>,
    ready: watch::Receiver<bool>,
    damage: watch::Receiver<Option<String>>,
    keyring: Arc<Keyring>,
    clock: Clock,
    secure: bool,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    shutdown_seconds: u64,
    /// Returns the store to close.
    leader_task: JoinHandle<Option<Arc<dyn Store>>>,
}

/// Starts a coordinator in this process. It runs until `shutdown` is cancelled and [`Handle::stopped`] is awaited.
///
/// # Errors
/// The store cannot be opened, or a port is taken.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Handle, Error> {
    start_at(config, Clock::default(), shutdown).await
}

/// The same with a clock other than the machine's.
///
/// # Errors
/// The same as [`start`].
pub async fn start_at(config: Config, clock: Clock, shutdown: CancellationToken) -> Result<Handle, Error> {
    let artifacts = Folder::open(&config.artifacts())?;
    let metrics = Arc::new(Metrics::new()?);
    let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
    let grpc = bind(config.listen, Protocol::Grpc).await?;
    // A coordinator that answers one question has no pages.
    let http = if config.asked_once { None } else { Some(bind(config.listen_http, Protocol::Http).await?) };
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
    let (role_sender, role) = watch::channel(Role::Waiting(Waiting::Looking));
    let (ready, is_ready) = watch::channel(false);
    let (damage, damaged) = watch::channel(None);
    let parts = Parts {
        coordinator: Coordinator::new(&config, role.clone(), http_address),
        role: role.clone(),
        ready: is_ready.clone(),
        door: access::grpc::Door { keyring: Arc::clone(&keyring), clock: clock.clone() },
        metrics: Arc::clone(&metrics),
    };
    let grpc = Listener { socket: grpc, protocol: Protocol::Grpc, tls: tls.clone() }.open(&tasks, &shutdown);
    serve_grpc(grpc, parts, &tasks, &shutdown)?;
    let door = access::http::Door {
        keyring: Arc::clone(&keyring),
        any_host: config.insecure,
        tls: tls.is_some(),
        port: http_address.port(),
        clock: clock.clone(),
    };
    let folders = Folders::of(&config);
    let web = router(Web { role: role.clone(), metrics: Arc::clone(&metrics), folders }, door);
    let secure = tls.is_some();
    if let Some(listener) = http {
        let http = Listener { socket: listener, protocol: Protocol::Http, tls: tls.clone() }.open(&tasks, &shutdown);
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
    // The engine stops with `shutdown`, before the listeners do: otherwise parked polls would keep them open.
    let leader_task = LeaderTask {
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
        streams: Streams::new(config.streams),
        tasks: tasks.clone(),
        role: role_sender,
        ready,
        damage,
        shutdown: shutdown.clone(),
    };
    let leader_task = tokio::spawn(leader_task.run());
    tasks.close();
    info!(grpc = %grpc_address, http = %http_address, store = %config.store, "the coordinator listens");
    Ok(Handle {
        grpc: grpc_address,
        http: http_address,
        store: config.store,
        role,
        ready: is_ready,
        damage: damaged,
        keyring,
        clock: handle_clock,
        secure,
        tasks,
        shutdown,
        shutdown_seconds: config.shutdown_seconds,
        leader_task,
    })
}

/// The tokens at the start. Without tokens the coordinator starts only if no other machine can reach it, or if the
/// configuration disables authentication.
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

/// What the gRPC server needs.
struct Parts {
    coordinator: Coordinator,
    role: watch::Receiver<Role>,
    ready: watch::Receiver<bool>,
    door: access::grpc::Door,
    metrics: Arc<Metrics>,
}

fn serve_grpc(
    connections: tokio::sync::mpsc::Receiver<listen::Connection>,
    parts: Parts,
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
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .layer(Timing::new(parts.metrics))
        .layer(parts.door)
        .layer(MapRequestLayer::new(coordinator::redirect))
        .add_service(health)
        .add_service(reflection)
        .add_service(CoordinatorServiceServer::new(parts.coordinator))
        .add_service(Gate::new(parts.role.clone(), Services::worker_server))
        .add_service(Gate::new(parts.role.clone(), Services::sweep_server))
        .add_service(Gate::new(parts.role.clone(), Services::store_server))
        .add_service(Gate::new(parts.role, Services::access_server))
        .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            error!(error = %crate::chain(&error), "gRPC ended");
        }
    });
    tasks.spawn(report_health(reporter, parts.ready, shutdown.clone()));
    Ok(())
}

async fn bind(address: SocketAddr, protocol: Protocol) -> Result<TcpListener, Error> {
    let purpose = protocol.name();
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, purpose, source })
}

async fn report_health(
    reporter: tonic_health::server::HealthReporter,
    mut ready: tokio::sync::watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    let status = |serves| if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
    loop {
        let runs = !shutdown.is_cancelled();
        let leads = runs && *ready.borrow_and_update();
        // A standby answers the service about the coordinator too.
        reporter.set_service_status(COORDINATOR, status(runs)).await;
        for service in ["", SWEEPS, WORKERS, ACCESS, STORE] {
            reporter.set_service_status(service, status(leads)).await;
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
    /// The address of the gRPC listener.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// The address of the HTTP listener.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The address of the pages for a browser on this machine. If tokens are required, it contains a code that signs in
    /// one browser. None if the pages are not served on loopback.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
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

    /// The location of the store.
    pub fn store(&self) -> &Location {
        &self.store
    }

    /// The engine while this coordinator leads, for tests and tools in this process.
    pub fn engine(&self) -> Option<engine::Handle> {
        match &*self.role.borrow() {
            Role::Leading(services) => Some(services.engine.clone()),
            Role::Waiting(_) => None,
        }
    }

    /// Waits until this coordinator leads and its engine has read the store.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        // An error means that the coordinator has stopped.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Waits until another coordinator leads, and returns the address of that one.
    pub async fn standby(&self) -> String {
        let mut role = self.role.clone();
        let led = role.wait_for(|role| matches!(role, Role::Waiting(Waiting::Led { .. }))).await;
        match led.as_deref() {
            Ok(Role::Waiting(Waiting::Led { address })) => address.clone(),
            // This coordinator has stopped.
            _ => std::future::pending().await,
        }
    }

    /// The damage of the store that made this coordinator stop, if any.
    pub fn damage(&self) -> watch::Receiver<Option<String>> {
        self.damage.clone()
    }

    /// Waits for the shutdown, then until every task has ended or the deadline has passed.
    pub async fn stopped(self) {
        self.shutdown.cancelled().await;
        let deadline = Duration::from_secs(self.shutdown_seconds);
        let ended = async {
            let store = self.leader_task.await.ok().flatten();
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

    /// Stops this coordinator and waits for its end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.stopped().await;
    }
}
