//! The layout of every page: head, navigation, the notice about a lost connection, and the response headers that forbid
//! the browser to load anything from elsewhere.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::request::PageRequest;
use crate::web::assets::ASSETS;

/// The Content-Security-Policy: only own files, no inline scripts or styles, no frames, forms only to this server.
pub(super) const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                 connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The entry of the navigation that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NavItem {
    Sweeps,
    Workers,
    /// No entry is highlighted.
    Other,
}

/// A page: its body and what the layout around it shows.
pub(super) struct Layout {
    pub(super) title: String,
    pub(super) nav: NavItem,
    /// Whether a part of the page is still being computed. The browser then reloads it soon.
    pub(super) pending: bool,
    /// The address of the server-sent events that make the page reload.
    pub(super) events: Option<String>,
    /// The text that a screen reader announces when it changes.
    pub(super) announcement: String,
    /// Whether the user is signed in; the page then offers to sign out.
    pub(super) signed_in: bool,
    pub(super) body: Markup,
}

impl Layout {
    pub(super) fn new(title: impl Into<String>, nav: NavItem, body: Markup) -> Self {
        Self {
            title: title.into(),
            nav,
            pending: false,
            events: None,
            announcement: String::new(),
            signed_in: false,
            body,
        }
    }

    /// Reloads the page on each event of `events`.
    pub(super) fn live(self, events: impl Into<String>, pending: bool) -> Self {
        Self { events: Some(events.into()), pending, ..self }
    }

    /// Adapts the layout to the user of the request.
    pub(super) fn for_request(self, request: &PageRequest) -> Self {
        Self { signed_in: request.signed_in, ..self }
    }

    /// Sets the text that a screen reader announces when it changes.
    pub(super) fn announcing(self, announcement: impl Into<String>) -> Self {
        Self { announcement: announcement.into(), ..self }
    }

    pub(super) fn respond(self, status: StatusCode) -> Response {
        let headers: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, CSP),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        (status, headers, self.render().into_string()).into_response()
    }

    fn render(self) -> Markup {
        let assets = &*ASSETS;
        let current = |nav: NavItem| (self.nav == nav).then_some("page");
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
                            li { a href="/" aria-current=[current(NavItem::Sweeps)] { "Sweeps" } }
                            li { a href="/workers" aria-current=[current(NavItem::Workers)] { "Workers" } }
                        } }
                        p #live-mark hidden { span.dot aria-hidden="true" {} span { "live" } }
                    }
                    div #lost role="alert" hidden {}
                    div #said.unseen role="status" aria-live="polite" {}
                    main #main tabindex="-1" data-said=(self.announcement) data-pending[self.pending] { (self.body) }
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
