//! A response body that keeps the permit of an export until its last byte is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::service::streams::Permit;

/// The permit of a response whose body may still be compressed. It is an extension, which must be `Clone`.
#[derive(Clone)]
struct AttachedPermit(Arc<Permit>);

/// Attaches a permit to a response. `hold_until_sent` moves it into the body.
pub(super) fn attach(mut response: Response, permit: Permit) -> Response {
    response.extensions_mut().insert(AttachedPermit(Arc::new(permit)));
    response
}

/// Moves an attached permit into the body. It is released when the body has been sent, or when the client leaves.
pub(super) fn hold_until_sent(mut response: Response) -> Response {
    match response.extensions_mut().remove::<AttachedPermit>() {
        Some(AttachedPermit(permit)) => response.map(|body| Body::new(PermitBody { body, _permit: permit })),
        None => response,
    }
}

struct PermitBody {
    body: Body,
    _permit: Arc<Permit>,
}

impl http_body::Body for PermitBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;
    use axum::response::IntoResponse;

    use super::*;
    use crate::service::streams::{Kind, Limits, Streams};

    #[tokio::test]
    async fn a_permit_ends_with_the_body_and_not_before() {
        let streams = Streams::new(Limits { exports: 1, ..Limits::default() });
        let begin = || streams.begin(Kind::Export, None);
        let response = hold_until_sent(attach("a report".into_response(), begin().unwrap()));
        assert_eq!(response.body().size_hint().exact(), Some(8), "its length is still known");
        let (parts, body) = response.into_parts();
        drop(parts);
        assert!(begin().is_err(), "the body is not sent yet");
        assert_eq!(axum::body::to_bytes(body, 100).await.unwrap(), "a report");
        assert!(begin().is_ok());
    }
}
