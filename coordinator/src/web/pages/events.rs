//! Says when something of any sweep has changed, as server-sent events, for pages that are about more than one sweep
//! (`/api/v1/sweeps/{sweep}/events` has those of one): what, a page finds out by asking again. Many changes within a
//! second are one event. The stream ends with the engine; a browser dials again by itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream;
use tokio::sync::watch;

use super::Pages;
use super::refusals::Refusal;
use crate::access::Caller;
use crate::service::streams::Kind;

/// Between two events.
const PAUSE: Duration = Duration::from_secs(1);
/// A quiet stream shows this often that it lives.
const ALIVE: Duration = Duration::from_secs(10);
/// A browser dials again after so long.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn stream(State(pages): State<Pages>, request: Request) -> Result<impl IntoResponse, Refusal> {
    let service = pages.service()?;
    let permit = service.begin(Kind::Watch, request.extensions().get::<Caller>())?;
    let mut changes = service.engine.changes();
    changes.mark_unchanged();
    let events = stream::unfold((changes, true), |(mut changes, first)| async move {
        if first {
            // Whoever has just dialled may have missed something.
            return Some((event("hello", &changes).retry(AGAIN), (changes, false)));
        }
        tokio::time::sleep(PAUSE).await;
        changes.changed().await.ok()?;
        Some((event("change", &changes), (changes, false)))
    });
    let events = futures::StreamExt::map(events, move |event| {
        // The permit ends with the stream.
        let _held = &permit;
        Ok::<_, Infallible>(event)
    });
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(([(header::CACHE_CONTROL, "no-store")], Sse::new(events).keep_alive(alive)))
}

fn event(name: &str, changes: &watch::Receiver<u64>) -> Event {
    Event::default().event(name).data(changes.borrow().to_string())
}
