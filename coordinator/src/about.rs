//! What this coordinator is and how it stands, whether it leads or not: the one question that a standby answers too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sweep_proto::v1::{self, CoordinatorState, GetCoordinatorRequest, GetCoordinatorResponse};
use sweep_store::leadership::Waiting;
use sweep_store::location::Location;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::codegen::{BoxFuture, Service};
use tonic::{Request, Response, Status};

use crate::access::Caller;
use crate::config::Config;
use crate::engine::{Gauges, Handle, Trouble};
use crate::grpc::gate;
use crate::leading::Standing;
use crate::metrics::Places;
use crate::unix_ms;

/// The path that is answered by a standby.
pub(crate) const PATH: &str = "/sweep.v1.SweepService/GetCoordinator";

/// How long what a coordinator holds is waited for: who asks wants to know whether it answers at all.
const COUNTS_WAIT: Duration = Duration::from_secs(2);

/// What does not change while it runs, and where it is seen how it stands.
pub(crate) struct About {
    standing: watch::Receiver<Standing>,
    started_unix_ms: i64,
    store: Location,
    places: Places,
    http: SocketAddr,
}

impl About {
    /// Of a coordinator that starts now, and serves HTTP at `http`.
    pub(crate) fn new(config: &Config, standing: watch::Receiver<Standing>, http: SocketAddr) -> Self {
        let (store, places) = (config.store.clone(), Places::of(config));
        Self { standing, started_unix_ms: unix_ms(), store, places, http }
    }

    /// The answer to whoever asks, by what is known now.
    pub(crate) async fn answer(&self, caller: Option<&Caller>) -> GetCoordinatorResponse {
        let (state, reason, engine) = stands(&self.standing.borrow());
        let counts = match &engine {
            Some(engine) => tokio::time::timeout(COUNTS_WAIT, engine.gauges()).await.ok().and_then(Result::ok),
            None => None,
        };
        // Where the store lies, or where artifacts do if that is a database.
        let places = self.places.clone();
        let rooms = tokio::task::spawn_blocking(move || places.rooms()).await.unwrap_or_default();
        let disk = rooms.first().map(|room| (room.free, room.all));
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

fn stands(standing: &Standing) -> (CoordinatorState, String, Option<Handle>) {
    match standing {
        Standing::Leading(room) => {
            let engine = room.engine.clone();
            let (state, reason) = match &*engine.trouble().borrow() {
                Trouble::Passing(why) | Trouble::Damage(why) => (CoordinatorState::Troubled, why.clone()),
                Trouble::None if !*engine.ready().borrow() => {
                    (CoordinatorState::Starting, "the coordinator is reading the store".into())
                }
                Trouble::None => (CoordinatorState::Leading, String::new()),
            };
            (state, reason, Some(engine))
        }
        Standing::Waiting(waiting) => {
            let state = match waiting {
                Waiting::Looking => CoordinatorState::Starting,
                Waiting::Led { .. } => CoordinatorState::Standby,
                Waiting::Unreachable { .. } => CoordinatorState::Troubled,
            };
            (state, gate::reason(waiting), None)
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

/// The one question, for a coordinator whose services are closed.
pub(crate) fn answer_closed(
    about: Arc<About>,
    request: HttpRequest<Body>,
) -> BoxFuture<HttpResponse<Body>, std::convert::Infallible> {
    Box::pin(async move {
        let codec = tonic_prost::ProstCodec::<GetCoordinatorResponse, GetCoordinatorRequest>::default();
        Ok(tonic::server::Grpc::new(codec).unary(Closed(about), request).await)
    })
}

struct Closed(Arc<About>);

impl Service<Request<GetCoordinatorRequest>> for Closed {
    type Response = Response<GetCoordinatorResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<GetCoordinatorRequest>) -> Self::Future {
        let about = Arc::clone(&self.0);
        Box::pin(async move { Ok(Response::new(about.answer(request.extensions().get()).await)) })
    }
}
