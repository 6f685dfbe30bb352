//! Server-sent events of a sweep, from the same stream as `WatchSweep` of gRPC.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use sweep_shapes::Sweep;

use super::extractors::{OptionalCaller, PathName};
use super::parameters::SweepPath;
use super::{ApiResult, Leader};
use crate::service::streams::Kind;
use crate::service::watch::Seen;
use crate::web::problem::Problem;

/// The interval of comments that keep an idle stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The time after which a client reconnects.
const RETRY: Duration = Duration::from_secs(2);

/// The status of a sweep, now and after every change: events `status` with the sweep, then `end` when it has ended.
///
/// A stream that cannot continue sends the event `problem` and ends; open it again.
#[utoipa::path(get, path = "/sweeps/{sweep}/events", operation_id = "watchSweep", tag = "sweeps", params(SweepPath),
    responses((status = 200, description = "Server-sent events", body = Object, content_type = "text/event-stream")))]
pub(super) async fn events(
    Leader(service): Leader,
    OptionalCaller(caller): OptionalCaller,
    PathName(sweep): PathName,
) -> ApiResult {
    let permit = service.begin(Kind::Watch, caller.as_ref())?;
    let watched = service.watched(&sweep).await?;
    let events = events_of(watched).map(move |event| {
        // The closure owns the permit, so it is released with the stream.
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

/// An event with a shape as JSON. Serialization of strings and numbers cannot fail.
fn event(name: &str, shape: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(shape).unwrap_or_default())
}
