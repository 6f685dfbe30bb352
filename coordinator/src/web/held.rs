//! Answers that count as exports until their last byte is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::service::streams::Permit;

/// A permit beside an answer whose body is not final yet. Extensions are cloned, so it is shared.
#[derive(Clone)]
struct Beside(Arc<Permit>);

/// Puts a permit beside an answer. `until_sent` moves it to the body.
pub(super) fn hold(mut response: Response, permit: Permit) -> Response {
    response.extensions_mut().insert(Beside(Arc::new(permit)));
    response
}

/// The answer as it is sent. A permit beside it ends with the body, whether all of the body is read or the client leaves.
pub(super) fn until_sent(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Beside>() {
        Some(Beside(permit)) => response.map(|body| Body::new(Held { body, _permit: permit })),
        None => response,
    }
}

/// A body with its permit.
struct Held {
    body: Body,
    _permit: Arc<Permit>,
}

impl http_body::Body for Held {
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
        let response = until_sent(hold("a report".into_response(), begin().unwrap()));
        assert_eq!(response.body().size_hint().exact(), Some(8), "its length is still known");
        let (parts, body) = response.into_parts();
        drop(parts);
        assert!(begin().is_err(), "the body is not sent yet");
        assert_eq!(axum::body::to_bytes(body, 100).await.unwrap(), "a report");
        assert!(begin().is_ok());
    }
}
