//! What every whole answer gets on its way out: a mark by which a browser asks whether it changed, and compression. An answer
//! that counts as an export does so until its last byte is sent (`held`).

use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::held;

/// Shorter answers are sent as they are.
const SHORTEST: u64 = 1024;
/// Longer ones are compressed where it holds up nobody else.
const LONG: usize = 64 * 1024;
/// The longest answer that is looked at, in bytes; what is longer is sent as it is.
const LONGEST: u64 = 64 * 1024 * 1024;

/// A layer around routes: marks and compresses answers that are whole. What is sent piece by piece passes untouched.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    held::until_sent(marked(request, next).await)
}

async fn marked(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let gzip = takes_gzip(request.headers());
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let whole = response.body().size_hint().exact().is_some_and(|length| length > 0 && length <= LONGEST);
    if !whole || headers_say(&response, header::CONTENT_ENCODING).is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LONGEST as usize).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if asks && parts.status == StatusCode::OK && !parts.headers.contains_key(header::ETAG) {
        // Weak, because what is compressed is other bytes of the same meaning.
        let mark = format!("W/\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(&body));
        if known.is_some_and(|known| matches(&known, &mark)) {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        if let Ok(mark) = HeaderValue::try_from(mark) {
            parts.headers.insert(header::ETAG, mark);
        }
        if parts.status == StatusCode::NOT_MODIFIED {
            return Response::from_parts(parts, Body::empty());
        }
    }
    if gzip
        && body.len() as u64 >= SHORTEST
        && shrinks(&parts.headers)
        && let Some(small) = compressed(&body).await
    {
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Response::from_parts(parts, Body::from(small));
    }
    Response::from_parts(parts, Body::from(body))
}

fn headers_say(response: &Response, name: header::HeaderName) -> Option<&HeaderValue> {
    response.headers().get(name)
}

/// Whether the list of marks that a browser knows has this one.
fn matches(known: &HeaderValue, mark: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|known| known == "*" || known == mark)
}

/// Whether whoever asks says that it reads gzip, and does not refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = lists.flat_map(|list| list.split(','));
    codings.any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| quality.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Pictures and archives are small already.
fn shrinks(headers: &HeaderMap) -> bool {
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
    if body.len() < LONG {
        return gzip(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || gzip(&body)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
        takes_gzip(&headers)
    }

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        assert!(asks("gzip") && asks("br, GZIP;q=0.5") && asks("deflate,gzip"));
        assert!(!asks("gzip;q=0") && !asks("gzip; q=0.0, br") && !asks("identity") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_mark_is_known_alone_or_among_others() {
        let known = |text: &str| matches(&text.parse().unwrap(), "W/\"ab\"");
        assert!(known("W/\"ab\"") && known("\"x\", W/\"ab\"") && known("*"));
        assert!(!known("\"ab\"") && !known("W/\"abc\"") && !known(""));
    }
}
