//! The door of gRPC: every call of every service passes here before anything of it is read.

use std::future::ready;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use futures::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tower::Layer;

use super::ending::Ending;
use super::keyring::{Admitted, Presented};
use super::{Caller, Keyring, Refusal, Secret, need};
use crate::clock::Clock;
use crate::listen::Peer;

/// Puts the door before services.
#[derive(Debug, Clone)]
pub struct Door {
    /// The tokens.
    pub keyring: Arc<Keyring>,
    /// By which they expire.
    pub clock: Clock,
}

impl<S> Layer<S> for Door {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { door: self.clone(), inner }
    }
}

/// Services behind the door.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    door: Door,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Admitted { caller, ended } = match admit(&self.door, &mut request) {
            Ok(admitted) => admitted,
            Err(refusal) => return Box::pin(ready(Ok(status(&refusal).into_http()))),
        };
        request.extensions_mut().insert(caller);
        // Whoever revokes his own token is still told that it is done.
        let ended = ended.filter(|_| request.uri().path() != need::REVOKE);
        let answer = self.inner.call(request);
        let Some(ended) = ended else { return Box::pin(answer) };
        Box::pin(async move {
            let over = std::pin::pin!(ended.clone().cancelled_owned());
            match futures::future::select(over, std::pin::pin!(answer)).await {
                // A parked poll, or an upload.
                Either::Left(_) => Ok(self::over().into_http()),
                Either::Right((answer, _)) => {
                    let mut trailers = HeaderMap::new();
                    let last = self::over().add_header(&mut trailers).is_ok().then_some(trailers);
                    Ok(answer?.map(|body| Body::new(Ending::new(body, ended, last))))
                }
            }
        })
    }
}

/// Takes the token out of the request, so that nothing behind the door can show it.
fn admit(door: &Door, request: &mut Request<Body>) -> Result<Admitted, Refusal> {
    let header = request.headers_mut().remove(header::AUTHORIZATION);
    let secret = header.as_ref().and_then(|value| Secret::bearer(value.to_str().ok()?));
    let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate);
    let presented = Presented { secret: secret.as_ref(), certificate };
    let need = need::of_method(request.uri().path());
    door.keyring.admit(presented, need, door.clock.unix_ms())
}

fn over() -> Status {
    Status::unauthenticated("the token is no longer valid")
}

fn status(refusal: &Refusal) -> Status {
    if refusal.is_unauthenticated() {
        Status::unauthenticated(refusal.to_string())
    } else {
        Status::permission_denied(refusal.to_string())
    }
}

/// Who calls, for the audit log: the token's name, or what the request says where no token has a name.
pub(crate) fn named<T>(request: tonic::Request<T>, user: impl FnOnce(&mut T) -> &mut String) -> T {
    let name = request.extensions().get::<Caller>().and_then(|caller| caller.name.clone());
    let mut message = request.into_inner();
    if let Some(name) = name {
        *user(&mut message) = name;
    }
    message
}
