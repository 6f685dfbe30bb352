//! Artifacts by the hash of their content.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use futures::StreamExt;
use sweep_spec::Digest;
use sweep_store::codes::ArtifactKind;

use super::parameters::DigestPath;
use super::question::{Asker, Named};
use super::{Answered, Open, table};
use crate::engine::Error;
use crate::service::streams::Kind;
use crate::web::held;
use crate::web::problem::Problem;

/// What is named by its content never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// The content of an artifact.
#[utoipa::path(get, path = "/artifacts/{digest}", operation_id = "getArtifact", tag = "artifacts", params(DigestPath),
    responses((status = 200, description = "The content: pictures as PNG, everything else as a download",
        content((String = "image/png"), (String = "text/plain"), (String = "application/octet-stream")))))]
pub(super) async fn one(Open(desk): Open, Asker(caller): Asker, Named(digest): Named, headers: HeaderMap) -> Answered {
    // Only a digest is looked for: no path can be meant.
    let found: Digest = digest.parse().map_err(|_| Problem::invalid("digest", "expected 64 hexadecimal digits"))?;
    let known = desk.artifact(found).await?;
    let (kind, size) = known.ok_or_else(|| Error::not_found(format!("artifact {}", found.short())))?;
    let mark = format!("\"{found}\"");
    let mark = HeaderValue::try_from(mark).map_err(|error| Error::Internal(error.to_string()))?;
    if headers.get(header::IF_NONE_MATCH) == Some(&mark) {
        return Ok(
            (StatusCode::NOT_MODIFIED, [(header::ETAG, mark), (header::CACHE_CONTROL, FOR_EVER)]).into_response()
        );
    }
    let permit = desk.begin(Kind::Export, caller.as_ref())?;
    // A fixed list: nothing that a browser would run can be among it.
    let (content_type, extension) = match kind {
        ArtifactKind::Thumbnails => ("image/png", "png"),
        ArtifactKind::Log => ("text/plain; charset=utf-8", "log"),
        ArtifactKind::Weights => ("application/octet-stream", "safetensors"),
    };
    let pieces = desk
        .artifact_content(found)
        .map(|piece| piece.map_err(|problem| std::io::Error::other(problem.detail().to_owned())));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::ETAG, mark),
        (header::CACHE_CONTROL, FOR_EVER),
    ];
    let mut response = (headers, Body::from_stream(pieces)).into_response();
    if kind != ArtifactKind::Thumbnails {
        let disposition = table::attachment(&found.short(), extension);
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(held::hold(response, permit))
}
