//! HTML pages, rendered on the server. They work without JavaScript; with it, they update by themselves. They show
//! values of the engine and the store, and compute only their presentation.
//!
//! `request` and `query` read a request, `layout` surrounds every page, `components` has the parts that several pages share,
//! `error_page` explains why a page cannot be shown, and `cache` limits how long a page waits. Each page has its own file.

mod actions;
mod cache;
mod components;
mod error_page;
mod events;
mod home;
mod layout;
mod query;
mod request;
mod sweep;
mod trial;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::Redirect;
use axum::routing::{get, post};

use super::etag_gzip::etag_and_gzip;
use super::{Web, assets};
use crate::role::Role;
use crate::service::Sweeps;
use cache::PageCache;
use error_page::PageError;

/// The longest form, in bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// The state of all handlers.
#[derive(Clone)]
pub(crate) struct Pages {
    web: Web,
    cache: Arc<PageCache>,
}

impl Pages {
    /// The service, while this coordinator leads.
    fn service(&self) -> Result<Sweeps, PageError> {
        match &*self.web.role.borrow() {
            Role::Leading(services) => Ok(services.sweeps.clone()),
            Role::Waiting(waiting) => Err(PageError::Standby(waiting.clone())),
        }
    }
}

/// All pages.
pub(crate) fn router(web: Web) -> Router {
    let changes = Router::new()
        .route("/sweeps/{sweep}/cancel", get(actions::confirm_cancel).post(actions::cancel))
        .route("/sweeps/{sweep}/delete", get(actions::confirm_delete).post(actions::delete))
        .route("/sweeps/{sweep}/pause", post(actions::pause))
        .route("/sweeps/{sweep}/resume", post(actions::resume))
        .route("/sweeps/{sweep}/retry", post(actions::retry))
        .route("/sweeps/{sweep}/priority", post(actions::priority))
        .route("/workers/{worker}/drain", get(actions::confirm_drain).post(actions::drain))
        .route("/workers/{worker}/suspend", post(actions::suspend))
        .route("/workers/{worker}/resume", post(actions::put_back))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES));
    Router::new()
        .route("/", get(home::page))
        .route("/sweeps", get(async || Redirect::permanent("/")))
        .route("/sweeps/{sweep}", get(sweep::overview))
        .route("/sweeps/{sweep}/charts", get(sweep::charts::page))
        .route("/sweeps/{sweep}/curves", get(sweep::curves::page))
        .route("/sweeps/{sweep}/images", get(sweep::images::page))
        .route("/sweeps/{sweep}/trials", get(sweep::trials::page))
        .route("/sweeps/{sweep}/question", get(sweep::question::page))
        .route("/sweeps/{sweep}/configurations/{position}", get(sweep::configuration::page))
        .route("/trials/{trial}", get(trial::page))
        .route("/workers", get(workers::page))
        .route("/events", get(events::stream))
        .route("/assets/{name}", get(assets::serve))
        .merge(changes)
        .fallback(async |uri: Uri| PageError::Address(uri.path().to_owned()))
        .layer(axum::middleware::from_fn(etag_and_gzip))
        .with_state(Pages { web, cache: Arc::default() })
}
