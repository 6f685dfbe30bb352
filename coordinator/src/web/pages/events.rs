//! Server-sent events for pages that show more than one sweep (`/api/v1/sweeps/{sweep}/events` has the events of one). An event
//! means that a sweep has changed, and the page reloads. Changes within a second are one event. The stream ends with the
//! engine; a browser reconnects by itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream;
use tokio::sync::watch;

use super::Pages;
use super::error_page::PageError;
use crate::access::Caller;
use crate::service::streams::Kind;

/// The shortest time between two events.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The interval of comments that keep an idle stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The time after which a browser reconnects.
const RETRY: Duration = Duration::from_secs(2);

pub(super) async fn stream(State(pages): State<Pages>, request: Request) -> Result<impl IntoResponse, PageError> {
    let service = pages.service()?;
    let permit = service.begin(Kind::Watch, request.extensions().get::<Caller>())?;
    let mut changes = service.engine.changes();
    changes.mark_unchanged();
    let events = stream::unfold((changes, true), |(mut changes, first)| async move {
        if first {
            // A client that has just connected may have missed a change.
            return Some((event("hello", &changes).retry(RETRY), (changes, false)));
        }
        tokio::time::sleep(MIN_INTERVAL).await;
        changes.changed().await.ok()?;
        Some((event("change", &changes), (changes, false)))
    });
    let events = futures::StreamExt::map(events, move |event| {
        // The closure owns the permit, so it is released with the stream.
        let _held = &permit;
        Ok::<_, Infallible>(event)
    });
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(([(header::CACHE_CONTROL, "no-store")], Sse::new(events).keep_alive(alive)))
}

fn event(name: &str, changes: &watch::Receiver<u64>) -> Event {
    Event::default().event(name).data(changes.borrow().to_string())
}
