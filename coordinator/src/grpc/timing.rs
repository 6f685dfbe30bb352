//! Measures the duration and the code of every call, in one layer around all services, so that no handler counts by itself.
//! A call ends with the last byte of its answer. A client that stops reading earlier has cancelled it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use prost::Message;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::metrics::Metrics;

/// The header or trailer with the code of a call.
const STATUS: &str = "grpc-status";
/// The label of all unknown paths: callers can make up any number of them.
const OTHER: &str = "other";

/// The labels of methods, by path.
type Methods = HashMap<String, String>;

/// The layer that measures calls.
#[derive(Clone)]
pub struct Timing {
    metrics: Arc<Metrics>,
    methods: Arc<Methods>,
}

impl Timing {
    /// Reports to `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, methods: Arc::new(methods()) }
    }
}

/// The methods of every service, from the descriptors.
fn methods() -> Methods {
    let sets = [sweep_proto::v1::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
    let files = sets.into_iter().filter_map(|set| prost_types::FileDescriptorSet::decode(set).ok());
    let mut methods = Methods::new();
    for file in files.flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let label = format!("{}/{}", service.name(), method.name());
                methods.insert(format!("/{}.{label}", file.package()), label);
            }
        }
    }
    methods
}

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { timing: self.clone(), inner }
    }
}

/// A service whose calls are measured.
#[derive(Clone)]
pub struct Timed<S> {
    timing: Timing,
    inner: S,
}

impl<S, Asked, Said> Service<Request<Asked>> for Timed<S>
where
    S: Service<Request<Asked>, Response = Response<Said>>,
    S::Future: Send + 'static,
{
    type Response = Response<TimedBody<Said>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let mut call = Call::begin(&self.timing, request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (parts, body) = answer.await?.into_parts();
            // A call that fails at once has its code in the headers.
            call.read(&parts.headers);
            Ok(Response::from_parts(parts, TimedBody { inner: body, call }))
        })
    }
}

/// A running call. It is counted once, when it ends or is dropped.
struct Call {
    metrics: Arc<Metrics>,
    methods: Arc<Methods>,
    path: String,
    begun: Instant,
    ended: bool,
}

impl Call {
    fn begin(timing: &Timing, path: &str) -> Self {
        let Timing { metrics, methods } = timing.clone();
        Self { metrics, methods, path: path.to_owned(), begun: Instant::now(), ended: false }
    }

    /// Ends the call if these headers contain its code.
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(STATUS) {
            self.end(Code::from_bytes(code.as_bytes()));
        }
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            let method = self.methods.get(&self.path).map_or(OTHER, String::as_str);
            self.metrics.call(method, name(code), self.begun.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// A body that reports its end.
pub struct TimedBody<B> {
    inner: B,
    call: Call,
}

impl<B> http_body::Body for TimedBody<B>
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.read(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.end(status.code()),
            Poll::Ready(None) => self.call.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The label of a code.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_label_and_nothing_else_has_one() {
        let methods = methods();
        assert_eq!(methods["/sweep.v1.WorkerService/Poll"], "WorkerService/Poll");
        assert_eq!(methods["/sweep.v1.SweepService/Submit"], "SweepService/Submit");
        assert_eq!(methods["/grpc.health.v1.Health/Check"], "Health/Check");
        assert!(!methods.contains_key("/sweep.v1.SweepService/MadeUp"));
    }
}
