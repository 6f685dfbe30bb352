//! The service about this coordinator itself. It is not behind the gate: `sweepctl doctor` asks a standby too.

use std::net::SocketAddr;
use std::time::Duration;

use sweep_proto::v1::coordinator_service_server::CoordinatorService;
use sweep_proto::v1::{self, CoordinatorState, GetCoordinatorRequest, GetCoordinatorResponse};
use sweep_store::leadership::Waiting;
use sweep_store::location::Location;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::Request as HttpRequest;
use tonic::codegen::http::uri::{PathAndQuery, Uri};
use tonic::{Request, Response, Status};

use crate::access::Caller;
use crate::config::Config;
use crate::engine::{Gauges, Handle, Trouble};
use crate::metrics::Folders;
use crate::role::{Role, reason};
use crate::unix_ms;

/// The path of `GetCoordinator` before this service existed. Earlier releases of `sweepctl` call it.
const FORMER_PATH: &str = "/sweep.v1.SweepService/GetCoordinator";
const PATH: &str = "/sweep.v1.CoordinatorService/GetCoordinator";

/// Timeout for the engine's counts. The answer leaves them out rather than arrive late.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers questions about this coordinator.
pub(crate) struct Coordinator {
    role: watch::Receiver<Role>,
    started_unix_ms: i64,
    store: Location,
    folders: Folders,
    http: SocketAddr,
}

impl Coordinator {
    /// For a coordinator that starts now and serves HTTP at `http`.
    pub(crate) fn new(config: &Config, role: watch::Receiver<Role>, http: SocketAddr) -> Self {
        let (store, folders) = (config.store.clone(), Folders::of(config));
        Self { role, started_unix_ms: unix_ms(), store, folders, http }
    }

    async fn answer(&self, caller: Option<&Caller>) -> GetCoordinatorResponse {
        let (state, reason, engine) = state(&self.role.borrow());
        let counts = match &engine {
            Some(engine) => tokio::time::timeout(COUNTS_TIMEOUT, engine.gauges()).await.ok().and_then(Result::ok),
            None => None,
        };
        // The first is the file system of the store, or of the artifacts if the store is a database.
        let folders = self.folders.clone();
        let disks = tokio::task::spawn_blocking(move || folders.disk_usage()).await.unwrap_or_default();
        let disk = disks.first().map(|disk| (disk.free, disk.size));
        GetCoordinatorResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
            started_unix_ms: self.started_unix_ms,
            now_unix_ms: unix_ms(),
            state: state.into(),
            reason,
            store_kind: kind(&self.store).to_owned(),
            http_address: self.http.to_string(),
            disk_free_bytes: disk.map(|(free, _)| free),
            disk_bytes: disk.map(|(_, whole)| whole),
            counts: counts.as_ref().map(message),
            role: caller.and_then(|caller| caller.role).map(|role| role.to_string()),
        }
    }
}

#[tonic::async_trait]
impl CoordinatorService for Coordinator {
    async fn get_coordinator(
        &self,
        request: Request<GetCoordinatorRequest>,
    ) -> Result<Response<GetCoordinatorResponse>, Status> {
        Ok(Response::new(self.answer(request.extensions().get()).await))
    }
}

/// Sends a call of the former path to this service. Every other request stays as it is.
pub(crate) fn redirect(mut request: HttpRequest<Body>) -> HttpRequest<Body> {
    if request.uri().path() == FORMER_PATH {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static(PATH));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn state(role: &Role) -> (CoordinatorState, String, Option<Handle>) {
    match role {
        Role::Leading(services) => {
            let engine = services.engine.clone();
            let (state, reason) = match &*engine.trouble().borrow() {
                Trouble::Passing(why) | Trouble::Damage(why) => (CoordinatorState::Troubled, why.clone()),
                Trouble::None if !*engine.ready().borrow() => {
                    (CoordinatorState::Starting, "the coordinator is reading the store".into())
                }
                Trouble::None => (CoordinatorState::Leading, String::new()),
            };
            (state, reason, Some(engine))
        }
        Role::Waiting(waiting) => {
            let state = match waiting {
                Waiting::Looking => CoordinatorState::Starting,
                Waiting::Led { .. } => CoordinatorState::Standby,
                Waiting::Unreachable { .. } => CoordinatorState::Troubled,
            };
            (state, reason(waiting), None)
        }
    }
}

fn kind(store: &Location) -> &'static str {
    match store {
        Location::File(_) => "sqlite",
        Location::Postgres(_) => "postgres",
    }
}

fn message(gauges: &Gauges) -> v1::CoordinatorCounts {
    v1::CoordinatorCounts {
        sweeps: gauges.sweeps.len() as u64,
        queued: gauges.queue_depth as u64,
        workers: gauges.workers.0 as u64,
        draining_workers: gauges.workers.1 as u64,
        busy_slots: gauges.slots.0 as u64,
        free_slots: gauges.slots.1 as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_former_path_is_redirected_and_its_authority_stays() {
        let redirected =
            |uri: &str| redirect(HttpRequest::builder().uri(uri).body(Body::empty()).unwrap()).uri().clone();
        let former = redirected("http://127.0.0.1:7733/sweep.v1.SweepService/GetCoordinator");
        assert_eq!(former, "http://127.0.0.1:7733/sweep.v1.CoordinatorService/GetCoordinator");
        for other in ["/sweep.v1.SweepService/GetSweep", "/sweep.v1.SweepService/GetCoordinator/", PATH] {
            assert_eq!(redirected(other), other);
        }
    }
}
