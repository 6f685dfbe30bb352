//! A layer that adds ETags, gzip and common headers to responses whose body is complete. Streams pass unchanged. A response
//! that counts as an export keeps its permit until its last byte is sent (`permit_body`).

use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::permit_body;

/// Shorter bodies are not compressed.
const MIN_GZIP_BYTES: u64 = 1024;
/// Longer bodies are compressed on a blocking thread.
const MIN_BLOCKING_BYTES: usize = 64 * 1024;
/// Longer bodies are sent unchanged, without an ETag.
const MAX_BUFFERED_BYTES: u64 = 64 * 1024 * 1024;

/// The middleware.
pub(crate) async fn etag_and_gzip(request: Request, next: Next) -> Response {
    permit_body::hold_until_sent(tag_and_compress(request, next).await)
}

async fn tag_and_compress(request: Request, next: Next) -> Response {
    let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
    let gzip = accepts_gzip(request.headers());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let buffered = response.body().size_hint().exact().is_some_and(|length| length > 0 && length <= MAX_BUFFERED_BYTES);
    if !buffered || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_BUFFERED_BYTES as usize).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if is_read && parts.status == StatusCode::OK && !parts.headers.contains_key(header::ETAG) {
        // Weak, because the compressed and the plain body have the same ETag.
        let etag = format!("W/\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(&body));
        if if_none_match.is_some_and(|if_none_match| matches(&if_none_match, &etag)) {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        if let Ok(etag) = HeaderValue::try_from(etag) {
            parts.headers.insert(header::ETAG, etag);
        }
        if parts.status == StatusCode::NOT_MODIFIED {
            return Response::from_parts(parts, Body::empty());
        }
    }
    if gzip
        && body.len() as u64 >= MIN_GZIP_BYTES
        && is_compressible(&parts.headers)
        && let Some(small) = compressed(&body).await
    {
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Response::from_parts(parts, Body::from(small));
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether `If-None-Match` contains the ETag.
fn matches(if_none_match: &HeaderValue, etag: &str) -> bool {
    let Ok(if_none_match) = if_none_match.to_str() else { return false };
    if_none_match.split(',').map(str::trim).any(|if_none_match| if_none_match == "*" || if_none_match == etag)
}

/// Whether `Accept-Encoding` lists gzip with a quality above 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = lists.flat_map(|list| list.split(','));
    codings.any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| quality.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether compression helps: images and archives are compressed already.
fn is_compressible(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("text/")
        || kind.contains("json")
        || kind.contains("yaml")
        || kind.contains("svg")
        || kind.contains("javascript")
}

async fn compressed(body: &Bytes) -> Option<Vec<u8>> {
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        encoder.write_all(body).ok()?;
        encoder.finish().ok()
    };
    if body.len() < MIN_BLOCKING_BYTES {
        return gzip(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || gzip(&body)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
        accepts_gzip(&headers)
    }

    #[test]
    fn gzip_needs_an_accept_encoding_that_lists_it() {
        assert!(accepts("gzip") && accepts("br, GZIP;q=0.5") && accepts("deflate,gzip"));
        assert!(
            !accepts("gzip;q=0")
                && !accepts("gzip; q=0.0, br")
                && !accepts("identity")
                && !accepts_gzip(&HeaderMap::new())
        );
    }

    #[test]
    fn an_etag_matches_alone_or_in_a_list() {
        let if_none_match = |text: &str| matches(&text.parse().unwrap(), "W/\"ab\"");
        assert!(if_none_match("W/\"ab\"") && if_none_match("\"x\", W/\"ab\"") && if_none_match("*"));
        assert!(!if_none_match("\"ab\"") && !if_none_match("W/\"abc\"") && !if_none_match(""));
    }
}
