//! The body of a response that ends early when the token of its request is revoked or expires.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

type Revocation = Pin<Box<WaitForCancellationFutureOwned>>;

/// A body that ends early when its token is no longer valid.
pub(crate) struct RevocableBody<B> {
    body: B,
    /// None after the early end.
    revocation: Option<Revocation>,
    /// Sent at an early end. Without trailers, the body ends with an error.
    trailers: Option<HeaderMap>,
}

/// The error of a body that ended early.
#[derive(Debug, thiserror::Error)]
#[error("the token is no longer valid")]
pub(crate) struct Revoked;

impl<B> RevocableBody<B> {
    /// A body that ends when `revoked` is cancelled.
    pub(crate) fn new(body: B, revoked: CancellationToken, trailers: Option<HeaderMap>) -> Self {
        Self { body, revocation: Some(Box::pin(revoked.cancelled_owned())), trailers }
    }
}

impl<B> Body for RevocableBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(revocation) = &mut self.revocation else { return Poll::Ready(None) };
        if revocation.as_mut().poll(context).is_ready() {
            self.revocation = None;
            return Poll::Ready(Some(match self.trailers.take() {
                Some(trailers) => Ok(Frame::trailers(trailers)),
                None => Err(Revoked.into()),
            }));
        }
        Pin::new(&mut self.body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.revocation.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
