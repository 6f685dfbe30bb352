//! Wiring: store, engine, gRPC and HTTP, started and stopped in this order.
//!
//! Stopping: the health service says so, new requests are refused, parked polls and streams end, what was decided is
//! committed, listeners close, the store closes. What does not end within the deadline is left behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1::sweep_service_server::{SERVICE_NAME as SWEEPS, SweepServiceServer};
use sweep_proto::v1::worker_service_server::{SERVICE_NAME as WORKERS, WorkerServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::engine;
use crate::grpc::sweep::Sweeps;
use crate::grpc::worker::Workers;
use crate::grpc::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use crate::metrics::Metrics;
use crate::store::artifacts::Folder;
use crate::store::sqlite::{Options, SqliteStore};
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
    store: PathBuf,
    engine: engine::Handle,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    shutdown_seconds: u64,
    database: Arc<dyn Store>,
    engine_tasks: TaskTracker,
    engine_shutdown: CancellationToken,
}

/// Starts a coordinator in this process. It runs until `shutdown` is cancelled and [`Handle::stopped`] is awaited.
///
/// # Errors
/// The store cannot be opened, or a port is taken.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Handle, Error> {
    let store = SqliteStore::open(&Options { path: config.store.clone(), accept_loss: config.accept_loss }).await?;
    for loss in store.losses() {
        warn!(table = loss.table, row = loss.key, reason = loss.reason, "lost and accepted");
    }
    let artifacts = Folder::open(&config.artifacts())?;
    let database: Arc<dyn Store> = Arc::new(store);
    let metrics = Arc::new(Metrics::new()?);
    let grpc = listen(config.listen, "gRPC").await?;
    let http = listen(config.listen_http, "HTTP").await?;
    let bound = |listener: &TcpListener, address| {
        listener.local_addr().map_err(|source| Error::Listen { address, purpose: "its own address", source })
    };
    let (grpc_address, http_address) = (bound(&grpc, config.listen)?, bound(&http, config.listen_http)?);
    let (tasks, engine_tasks) = (TaskTracker::new(), TaskTracker::new());
    let engine_shutdown = CancellationToken::new();
    let scheduler = config.scheduler();
    let engine = engine::start(Arc::clone(&database), Arc::clone(&metrics), scheduler, &engine_tasks, &engine_shutdown);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sweep_proto::v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let workers = WorkerServiceServer::new(Workers::new(engine.clone(), artifacts.clone()));
    let sweeps = Sweeps::new(engine.clone(), artifacts, tasks.clone(), shutdown.clone());
    let sweeps = SweepServiceServer::new(sweeps);
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .add_service(health)
        .add_service(reflection)
        .add_service(workers.max_decoding_message_size(MAX_REQUEST_BYTES).max_encoding_message_size(MAX_RESPONSE_BYTES))
        .add_service(sweeps.max_decoding_message_size(MAX_REQUEST_BYTES).max_encoding_message_size(MAX_RESPONSE_BYTES))
        .serve_with_incoming_shutdown(incoming(grpc), shutdown.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            error!(error = %crate::chain(&error), "gRPC ended");
        }
    });
    tasks.spawn(report_health(reporter, engine.ready(), shutdown.clone()));
    let web = router(Web { engine: engine.clone(), metrics });
    let http_shutdown = shutdown.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(http, web).with_graceful_shutdown(http_shutdown).await {
            error!(%error, "HTTP ended");
        }
    });
    // A parked poll must not hold the listeners open, so the engine leaves first.
    let stop_engine = (shutdown.clone(), engine_shutdown.clone());
    tasks.spawn(async move {
        stop_engine.0.cancelled().await;
        stop_engine.1.cancel();
    });
    tasks.close();
    engine_tasks.close();
    info!(grpc = %grpc_address, http = %http_address, store = %config.store.display(), "the coordinator listens");
    Ok(Handle {
        grpc: grpc_address,
        http: http_address,
        store: config.store,
        engine,
        tasks,
        shutdown,
        shutdown_seconds: config.shutdown_seconds,
        database,
        engine_tasks,
        engine_shutdown,
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

    /// The store's file.
    pub fn store_path(&self) -> &std::path::Path {
        &self.store
    }

    /// The engine, for tests and tools in this process.
    pub fn engine(&self) -> &engine::Handle {
        &self.engine
    }

    /// Waits until the coordinator answers.
    pub async fn ready(&self) {
        let mut ready = self.engine.ready();
        // An error says that the engine has left: then nothing more is to be waited for.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Waits for the token, then until everything has ended or the deadline has passed.
    pub async fn stopped(self) {
        self.shutdown.cancelled().await;
        self.engine_shutdown.cancel();
        let deadline = Duration::from_secs(self.shutdown_seconds);
        let ended = async {
            self.engine_tasks.wait().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            warn!(seconds = self.shutdown_seconds, "not everything ended in time");
        }
        self.database.close().await;
        info!("the coordinator has stopped");
    }

    /// Stops it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.stopped().await;
    }
}
