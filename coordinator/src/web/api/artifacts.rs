//! Artifacts by the hash of their content.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use futures::StreamExt;
use sweep_spec::Digest;
use sweep_store::codes::ArtifactKind;

use super::extractors::{OptionalCaller, PathName};
use super::parameters::DigestPath;
use super::{ApiResult, Leader, table};
use crate::engine::Error;
use crate::service::streams::Kind;
use crate::web::permit_body;
use crate::web::problem::Problem;

/// An artifact is named by its hash, so its content never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// The content of an artifact.
#[utoipa::path(get, path = "/artifacts/{digest}", operation_id = "getArtifact", tag = "artifacts", params(DigestPath),
    responses((status = 200, description = "The content: pictures as PNG, everything else as a download",
        content((String = "image/png"), (String = "text/plain"), (String = "application/octet-stream")))))]
pub(super) async fn one(
    Leader(service): Leader,
    OptionalCaller(caller): OptionalCaller,
    PathName(digest): PathName,
    headers: HeaderMap,
) -> ApiResult {
    // A digest is hexadecimal, so the name cannot be a path.
    let found: Digest = digest.parse().map_err(|_| Problem::invalid("digest", "expected 64 hexadecimal digits"))?;
    let known = service.artifact(found).await?;
    let (kind, size) = known.ok_or_else(|| Error::not_found(format!("artifact {}", found.short())))?;
    let etag = format!("\"{found}\"");
    let etag = HeaderValue::try_from(etag).map_err(|error| Error::Internal(error.to_string()))?;
    if headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        return Ok(
            (StatusCode::NOT_MODIFIED, [(header::ETAG, etag), (header::CACHE_CONTROL, IMMUTABLE)]).into_response()
        );
    }
    let permit = service.begin(Kind::Export, caller.as_ref())?;
    // These types only: a browser runs none of them.
    let (content_type, extension) = match kind {
        ArtifactKind::Thumbnails => ("image/png", "png"),
        ArtifactKind::Log => ("text/plain; charset=utf-8", "log"),
        ArtifactKind::Weights => ("application/octet-stream", "safetensors"),
    };
    let pieces = service
        .artifact_content(found)
        .map(|piece| piece.map_err(|problem| std::io::Error::other(problem.detail().to_owned())));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::ETAG, etag),
        (header::CACHE_CONTROL, IMMUTABLE),
    ];
    let mut response = (headers, Body::from_stream(pieces)).into_response();
    if kind != ArtifactKind::Thumbnails {
        let disposition = table::attachment(&found.short(), extension);
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(permit_body::attach(response, permit))
}
