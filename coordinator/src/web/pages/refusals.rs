//! Pages that say why there is nothing to see, and what can be done.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use sweep_store as store;
use sweep_store::leadership::Waiting;
use tracing::error;

use super::frame::{Frame, Place};
use crate::engine;
use crate::web::problem::RETRY_SECONDS;

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Another coordinator leads, or none.
    #[error("this coordinator is a standby")]
    Standby(Waiting),
    /// A chart.
    #[error("a chart cannot be drawn")]
    Chart(#[from] sweep_report::Error),
    /// The form makes no sense.
    #[error("{0}")]
    Form(String),
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such address.
    #[error("there is no page at {0}")]
    Address(String),
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// What a refusal says.
struct Said {
    status: StatusCode,
    title: &'static str,
    what: String,
    hint: Markup,
    /// It may pass: the page looks again by itself.
    passes: bool,
}

impl Said {
    fn new(status: StatusCode, title: &'static str, what: impl Into<String>, hint: Markup) -> Self {
        Self { status, title, what: what.into(), hint, passes: false }
    }

    fn passing(self) -> Self {
        Self { passes: true, ..self }
    }
}

/// The text with a capital letter in front and a full stop behind.
fn sentence(text: &str) -> String {
    let text = sweep_report::parts::capital(text);
    if text.ends_with(['.', '?', '!']) { text } else { format!("{text}.") }
}

fn of_engine(error: &engine::Error) -> Said {
    use engine::Error;
    let troubled = |why: String| {
        let hint = html! {
            p { "Nothing is lost: workers keep their results and send them as soon as the store accepts writes. "
                "Free space on the coordinator’s disk, or check the database. This page retries on its own." }
        };
        Said::new(StatusCode::SERVICE_UNAVAILABLE, "The store is unavailable", why, hint).passing()
    };
    match error {
        Error::NotFound { .. } | Error::Configuration(_) => Said::new(
            StatusCode::NOT_FOUND,
            "Not found",
            sentence(&error.to_string()),
            html! { p { "It may have been deleted, or the address may be wrong. Go back to " a href="/" { "all sweeps" } "." } },
        ),
        Error::Invalid(_) | Error::Spec(_) | Error::NotAnExtension { .. } => Said::new(
            StatusCode::BAD_REQUEST,
            "Invalid request",
            sentence(&error.to_string()),
            html! { p { "Go back and change the request." } },
        ),
        Error::Refused(_)
        | Error::StillRuns { .. }
        | Error::Ended { .. }
        | Error::Cancelled { .. }
        | Error::OtherSemantics { .. }
        | Error::NameHeld(_)
        | Error::Held { .. }
        | Error::TooMany { .. } => Said::new(
            StatusCode::CONFLICT,
            "The coordinator refused this change",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Busy { .. } => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The coordinator is overloaded",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        )
        .passing(),
        Error::NotYours { .. } => Said::new(
            StatusCode::FORBIDDEN,
            "You may not delete this sweep",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Unavailable => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The coordinator is not ready",
            "It is starting, stopping or taking over, and will answer again in a moment.",
            html! { p { "This page retries on its own." } },
        )
        .passing(),
        Error::Troubled { why } => troubled(sentence(why)),
        Error::Store(error @ store::Error::Deposed { .. }) => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Another coordinator leads",
            sentence(&error.to_string()),
            html! { p { "Open the pages of that coordinator." } },
        )
        .passing(),
        Error::Store(error) if error.is_unreachable() || matches!(error, store::Error::Full(_)) => {
            troubled(sentence(&crate::chain(error)))
        }
        Error::UnknownSession
        | Error::Semantics { .. }
        | Error::Version { .. }
        | Error::Store(_)
        | Error::Internal(_) => {
            error!(error = %crate::chain(error), "a page failed");
            internal()
        }
    }
}

fn internal() -> Said {
    Said::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The coordinator failed on this page",
        "The coordinator’s log contains the cause. No sweep or result is affected.",
        html! { p { "Search the log for " code { "a page failed" } ", and report it to the administrator." } },
    )
}

fn standby(waiting: &Waiting) -> Said {
    let (what, hint) = match waiting {
        Waiting::Looking => (
            "It is checking whether another coordinator leads.".to_owned(),
            html! { p { "This takes a few seconds." } },
        ),
        Waiting::Led { address } => (
            format!(
                "The coordinator at {address}, which workers connect to, leads. This one takes over if that one fails."
            ),
            html! { p { "Open the pages of that coordinator, usually on port 7734 of the same machine." } },
        ),
        Waiting::Unreachable { why } => (
            format!("The database cannot be reached: {}", sentence(why)),
            html! { p { "No coordinator leads until the database answers. Nothing is lost: workers continue their trials and keep the results." } },
        ),
    };
    Said::new(StatusCode::SERVICE_UNAVAILABLE, "This coordinator is a standby", what, hint).passing()
}

impl Refusal {
    fn said(&self) -> Said {
        match self {
            Self::Engine(error) => of_engine(error),
            Self::Standby(waiting) => standby(waiting),
            Self::Chart(error) => {
                error!(error = %crate::chain(error), "a page failed");
                internal()
            }
            Self::Form(problem) => Said::new(
                StatusCode::BAD_REQUEST,
                "The coordinator refused this change",
                sentence(problem),
                html! { p { "Nothing was changed." } },
            ),
            Self::Forbidden(why) => Said::new(
                StatusCode::FORBIDDEN,
                "You may not change this",
                sentence(why),
                html! { p { "Nothing was changed." } },
            ),
            Self::Address(path) => Said::new(
                StatusCode::NOT_FOUND,
                "Page not found",
                format!("There is no page at {path}."),
                html! { p { a href="/" { "All sweeps" } " · " a href="/workers" { "All workers" } } },
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let said = self.said();
        let body = html! {
            div.refusal {
                p.code aria-hidden="true" { (said.status.as_u16()) }
                h1 { (said.title) }
                p.lead { (said.what) }
                (said.hint)
            }
        };
        let frame = Frame::new(said.title, Place::Nowhere, body);
        let frame = if said.passes { frame.live("/events", true) } else { frame };
        let mut response = frame.respond(said.status);
        if said.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}
