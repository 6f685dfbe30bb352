//! Checks the token of every gRPC call, before any part of the call is read.

use std::future::ready;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use futures::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tower::Layer;

use super::keyring::{Admitted, Presented};
use super::revocable_body::RevocableBody;
use super::{Caller, Keyring, Refusal, Secret, permissions};
use crate::clock::Clock;
use crate::listen::Peer;

/// The layer that checks tokens.
#[derive(Debug, Clone)]
pub struct Door {
    /// The known tokens.
    pub keyring: Arc<Keyring>,
    /// Decides which tokens have expired.
    pub clock: Clock,
}

impl<S> Layer<S> for Door {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { door: self.clone(), inner }
    }
}

/// A service whose callers are checked.
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
        // A caller that revokes its own token still gets the answer.
        let ended = ended.filter(|_| request.uri().path() != permissions::REVOKE);
        let answer = self.inner.call(request);
        let Some(ended) = ended else { return Box::pin(answer) };
        Box::pin(async move {
            let revoked = std::pin::pin!(ended.clone().cancelled_owned());
            match futures::future::select(revoked, std::pin::pin!(answer)).await {
                // A parked poll, or an upload.
                Either::Left(_) => Ok(no_longer_valid().into_http()),
                Either::Right((answer, _)) => {
                    let mut headers = HeaderMap::new();
                    let trailers = no_longer_valid().add_header(&mut headers).is_ok().then_some(headers);
                    Ok(answer?.map(|body| Body::new(RevocableBody::new(body, ended, trailers))))
                }
            }
        })
    }
}

/// Takes the token out of the request, so that no handler can leak it, and checks it.
fn admit(door: &Door, request: &mut Request<Body>) -> Result<Admitted, Refusal> {
    let header = request.headers_mut().remove(header::AUTHORIZATION);
    let secret = header.as_ref().and_then(|value| Secret::bearer(value.to_str().ok()?));
    let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate);
    let presented = Presented { secret: secret.as_ref(), certificate };
    let permission = permissions::of_method(request.uri().path());
    door.keyring.admit(presented, permission, door.clock.unix_ms())
}

fn no_longer_valid() -> Status {
    Status::unauthenticated("the token is no longer valid")
}

fn status(refusal: &Refusal) -> Status {
    if refusal.is_unauthenticated() {
        Status::unauthenticated(refusal.to_string())
    } else {
        Status::permission_denied(refusal.to_string())
    }
}

/// Sets the operator's name for the audit log: the name of the token replaces the one in the request.
pub(crate) fn named<T>(request: tonic::Request<T>, user: impl FnOnce(&mut T) -> &mut String) -> T {
    let caller = request.extensions().get::<Caller>().cloned();
    let mut message = request.into_inner();
    if let Some(caller) = caller {
        let user = user(&mut message);
        *user = caller.operator(std::mem::take(user));
    }
    message
}
