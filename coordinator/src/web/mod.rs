//! HTTP: metrics and probes here, `api` for programs, `pages` for browsers, `assets` for the files of pages. `problem` maps
//! errors to HTTP statuses, `etag_gzip` adds ETags and compression, `permit_body` keeps the permit of an export.

pub(crate) mod api;
mod assets;
pub(crate) mod etag_gzip;
mod pages;
mod permit_body;
pub(crate) mod problem;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use sweep_store::leadership::Waiting;
use sweep_store::record::{SweepPage, SweepRecord};
use tokio::sync::watch;
use tracing::warn;

use crate::access;
use crate::engine::{Error, Handle, Trouble};
use crate::metrics::{DiskUsage, Folders, Metrics, Scrape, SweepGauges};
use crate::role::Role;
use crate::service::Sweeps;
use problem::Problem;

/// The most sweeps with gauges of their own: the running ones, then the newest ended ones.
const SHOWN_SWEEPS: u32 = 10;

/// The time limit for the check of the store. It is below the usual timeout of probes.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of all HTTP handlers.
#[derive(Clone)]
pub struct Web {
    /// Whether this coordinator leads.
    pub role: watch::Receiver<Role>,
    /// The metrics of this coordinator.
    pub metrics: Arc<Metrics>,
    /// The folders whose disks are measured.
    pub folders: Folders,
}

impl Web {
    /// The usage of the disks. A file system may block, so the call runs on a thread of its own.
    async fn disk_usage(&self) -> Vec<DiskUsage> {
        let folders = self.folders.clone();
        tokio::task::spawn_blocking(move || folders.disk_usage()).await.unwrap_or_default()
    }

    /// The service, if this coordinator leads.
    pub(crate) fn service(&self) -> Result<Sweeps, Problem> {
        match &*self.role.borrow() {
            Role::Leading(services) => Ok(services.sweeps.clone()),
            Role::Waiting(waiting) => Err(Problem::standby(waiting)),
        }
    }

    fn engine(&self) -> Option<Handle> {
        match &*self.role.borrow() {
            Role::Leading(services) => Some(services.engine.clone()),
            Role::Waiting(_) => None,
        }
    }
}

/// The router of every HTTP address, behind the authentication of `door`.
pub fn router(web: Web, door: access::http::Door) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(web.clone())
        .nest(api::ROOT, api::router(web.clone()))
        .merge(pages::router(web))
        .merge(access::login::router())
        .layer(axum::middleware::from_fn_with_state(door, access::http::guard))
}

/// The readiness probe. With `?standby=ready`, a standby is ready too while another coordinator leads.
async fn readyz(State(web): State<Web>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let waiting = match &*web.role.borrow() {
        Role::Waiting(waiting) => Some(waiting.clone()),
        Role::Leading(_) => None,
    };
    match waiting {
        Some(Waiting::Led { .. }) if query.as_deref() == Some("standby=ready") => return (StatusCode::OK, "standby\n"),
        Some(_) => return (StatusCode::SERVICE_UNAVAILABLE, "standby\n"),
        None => {}
    }
    let Some(engine) = web.engine() else { return (StatusCode::SERVICE_UNAVAILABLE, "standby\n") };
    if *engine.trouble().borrow() != Trouble::None {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written\n");
    }
    if !*engine.ready().borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the coordinator is reading the store\n");
    }
    // The store reserves a connection for this check, so it does not wait for other queries.
    match tokio::time::timeout(READY_TIMEOUT, engine.store().check()).await {
        Ok(Ok(())) => return (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => warn!(error = %crate::chain(&error), "the store does not answer"),
        Err(_) => warn!(seconds = READY_TIMEOUT.as_secs(), "the store does not answer in time"),
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
}

async fn metrics(State(web): State<Web>) -> impl IntoResponse {
    match scrape(&web).await {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text),
        Err(error) => {
            warn!(error = %crate::chain(&error), "cannot answer a scrape");
            let text = "the coordinator cannot answer now\n".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
        }
    }
}

/// The running sweeps and the newest ended ones, at most `SHOWN_SWEEPS`.
async fn shown(engine: &Handle) -> Result<Vec<SweepRecord>, Error> {
    let running = SweepPage { running: Some(true), ..SweepPage::newest(SHOWN_SWEEPS) };
    let mut records = engine.store().sweeps(&running).await?;
    let left = SHOWN_SWEEPS.saturating_sub(u32::try_from(records.len()).unwrap_or(SHOWN_SWEEPS));
    if left > 0 {
        let ended = SweepPage { running: Some(false), ..SweepPage::newest(left) };
        records.extend(engine.store().sweeps(&ended).await?);
    }
    Ok(records)
}

async fn scrape(web: &Web) -> Result<String, Error> {
    let failed = |error: prometheus::Error| Error::Internal(error.to_string());
    // A standby reports no sweeps: what it knew as a leader may be outdated.
    let disks = web.disk_usage().await;
    let Some(engine) = web.engine() else {
        return web.metrics.render(&Scrape { disks, ..Scrape::default() }).map_err(failed);
    };
    let (gauges, paces) = (engine.gauges().await?, engine.paces().await?);
    let mut sweeps = Vec::new();
    for record in shown(&engine).await? {
        let live = gauges.sweeps.iter().find(|(id, ..)| *id == record.id);
        let live = live.map(|(_, _, counts, to_come)| (*counts, *to_come));
        let summary = match engine.summary_soon(&record, live.map(|(counts, _)| counts)).await {
            // The sweep was deleted after the list was read.
            Err(Error::NotFound { .. }) => continue,
            summary => summary?,
        };
        let (counts, to_come) = live.or(summary.as_ref().map(|summary| (summary.counts, 0))).unwrap_or_default();
        let ended = counts.succeeded + counts.failed + counts.cancelled;
        let all = ended + counts.queued + counts.running + to_come;
        sweeps.push(SweepGauges {
            sweep: record.id.0,
            name: record.name.clone(),
            trials: vec![
                ("queued", counts.queued),
                ("running", counts.running),
                ("succeeded", counts.succeeded.saturating_sub(counts.diverged)),
                ("diverged", counts.diverged),
                ("failed", counts.failed),
                ("cancelled", counts.cancelled),
            ],
            progress: if all == 0 { 1.0 } else { ended as f64 / all as f64 },
            objective: summary.as_ref().and_then(|summary| summary.asked.objective()),
            best: summary.map(|summary| summary.best.clone()).unwrap_or_default(),
        });
    }
    let store_bytes = Some(engine.store().size_bytes().await?);
    let deletions = Some(engine.store().unfinished_deletions().await?.len());
    web.metrics.render(&Scrape { leads: true, gauges, paces, sweeps, disks, store_bytes, deletions }).map_err(failed)
}
