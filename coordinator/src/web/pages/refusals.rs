//! Pages that say why there is nothing to see, and what can be done.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use tracing::error;

use super::frame::{Frame, Place};
use crate::engine;
use crate::store;
use crate::store::leadership::Waiting;
use crate::web::problem::RETRY_SECONDS;

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Another coordinator leads, or none.
    #[error("this coordinator stands by")]
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
            p { "Nothing is lost: workers keep what they have and hand it in as soon as the store takes it. "
                "Free some space on the coordinator’s disk, or look at the database; this page tries again by itself." }
        };
        Said::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be used now", why, hint).passing()
    };
    match error {
        Error::NotFound { .. } | Error::Configuration(_) => Said::new(
            StatusCode::NOT_FOUND,
            "There is no such thing here",
            sentence(&error.to_string()),
            html! { p { "It may have been deleted, or the address has a slip. " a href="/" { "All sweeps" } " has what there is." } },
        ),
        Error::Invalid(_) | Error::Spec(_) | Error::NotAnExtension { .. } => Said::new(
            StatusCode::BAD_REQUEST,
            "That cannot be asked",
            sentence(&error.to_string()),
            html! { p { "Go back and try it another way." } },
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
            "That cannot be done",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Busy { .. } => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "There is too much to do at the moment",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        )
        .passing(),
        Error::NotYours { .. } => Said::new(
            StatusCode::FORBIDDEN,
            "This is not yours to delete",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Unavailable => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The coordinator is not ready",
            "It is starting, leaving, or taking over: in a moment it answers again.",
            html! { p { "This page tries again by itself." } },
        )
        .passing(),
        Error::Troubled { why } => troubled(sentence(why)),
        Error::Store(error @ store::Error::Deposed { .. }) => Said::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Another coordinator leads",
            sentence(&error.to_string()),
            html! { p { "Its pages have what you look for." } },
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
        "Its log says why; nothing of the study is touched by it.",
        html! { p { "Look at the coordinator’s log (" code { "a page failed" } "), and tell those who keep it." } },
    )
}

fn standby(waiting: &Waiting) -> Said {
    let (what, hint) = match waiting {
        Waiting::Looking => {
            ("It is looking whether it may lead.".to_owned(), html! { p { "That takes some seconds." } })
        }
        Waiting::Led { address } => (
            format!("The one that workers dial at {address} does. This one takes over when that one is gone."),
            html! { p { "The pages are where that coordinator serves them, usually port 7734 of the same machine." } },
        ),
        Waiting::Unreachable { why } => (
            format!("The database cannot be reached: {}", sentence(why)),
            html! { p { "Until it answers, nobody leads and nothing is lost: workers go on and keep what they have." } },
        ),
    };
    Said::new(StatusCode::SERVICE_UNAVAILABLE, "This coordinator stands by", what, hint).passing()
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
                "That cannot be done",
                sentence(problem),
                html! { p { "Nothing was changed." } },
            ),
            Self::Forbidden(why) => Said::new(
                StatusCode::FORBIDDEN,
                "That is not yours to change",
                sentence(why),
                html! { p { "Nothing was changed." } },
            ),
            Self::Address(path) => Said::new(
                StatusCode::NOT_FOUND,
                "There is no such page",
                format!("Nothing is at {path}."),
                html! { p { a href="/" { "All sweeps" } " and " a href="/workers" { "all workers" } " are good places to start from." } },
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
