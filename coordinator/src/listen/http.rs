//! HTTP/1.1 on the connections of a listener, with limits for headers and a graceful shutdown.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::debug;

use super::Connection;

/// The time limit for the headers of a request, and for an idle connection to send its next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Limits of the headers of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// Serves every connection. After shutdown, requests that have begun are finished.
pub(crate) async fn serve(
    mut connections: mpsc::Receiver<Connection>,
    router: Router,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    while let Some(connection) = connections.recv().await {
        tasks.spawn(serve_connection(connection, router.clone(), shutdown.clone()));
    }
}

async fn serve_connection(connection: Connection, router: Router, shutdown: CancellationToken) {
    let peer = connection.peer();
    let address = peer.address;
    let service = service_fn(move |mut request: axum::http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request.map(Body::new))
    });
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(%address, %error, "a connection failed");
    }
}
