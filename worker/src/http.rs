//! The HTTP server: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::gpu::Gpus;
use crate::metrics::Metrics;

/// The state from which the pages are made.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gpus: Option<Arc<Gpus>>,
    /// Folders whose disks' free space is reported.
    pub(crate) folders: Arc<[(&'static str, PathBuf)]>,
    /// Whether the worker has a session.
    pub(crate) registered: watch::Receiver<bool>,
}

/// Binds `address` and serves until `end`; returns the bound address.
pub(crate) async fn serve(address: SocketAddr, pages: Pages, end: CancellationToken) -> Result<SocketAddr, Error> {
    let bind = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let bound = listener.local_addr().map_err(bind)?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(pages);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await {
            tracing::error!(error = %error, "metrics are no longer served");
        }
    });
    Ok(bound)
}

async fn metrics(State(pages): State<Pages>) -> Response {
    let (metrics, gpus, folders) = (Arc::clone(&pages.metrics), pages.gpus, pages.folders);
    // The driver and file systems can be slow, and must not block other tasks.
    let sampled = tokio::task::spawn_blocking(move || {
        gpus.inspect(|gpus| gpus.sample(&metrics));
        metrics.set_disk_space(&folders);
    });
    drop(sampled.await);
    match pages.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "cannot encode metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if *pages.registered.borrow() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not registered with a coordinator\n").into_response()
    }
}
