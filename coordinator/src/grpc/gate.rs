//! The door of a service: open while this coordinator leads, else it says who does. So the rooms behind it need not know.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use sweep_store::leadership::Waiting;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::server::NamedService;

use crate::about::{self, About};
use crate::leading::{Room, Standing};

/// A service of whoever leads.
#[derive(Clone)]
pub struct Gate<S> {
    standing: watch::Receiver<Standing>,
    service: fn(&Room, &str) -> S,
    /// Answers what this coordinator is while the service is closed.
    about: Option<Arc<About>>,
}

impl<S> Gate<S> {
    /// Before the service that `service` gives of a room, for a request's path.
    pub fn new(standing: watch::Receiver<Standing>, service: fn(&Room, &str) -> S) -> Self {
        Self { standing, service, about: None }
    }

    /// With the answer to what this coordinator is, which needs no right to write.
    pub(crate) fn with_about(self, about: Arc<About>) -> Self {
        Self { about: Some(about), ..self }
    }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &*self.standing.borrow() {
            Standing::Leading(room) => Box::pin((self.service)(room, request.uri().path()).call(request)),
            Standing::Waiting(waiting) => match &self.about {
                Some(about) if request.uri().path() == about::PATH => about::answer_closed(Arc::clone(about), request),
                Some(_) | None => Box::pin(ready(Ok(Status::unavailable(reason(waiting)).into_http()))),
            },
        }
    }
}

/// Why nothing is answered here, and what to do.
pub fn reason(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Looking => "this coordinator does not yet know which one leads: try again".to_owned(),
        Waiting::Led { address } => format!("this coordinator is a standby; the coordinator at {address} leads"),
        Waiting::Unreachable { why } => format!("the store cannot be reached: {why}"),
    }
}
