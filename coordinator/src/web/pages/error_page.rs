//! Error pages: the title, the cause and the next step for every reason that a page cannot be shown.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use sweep_store as store;
use sweep_store::leadership::Waiting;
use tracing::error;

use super::layout::{Layout, NavItem};
use crate::engine;
use crate::web::problem::RETRY_SECONDS;

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The engine or the service refused the request.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// This coordinator does not lead.
    #[error("this coordinator is a standby")]
    Standby(Waiting),
    /// A chart cannot be drawn.
    #[error("a chart cannot be drawn")]
    Chart(#[from] sweep_report::Error),
    /// A value of the form is invalid.
    #[error("{0}")]
    Form(String),
    /// The caller lacks the permission.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No page has this path.
    #[error("there is no page at {0}")]
    Address(String),
}

impl From<store::Error> for PageError {
    fn from(error: store::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// The parts of an error page.
struct Content {
    status: StatusCode,
    title: &'static str,
    detail: String,
    hint: Markup,
    /// Whether the page reloads by itself, because the error may be temporary.
    retries: bool,
}

impl Content {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>, hint: Markup) -> Self {
        Self { status, title, detail: detail.into(), hint, retries: false }
    }

    fn retrying(self) -> Self {
        Self { retries: true, ..self }
    }
}

/// Turns a message into a sentence: a capital letter first, and a full stop at the end.
fn sentence(text: &str) -> String {
    let text = sweep_report::parts::capital(text);
    if text.ends_with(['.', '?', '!']) { text } else { format!("{text}.") }
}

fn of_engine(error: &engine::Error) -> Content {
    use engine::Error;
    let troubled = |why: String| {
        let hint = html! {
            p { "Nothing is lost: workers keep their results and send them as soon as the store accepts writes. "
                "Free space on the coordinator’s disk, or check the database. This page retries on its own." }
        };
        Content::new(StatusCode::SERVICE_UNAVAILABLE, "The store is unavailable", why, hint).retrying()
    };
    match error {
        Error::NotFound { .. } | Error::Configuration(_) => Content::new(
            StatusCode::NOT_FOUND,
            "Not found",
            sentence(&error.to_string()),
            html! { p { "It may have been deleted, or the address may be wrong. Go back to " a href="/" { "all sweeps" } "." } },
        ),
        Error::Invalid(_) | Error::Spec(_) | Error::NotAnExtension { .. } => Content::new(
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
        | Error::TooMany { .. } => Content::new(
            StatusCode::CONFLICT,
            "The coordinator refused this change",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Busy { .. } => Content::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The coordinator is overloaded",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        )
        .retrying(),
        Error::NotYours { .. } => Content::new(
            StatusCode::FORBIDDEN,
            "You may not delete this sweep",
            sentence(&error.to_string()),
            html! { p { "Nothing was changed." } },
        ),
        Error::Unavailable => Content::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The coordinator is not ready",
            "It is starting, stopping or taking over, and will answer again in a moment.",
            html! { p { "This page retries on its own." } },
        )
        .retrying(),
        Error::Troubled { why } => troubled(sentence(why)),
        Error::Store(error @ store::Error::Deposed { .. }) => Content::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Another coordinator leads",
            sentence(&error.to_string()),
            html! { p { "Open the pages of that coordinator." } },
        )
        .retrying(),
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

fn internal() -> Content {
    Content::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The coordinator failed on this page",
        "The coordinator’s log contains the cause. No sweep or result is affected.",
        html! { p { "Search the log for " code { "a page failed" } ", and report it to the administrator." } },
    )
}

fn standby(waiting: &Waiting) -> Content {
    let (detail, hint) = match waiting {
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
    Content::new(StatusCode::SERVICE_UNAVAILABLE, "This coordinator is a standby", detail, hint).retrying()
}

impl PageError {
    fn content(&self) -> Content {
        match self {
            Self::Engine(error) => of_engine(error),
            Self::Standby(waiting) => standby(waiting),
            Self::Chart(error) => {
                error!(error = %crate::chain(error), "a page failed");
                internal()
            }
            Self::Form(problem) => Content::new(
                StatusCode::BAD_REQUEST,
                "The coordinator refused this change",
                sentence(problem),
                html! { p { "Nothing was changed." } },
            ),
            Self::Forbidden(why) => Content::new(
                StatusCode::FORBIDDEN,
                "You may not change this",
                sentence(why),
                html! { p { "Nothing was changed." } },
            ),
            Self::Address(path) => Content::new(
                StatusCode::NOT_FOUND,
                "Page not found",
                format!("There is no page at {path}."),
                html! { p { a href="/" { "All sweeps" } " · " a href="/workers" { "All workers" } } },
            ),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let content = self.content();
        let body = html! {
            div.refusal {
                p.code aria-hidden="true" { (content.status.as_u16()) }
                h1 { (content.title) }
                p.lead { (content.detail) }
                (content.hint)
            }
        };
        let layout = Layout::new(content.title, NavItem::Other, body);
        let layout = if content.retries { layout.live("/events", true) } else { layout };
        let mut response = layout.respond(content.status);
        if content.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}
