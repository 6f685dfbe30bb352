//! What stands around every page: head, navigation, the line that says when the coordinator was lost, and the headers that
//! let a browser load nothing that is not ours.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::access::Asked;
use crate::web::assets::ASSETS;

/// Nothing from elsewhere, nothing inline, no frame around it, forms to here alone.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                 connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Sweeps,
    Workers,
    Nowhere,
}

/// A page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) place: Place,
    /// What the page waits for: it is fetched again soon.
    pub(super) pending: bool,
    /// The page changes by itself: where it is told so.
    pub(super) events: Option<String>,
    /// Changes are said aloud in these words.
    pub(super) said: String,
    /// Whoever looks has shown a token, and can take it back.
    pub(super) signed_in: bool,
    pub(super) body: Markup,
}

impl Frame {
    pub(super) fn new(title: impl Into<String>, place: Place, body: Markup) -> Self {
        Self { title: title.into(), place, pending: false, events: None, said: String::new(), signed_in: false, body }
    }

    /// A page that changes by itself.
    pub(super) fn live(self, events: impl Into<String>, pending: bool) -> Self {
        Self { events: Some(events.into()), pending, ..self }
    }

    /// For whoever asked.
    pub(super) fn of(self, asked: &Asked) -> Self {
        Self { signed_in: asked.signed_in, ..self }
    }

    /// What is said aloud of it when that changes.
    pub(super) fn saying(self, said: impl Into<String>) -> Self {
        Self { said: said.into(), ..self }
    }

    pub(super) fn respond(self, status: StatusCode) -> Response {
        let headers: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        (status, headers, self.render().into_string()).into_response()
    }

    fn render(self) -> Markup {
        let assets = &*ASSETS;
        let current = |place: Place| (self.place == place).then_some("page");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " – Sweep" }
                    link rel="icon" type="image/svg+xml" href=(assets.icon.path);
                    link rel="stylesheet" href=(assets.style.path);
                    script src=(assets.morph.path) defer {}
                    script src=(assets.live.path) defer {}
                    @if self.pending { noscript { meta http-equiv="refresh" content="3"; } }
                }
                body data-events=[self.events.as_deref()] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" {
                            svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" {
                                rect width="32" height="32" rx="7" {}
                                path d="M6 23h20M9 23v-5M16 23V9M23 23v-9" {}
                            }
                            "Sweep"
                        }
                        nav aria-label="Pages" { ul {
                            li { a href="/" aria-current=[current(Place::Sweeps)] { "Sweeps" } }
                            li { a href="/workers" aria-current=[current(Place::Workers)] { "Workers" } }
                        } }
                        p #live-mark hidden { span.dot aria-hidden="true" {} span { "live" } }
                    }
                    div #lost role="alert" hidden {}
                    div #said.unseen role="status" aria-live="polite" {}
                    main #main tabindex="-1" data-said=(self.said) data-pending[self.pending] { (self.body) }
                    footer {
                        p { "Sweep " (env!("CARGO_PKG_VERSION")) " · times are UTC" }
                        p { a href="/api/v1/openapi.json" { "API" } " · " a href="/metrics" { "Metrics" } }
                        @if self.signed_in { form method="post" action="/logout" { button type="submit" { "Log out" } } }
                    }
                }
            }
        }
    }
}
