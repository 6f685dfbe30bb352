//! The services of a coordinator that leads. They exist for one term: they share its engine, and end with it.

use std::sync::Arc;

use sweep_proto::v1::access_service_server::AccessServiceServer;
use sweep_proto::v1::store_service_server::StoreServiceServer;
use sweep_proto::v1::sweep_service_server::SweepServiceServer;
use sweep_proto::v1::worker_service_server::WorkerServiceServer;
use sweep_store::Store;
use sweep_store::artifacts::Folder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Keyring;
use crate::engine;
use crate::grpc::access::Access;
use crate::grpc::maintenance::Maintenance;
use crate::grpc::sweep::Handlers;
use crate::grpc::worker::Workers;
use crate::grpc::{MAX_FINISH_BYTES, MAX_REPORT_BYTES, MAX_RESPONSE_BYTES};
use crate::service::streams::Streams;
use crate::service::{MAX_REQUEST_BYTES, Sweeps};

/// The services of one term.
pub struct Services {
    /// The engine of the term.
    pub engine: engine::Handle,
    /// The application service, for pages and the API.
    pub(crate) sweeps: Sweeps,
    sweep_server: SweepServiceServer<Handlers>,
    worker_server: WorkerServiceServer<Workers>,
    /// The same service with a larger limit for requests: a trial's result is longer than a report.
    finish_server: WorkerServiceServer<Workers>,
    access_server: AccessServiceServer<Access>,
    store_server: StoreServiceServer<Maintenance>,
}

/// What the services of a term share.
pub(crate) struct Term {
    pub(crate) engine: engine::Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) artifacts: Folder,
    pub(crate) keyring: Arc<Keyring>,
    /// Limits of concurrent streams. They outlast the term.
    pub(crate) streams: Streams,
    /// Tracks the tasks that send streams.
    pub(crate) tasks: TaskTracker,
    /// Cancelled at the end of the term.
    pub(crate) ended: CancellationToken,
}

impl Services {
    pub(crate) fn new(term: Term) -> Self {
        let Term { engine, store, artifacts, keyring, streams, tasks, ended } = term;
        let sweeps = Sweeps::new(engine.clone(), artifacts.clone(), (streams, tasks.clone(), ended.clone()));
        let workers = WorkerServiceServer::new(Workers::new(engine.clone(), artifacts));
        let workers = workers.max_encoding_message_size(MAX_RESPONSE_BYTES);
        let maintenance = Maintenance::new(sweeps.clone(), (tasks, ended));
        Self {
            sweep_server: SweepServiceServer::new(Handlers(sweeps.clone()))
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_RESPONSE_BYTES),
            finish_server: workers.clone().max_decoding_message_size(MAX_FINISH_BYTES),
            worker_server: workers.max_decoding_message_size(MAX_REPORT_BYTES),
            access_server: AccessServiceServer::new(Access::new(store, keyring)),
            store_server: StoreServiceServer::new(maintenance),
            engine,
            sweeps,
        }
    }

    /// The workers' service for a request to this path.
    pub(crate) fn worker_server(&self, path: &str) -> WorkerServiceServer<Workers> {
        if path.ends_with("/Finish") { self.finish_server.clone() } else { self.worker_server.clone() }
    }

    pub(crate) fn sweep_server(&self, _path: &str) -> SweepServiceServer<Handlers> {
        self.sweep_server.clone()
    }

    pub(crate) fn access_server(&self, _path: &str) -> AccessServiceServer<Access> {
        self.access_server.clone()
    }

    pub(crate) fn store_server(&self, _path: &str) -> StoreServiceServer<Maintenance> {
        self.store_server.clone()
    }
}
