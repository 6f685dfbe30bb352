//! Pages for people: server-rendered, whole without a script, and kept up to date by one where there is one. They show
//! what the engine and the store say and compute nothing that is not about showing it.
//!
//! `query` reads addresses, `frame` stands around every page, `refusals` are the pages that say why there is nothing to
//! see, `meanwhile` keeps a page from waiting. What a page shows stands in a room of its own.

mod access;
mod actions;
mod events;
mod frame;
mod home;
mod meanwhile;
mod query;
mod refusals;
mod sweep;
mod trial;
mod words;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::Redirect;
use axum::routing::{get, post};

use super::finish::finish;
use super::{Web, assets};
use crate::role::Role;
use crate::service::Sweeps;
use meanwhile::Meanwhile;
use refusals::Refusal;

/// The longest form, in bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// What every page needs.
#[derive(Clone)]
pub(crate) struct Pages {
    web: Web,
    meanwhile: Arc<Meanwhile>,
}

impl Pages {
    /// Who answers, while this coordinator leads.
    fn service(&self) -> Result<Sweeps, Refusal> {
        match &*self.web.role.borrow() {
            Role::Leading(services) => Ok(services.sweeps.clone()),
            Role::Waiting(waiting) => Err(Refusal::Standby(waiting.clone())),
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
        .fallback(async |uri: Uri| Refusal::Address(uri.path().to_owned()))
        .layer(axum::middleware::from_fn(finish))
        .with_state(Pages { web, meanwhile: Arc::default() })
}
