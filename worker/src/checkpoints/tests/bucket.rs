//! A test server with the part of a bucket's HTTP interface that checkpoints need.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<u32, Vec<u8>>,
}

pub(super) async fn serve() -> SocketAddr {
    let bucket: Arc<Mutex<Bucket>> = Arc::default();
    let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(bucket);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn found(content: Vec<u8>) -> Response {
    ([("etag", "\"e\""), ("last-modified", "Tue, 01 Jan 2030 00:00:00 GMT")], content).into_response()
}

async fn answer(State(bucket): State<Arc<Mutex<Bucket>>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let key = uri.path().strip_prefix("/bucket").unwrap().trim_start_matches('/').to_owned();
    let query = uri.query().unwrap_or("").replace("%2F", "/");
    let query: HashMap<&str, &str> = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let mut bucket = bucket.lock().unwrap();
    match method.as_str() {
        "PUT" => {
            match query.get("partNumber") {
                Some(part) => bucket.parts.insert(part.parse().unwrap(), body.to_vec()).map(drop),
                None => bucket.objects.insert(key, body.to_vec()).map(drop),
            };
            found(Vec::new())
        }
        "POST" if query.contains_key("uploads") => {
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>".into_response()
        }
        "POST" if query.contains_key("uploadId") => {
            let whole = std::mem::take(&mut bucket.parts).into_values().flatten().collect();
            bucket.objects.insert(key, whole);
            "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into_response()
        }
        "POST" => {
            let body = String::from_utf8(body.to_vec()).unwrap();
            let mut gone = String::new();
            for key in body.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").unwrap().0) {
                bucket.objects.remove(key);
                gone.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
            }
            format!("<DeleteResult>{gone}</DeleteResult>").into_response()
        }
        "DELETE" => {
            bucket.objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        "GET" if key.is_empty() => {
            let prefix = query.get("prefix").copied().unwrap_or("");
            let mut listed = String::new();
            for (key, content) in bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
                let (size, time) = (content.len(), "2030-01-01T00:00:00Z");
                let about = format!("<Size>{size}</Size><LastModified>{time}</LastModified><ETag>e</ETag>");
                listed.push_str(&format!("<Contents><Key>{key}</Key>{about}</Contents>"));
            }
            format!("<ListBucketResult>{listed}</ListBucketResult>").into_response()
        }
        _ => match bucket.objects.get(&key) {
            Some(content) => found(content.clone()),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}
