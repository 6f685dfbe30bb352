//! The OpenAPI document. Paths, parameters and responses come from the handlers; the parts that all operations share are added
//! here.

use axum::response::IntoResponse;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder, path::PathItem};
use utoipa::{Modify, OpenApi as _};

use super::{ApiResult, ROOT, answer};
use super::{actions, artifacts, document, events, results, sweeps, trials, workers};
use crate::web::problem::{MEDIA_TYPE, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Sweep", description = DESCRIPTION),
    paths(
        document::document,
        sweeps::list, actions::submit, sweeps::one, sweeps::specification, events::events,
        results::leaderboard, results::analysis, results::comparison, results::confusions, results::images, results::report,
        trials::list, trials::points, sweeps::artifacts, sweeps::audit,
        actions::cancel, actions::delete, actions::pause, actions::resume, actions::retry, actions::priority,
        trials::one, trials::curve, trials::log, trials::explanation, trials::audit,
        workers::list, workers::drain, workers::resume, workers::audit, artifacts::one,
        actions::collect,
    ),
    components(schemas(Problem)),
    modifiers(&Common),
)]
struct Document;

const DESCRIPTION: &str = "Sweeps, their trials and their results, in the same shapes that `sweepctl --output json` prints. Times \
    are milliseconds since 1970, numbers that are not finite are `null`, and fields may be added at any time. Errors are problem \
    details (RFC 9457). Only the leading coordinator answers; a standby responds with 503 and the address of the leader.";

/// This OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getDocument", tag = "document",
    responses((status = 200, description = "This document", body = Object)))]
pub(super) async fn document() -> ApiResult {
    Ok(answer(&whole())?.into_response())
}

pub(super) fn whole() -> OpenApi {
    Document::openapi()
}

/// Adds the parts that all operations share: the server, the security schemes, and the error responses.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        document.servers = Some(vec![utoipa::openapi::Server::new(ROOT)]);
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let description = "The session that the page `/login` opens. The name ends with the port that the coordinator listens on; with \
                    TLS it begins with `__Host-`.";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description("sweep-7734", description));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
        // The empty requirement: a coordinator without tokens accepts every request.
        let security = vec![
            SecurityRequirement::new("bearer", Vec::<String>::new()),
            SecurityRequirement::new("cookie", Vec::<String>::new()),
            SecurityRequirement::default(),
        ];
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                operation.security = Some(security.clone());
                for (status, description) in refusals(path, &method) {
                    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(refusal(description)));
                }
                if method == HttpMethod::Get {
                    let unchanged = Response::new("The resource has not changed since the response with that `ETag`");
                    operation.responses.responses.entry("304".to_owned()).or_insert(RefOr::T(unchanged));
                }
            }
        }
    }
}

/// The operations of a path, with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let get = item.get.as_mut().map(|operation| (HttpMethod::Get, operation));
    let post = item.post.as_mut().map(|operation| (HttpMethod::Post, operation));
    get.into_iter().chain(post)
}

/// The error responses of a path.
fn refusals(path: &str, method: &HttpMethod) -> Vec<(&'static str, &'static str)> {
    let mut refusals = vec![
        ("400", "A parameter or the body is invalid"),
        ("401", "The request needs a valid token"),
        ("403", "The token does not allow this request"),
        ("500", "The coordinator failed; its log contains the cause"),
        ("503", "This coordinator does not lead or cannot write; try again later"),
    ];
    if path.contains('{') {
        refusals.push(("404", "The resource does not exist"));
        refusals.push(("409", "The current state does not allow the request, or a limit is reached"));
    }
    if *method == HttpMethod::Post {
        refusals.extend([
            ("404", "The resource does not exist"),
            ("408", "The body did not arrive in time"),
            ("409", "The current state does not allow the request, or a limit is reached"),
            ("413", "The body is too long"),
            ("415", "The content type is not one of these"),
        ]);
    }
    refusals
}

fn refusal(description: &str) -> Response {
    let content = Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"))));
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::body::Body;
    use axum::http::{Method, Request, header};
    use tokio::sync::watch;
    use tower::Service;

    use super::super::{router, routes};
    use super::*;
    use crate::metrics::Metrics;
    use crate::role::Role;
    use crate::service::failure::{Failure, Kind};
    use crate::web::Web;
    use sweep_store::leadership::Waiting;

    /// The methods of each path in the document.
    fn described() -> BTreeMap<String, Vec<String>> {
        let methods = |mut item: PathItem| {
            let found = operations(&mut item).map(|(method, _)| if method == HttpMethod::Get { "GET" } else { "POST" });
            found.map(str::to_owned).collect()
        };
        whole().paths.paths.into_iter().map(|(path, item)| (path, methods(item))).collect()
    }

    async fn allowed(path: &str) -> Vec<String> {
        let (_sender, role) = watch::channel(Role::Waiting(Waiting::Looking));
        let mut router = router(Web { role, metrics: Metrics::new().unwrap().into(), folders: Default::default() });
        let request = Request::builder().method(Method::DELETE).uri(path.replace(['{', '}'], ""));
        let answer = router.call(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let allowed = answer.headers()[header::ALLOW].to_str().unwrap();
        allowed.split(',').filter(|method| *method != "HEAD").map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn every_route_is_in_the_document_and_nothing_else_is() {
        let mut served = BTreeMap::new();
        for (path, _) in routes() {
            served.insert(path.to_owned(), allowed(path).await);
        }
        assert_eq!(served, described());
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_refuses() {
        let mut names = Vec::new();
        for (path, item) in &mut whole().paths.paths {
            for (_, operation) in operations(item) {
                names.push(operation.operation_id.clone().unwrap());
                assert!(operation.summary.is_some() || operation.description.is_some(), "{path}");
                for status in ["400", "401", "403", "500", "503"] {
                    assert!(operation.responses.responses.contains_key(status), "{path} {status}");
                }
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_status_of_every_failure_is_in_the_document() {
        let not_found = Kind::NotFound(String::new());
        let kinds = [Kind::Invalid, not_found, Kind::Forbidden, Kind::Precondition, Kind::TooMany, Kind::Busy];
        for kind in kinds.into_iter().chain([Kind::Unavailable, Kind::Internal]) {
            let status = Problem::from(Failure { kind: kind.clone(), message: String::new() }).status();
            for method in [HttpMethod::Get, HttpMethod::Post] {
                let mut described = refusals("/sweeps/{sweep}", &method).into_iter();
                assert!(described.any(|(code, _)| code == status.as_str()), "{kind:?}: {status}");
            }
        }
    }

    /// `SWEEP_BLESS=1 cargo test -p sweep-coordinator document` updates the file.
    #[test]
    fn the_document_is_the_one_in_docs() {
        let text = whole().to_pretty_json().unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        if std::env::var_os("SWEEP_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == text,
            "docs/openapi.json differs from the document of the coordinator; SWEEP_BLESS=1 updates it"
        );
    }
}
