//! Wiring: store, gRPC, HTTP and who leads, started and stopped in this order.
//!
//! Stopping: the health service says so, new requests are refused, parked polls and streams end, what was decided is
//! committed, listeners close, the store closes. What does not end within the deadline is left behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1::sweep_service_server::SERVICE_NAME as SWEEPS;
use sweep_proto::v1::worker_service_server::SERVICE_NAME as WORKERS;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;
use tracing::{error, info, warn};

use crate::about::{self, About};
use crate::config::Config;
use crate::engine;
use crate::grpc::gate::Gate;
use crate::leading::{Office, Room, Standing};
use crate::metrics::Metrics;
use crate::store::artifacts::Folder;
use crate::store::leadership::Waiting;
use crate::store::location::Location;
use crate::store::{self, Store};
use crate::web::{Web, router};

/// A quiet connection is asked whether it still lives this often.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_WAIT: Duration = Duration::from_secs(10);

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
    #[error("cannot make the metrics")]
    Metrics(#[from] prometheus::Error),
    /// The reflection service.
    #[error("cannot describe the services")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A coordinator that runs.
pub struct Handle {
    grpc: SocketAddr,
    http: SocketAddr,
    store: Location,
    standing: watch::Receiver<Standing>,
    ready: watch::Receiver<bool>,
    damage: watch::Receiver<Option<String>>,
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
    let artifacts = Folder::open(&config.artifacts())?;
    let metrics = Arc::new(Metrics::new()?);
    let grpc = listen(config.listen, "gRPC").await?;
    let http = listen(config.listen_http, "HTTP").await?;
    let bound = |listener: &TcpListener, address| {
        listener.local_addr().map_err(|source| Error::Listen { address, purpose: "its own address", source })
    };
    let (grpc_address, http_address) = (bound(&grpc, config.listen)?, bound(&http, config.listen_http)?);
    let leadership = store::open(&config.store, config.address(grpc_address), config.accept_loss).await?;
    let tasks = TaskTracker::new();
    let (standing, stands) = watch::channel(Standing::Waiting(Waiting::Looking));
    let (ready, is_ready) = watch::channel(false);
    let (damage, damaged) = watch::channel(None);
    let about = Arc::new(About {
        standing: stands.clone(),
        started_unix_ms: about::now_unix_ms(),
        store: config.store.clone(),
        folder: config.artifacts(),
        http: http_address,
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sweep_proto::v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .add_service(health)
        .add_service(reflection)
        .add_service(Gate::new(stands.clone(), Room::workers))
        .add_service(Gate::new(stands.clone(), Room::sweeps).with_about(Arc::clone(&about)))
        .serve_with_incoming_shutdown(incoming(grpc), shutdown.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            error!(error = %crate::chain(&error), "gRPC ended");
        }
    });
    tasks.spawn(report_health(reporter, is_ready.clone(), shutdown.clone()));
    let web = router(Web { standing: stands.clone(), metrics: Arc::clone(&metrics) });
    let http_shutdown = shutdown.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(http, web).with_graceful_shutdown(http_shutdown).await {
            error!(%error, "HTTP ended");
        }
    });
    // A parked poll must not hold the listeners open: the engine leaves with the token, before they do.
    let office = Office {
        leadership,
        metrics,
        scheduler: config.scheduler(),
        limits: config.limits(),
        artifacts,
        about,
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
        tasks,
        shutdown,
        shutdown_seconds: config.shutdown_seconds,
        office,
    })
}

async fn listen(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, purpose, source })
}

/// Connections that send at once. The server's own setting holds only for a listener that it bound itself, and without it
/// every small answer waits about 40 ms for an acknowledgement that the peer delays.
fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
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
        for service in ["", SWEEPS, WORKERS] {
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
