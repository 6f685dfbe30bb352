//! A sweep as it goes on: server-sent events, fed by the stream that gRPC's watchers get.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use sweep_shapes::Sweep;

use super::parameters::SweepPath;
use super::question::Named;
use super::{Answered, Api, Open};
use crate::web::problem::Problem;

/// A quiet stream says that it lives this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A browser whose stream broke comes back after this.
const RETRY: Duration = Duration::from_secs(2);

/// Where a sweep stands, now and on every change: events `status` with the sweep, then `end` when it has ended.
///
/// A stream that cannot go on says `problem` and ends; then it is asked for again.
#[utoipa::path(get, path = "/sweeps/{sweep}/events", operation_id = "watchSweep", tag = "sweeps", params(SweepPath),
    responses((status = 200, description = "Server-sent events", body = Object, content_type = "text/event-stream")))]
pub(super) async fn events(State(api): State<Api>, Open(desk): Open, Named(sweep): Named) -> Answered {
    let Ok(place) = Arc::clone(&api.watchers).try_acquire_owned() else {
        let detail = "as many streams of events are open as there may be: close one, or ask for the sweep now and then";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let watched = desk.watched(&sweep).await?;
    let events = events_of(watched).map(move |event| {
        // The place is given back with the stream.
        let _held = &place;
        Ok::<_, Infallible>(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn events_of(watched: impl Stream<Item = Result<Sweep, Problem>>) -> impl Stream<Item = Event> {
    watched.enumerate().flat_map(|(number, answer)| {
        let events = match answer {
            Ok(sweep) => {
                let status = event("status", &sweep).id(number.to_string()).retry(RETRY);
                if sweep.state.has_ended() { vec![status, event("end", &sweep.state)] } else { vec![status] }
            }
            Err(problem) => vec![event("problem", &problem)],
        };
        stream::iter(events)
    })
}

/// Shapes are texts and numbers, and always JSON.
fn event(name: &str, shape: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(shape).unwrap_or_default())
}
