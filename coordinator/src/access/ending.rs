//! An answer that ends when the token does that it was asked with.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

type Ended = Pin<Box<WaitForCancellationFutureOwned>>;

/// A body that ends early, with trailers or as a broken one.
pub(crate) struct Ending<B> {
    body: B,
    ended: Option<Ended>,
    /// What is said at an early end; a body without trailers breaks off.
    last: Option<HeaderMap>,
}

/// What a body that broke off says.
#[derive(Debug, thiserror::Error)]
#[error("the token is no longer valid")]
pub(crate) struct Over;

impl<B> Ending<B> {
    /// Ends with `token`.
    pub(crate) fn new(body: B, token: CancellationToken, last: Option<HeaderMap>) -> Self {
        Self { body, ended: Some(Box::pin(token.cancelled_owned())), last }
    }
}

impl<B> Body for Ending<B>
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
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        if ended.as_mut().poll(context).is_ready() {
            self.ended = None;
            return Poll::Ready(Some(match self.last.take() {
                Some(trailers) => Ok(Frame::trailers(trailers)),
                None => Err(Over.into()),
            }));
        }
        Pin::new(&mut self.body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
