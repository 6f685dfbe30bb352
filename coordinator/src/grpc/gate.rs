//! The gate of a service: open while this coordinator leads. Otherwise it refuses every call and names the leader.

use std::convert::Infallible;
use std::future::ready;

use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::server::NamedService;

use crate::role::{Role, reason};
use crate::services::Services;

/// A service that only the leader answers.
#[derive(Clone)]
pub struct Gate<S> {
    role: watch::Receiver<Role>,
    service: fn(&Services, &str) -> S,
}

impl<S> Gate<S> {
    /// `service` picks the service for the path of a request.
    pub fn new(role: watch::Receiver<Role>, service: fn(&Services, &str) -> S) -> Self {
        Self { role, service }
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
        match &*self.role.borrow() {
            Role::Leading(services) => Box::pin((self.service)(services, request.uri().path()).call(request)),
            Role::Waiting(waiting) => Box::pin(ready(Ok(Status::unavailable(reason(waiting)).into_http()))),
        }
    }
}
