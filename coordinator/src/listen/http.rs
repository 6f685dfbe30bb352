//! HTTP/1.1 on connections of a door: bounded heads, bounded patience for them, and a good end.

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

/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD: Duration = Duration::from_secs(15);
/// The longest head, in bytes, and the most headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// Answers on every connection that comes, until the door is closed and what was begun has ended.
pub(crate) async fn serve(
    mut connections: mpsc::Receiver<Connection>,
    router: Router,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    while let Some(connection) = connections.recv().await {
        tasks.spawn(converse(connection, router.clone(), shutdown.clone()));
    }
}

async fn converse(connection: Connection, router: Router, shutdown: CancellationToken) {
    let peer = connection.peer();
    let address = peer.address;
    let service = service_fn(move |mut request: axum::http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request.map(Body::new))
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    let mut conversation = std::pin::pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = shutdown.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        debug!(%address, %error, "a connection ended badly");
    }
}
