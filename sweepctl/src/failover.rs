//! A gRPC channel over several coordinators, of which one is the leader: after a call without an answer, or one that a
//! standby rejects, retries go to the next address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::poll_fn;
use tonic::body::Body;
use tonic::codegen::http::header::{AUTHORIZATION, HeaderValue};
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::transport::{Channel, Error};
use tonic::{Code, Status};

/// The channels, and the one in use.
#[derive(Clone)]
pub(crate) struct FailoverChannel {
    channels: Arc<[Channel]>,
    current: Arc<AtomicUsize>,
    /// Added to every call.
    header: Option<HeaderValue>,
}

impl FailoverChannel {
    /// Starts with the channel of this number.
    pub(crate) fn new(channels: Vec<Channel>, current: usize, header: Option<HeaderValue>) -> Self {
        Self { channels: channels.into(), current: Arc::new(AtomicUsize::new(current)), header }
    }
}

impl Service<Request<Body>> for FailoverChannel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<Response<Body>, Error>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The channel is chosen later; the call waits for it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(header) = &self.header {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
        }
        let failover = self.clone();
        Box::pin(async move {
            let number = failover.current.load(Ordering::Relaxed);
            let mut channel = failover.channels[number % failover.channels.len()].clone();
            let answered = async {
                poll_fn(|context| channel.poll_ready(context)).await?;
                channel.call(request).await
            };
            let answer = answered.await;
            let unavailable = match &answer {
                Ok(answer) => {
                    Status::from_header_map(answer.headers()).is_some_and(|it| it.code() == Code::Unavailable)
                }
                Err(_) => true,
            };
            if unavailable {
                // Another call may have switched already; then this changes nothing.
                let next = (number + 1) % failover.channels.len();
                failover.current.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed).ok();
            }
            answer
        })
    }
}
