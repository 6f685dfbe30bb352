//! A sweep as it goes on: server-sent events, fed by the stream that gRPC's watchers get.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use sweep_shapes::Sweep;

use super::parameters::SweepPath;
use super::question::{Asker, Named};
use super::{Answered, Open};
use crate::service::streams::Kind;
use crate::service::watch::Seen;
use crate::web::problem::Problem;

/// A quiet stream says that it lives this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A browser whose stream broke comes back after this.
const RETRY: Duration = Duration::from_secs(2);

/// The status of a sweep, now and after every change: events `status` with the sweep, then `end` when it has ended.
///
/// A stream that cannot continue sends the event `problem` and ends; open it again.
#[utoipa::path(get, path = "/sweeps/{sweep}/events", operation_id = "watchSweep", tag = "sweeps", params(SweepPath),
    responses((status = 200, description = "Server-sent events", body = Object, content_type = "text/event-stream")))]
pub(super) async fn events(Open(desk): Open, Asker(caller): Asker, Named(sweep): Named) -> Answered {
    let permit = desk.begin(Kind::Watch, caller.as_ref())?;
    let watched = desk.watched(&sweep).await?;
    let events = events_of(watched).map(move |event| {
        // The permit ends with the stream.
        let _held = &permit;
        Ok::<_, Infallible>(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn events_of(watched: impl Stream<Item = Result<Arc<Seen>, Problem>>) -> impl Stream<Item = Event> {
    watched.enumerate().flat_map(|(number, answer)| {
        let events = match answer {
            Ok(seen) => {
                let status = Event::default().event("status").data(seen.json());
                let status = status.id(number.to_string()).retry(RETRY);
                if seen.has_ended() {
                    vec![status, event("end", &Sweep::from(seen.message.clone()).state)]
                } else {
                    vec![status]
                }
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
