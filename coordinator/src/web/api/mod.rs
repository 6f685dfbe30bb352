//! `/api/v1`: the values of the pages, for programs. Handlers read the request (`extractors`, `parameters`), call `service`, and
//! return JSON or CSV (`table`). `document` derives the OpenAPI document from their signatures.

mod actions;
mod artifacts;
mod document;
mod events;
mod extractors;
mod parameters;
mod results;
mod service;
mod sweeps;
mod table;
mod trials;
mod workers;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;

use super::Web;
use super::etag_gzip::etag_and_gzip;
use super::problem::Problem;
use crate::engine::Error;
use service::ApiService;

/// The path that all addresses of the API begin with.
pub(super) const ROOT: &str = "/api/v1";
/// The Content-Security-Policy: a browser that opens a response runs nothing in it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The state of the handlers.
#[derive(Clone)]
pub(super) struct Api {
    web: Web,
}

/// The extractor of the service. It responds with 503 if this coordinator does not lead.
struct Leader(ApiService);

impl FromRequestParts<Api> for Leader {
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        api.web.service().map(|service| Self(ApiService::new(service)))
    }
}

/// The response of a handler, or problem details.
type ApiResult = Result<Response, Problem>;

fn answer<T: Serialize>(shape: &T) -> ApiResult {
    status(StatusCode::OK, shape)
}

fn status<T: Serialize>(status: StatusCode, shape: &T) -> ApiResult {
    let body = serde_json::to_vec(shape).map_err(|error| Error::Internal(error.to_string()))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Every route below the root. A test compares the document with this list.
fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/openapi.json", get(document::document)),
        ("/sweeps", get(sweeps::list).post(actions::submit)),
        ("/sweeps/{sweep}", get(sweeps::one)),
        ("/sweeps/{sweep}/specification", get(sweeps::specification)),
        ("/sweeps/{sweep}/events", get(events::events)),
        ("/sweeps/{sweep}/leaderboard", get(results::leaderboard)),
        ("/sweeps/{sweep}/analysis", get(results::analysis)),
        ("/sweeps/{sweep}/comparison", get(results::comparison)),
        ("/sweeps/{sweep}/confusions", get(results::confusions)),
        ("/sweeps/{sweep}/images", get(results::images)),
        ("/sweeps/{sweep}/report", get(results::report)),
        ("/sweeps/{sweep}/trials", get(trials::list)),
        ("/sweeps/{sweep}/points", get(trials::points)),
        ("/sweeps/{sweep}/artifacts", get(sweeps::artifacts)),
        ("/sweeps/{sweep}/audit", get(sweeps::audit)),
        ("/sweeps/{sweep}/cancel", post(actions::cancel)),
        ("/sweeps/{sweep}/delete", post(actions::delete)),
        ("/sweeps/{sweep}/pause", post(actions::pause)),
        ("/sweeps/{sweep}/resume", post(actions::resume)),
        ("/sweeps/{sweep}/retry", post(actions::retry)),
        ("/sweeps/{sweep}/priority", post(actions::priority)),
        ("/trials/{trial}", get(trials::one)),
        ("/trials/{trial}/points", get(trials::curve)),
        ("/trials/{trial}/log", get(trials::log)),
        ("/trials/{trial}/explanation", get(trials::explanation)),
        ("/trials/{trial}/audit", get(trials::audit)),
        ("/workers", get(workers::list)),
        ("/workers/{worker}/drain", post(workers::drain)),
        ("/workers/{worker}/resume", post(workers::resume)),
        ("/audit", get(workers::audit)),
        ("/artifacts/{digest}", get(artifacts::one)),
        ("/garbage/collect", post(actions::collect)),
    ]
}

/// The router of the API, to be nested under `ROOT`.
pub(super) fn router(web: Web) -> Router<()> {
    let api = Api { web };
    let routes = routes().into_iter().fold(Router::new(), |router, (path, handlers)| router.route(path, handlers));
    routes
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this address does not support the method; the header `Allow` lists the methods that it supports",
            )
        })
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no resource has this address"))
        .layer(axum::middleware::from_fn(etag_and_gzip))
        .layer(axum::middleware::map_response(async |mut response: Response| {
            response.headers_mut().entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
            response
        }))
        .with_state(api)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tokio::sync::watch;
    use tower::Service;

    use super::*;
    use crate::metrics::Metrics;
    use crate::role::Role;
    use sweep_store::leadership::Waiting;

    #[tokio::test]
    async fn a_standby_says_who_leads_and_still_describes_itself() {
        let waiting = Waiting::Led { address: "10.0.0.7:7733".into() };
        let (_sender, role) = watch::channel(Role::Waiting(waiting));
        let mut router = router(Web { role, metrics: Metrics::new().unwrap().into(), folders: Default::default() });
        let mut ask = async |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let answer = router.call(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            (parts, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
        };
        for path in ["/sweeps", "/sweeps/1/events", "/artifacts/zz"] {
            let (parts, problem) = ask(path).await;
            assert_eq!((parts.status.as_u16(), problem["leader"].as_str()), (503, Some("10.0.0.7:7733")), "{path}");
            assert!(parts.headers.contains_key("retry-after"));
        }
        assert_eq!(ask("/openapi.json").await.1["openapi"], "3.1.0");
        assert_eq!(ask("/nothing").await.0.status, 404);
    }
}
