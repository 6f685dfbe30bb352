//! Reads the trials of a sweep page by page, with one page in memory.

use sweep_proto::v1::ListTrialsRequest;
use sweep_shapes::Summary;

use crate::client::{self, Client};
use crate::failure::Failure;

/// The coordinator's largest page.
const PAGE: u32 = 1000;

/// An iteration over the trials of a sweep.
pub(crate) struct Trials<'a> {
    client: &'a mut Client,
    request: ListTrialsRequest,
    /// The remaining limit.
    left: u64,
    /// The last page was read.
    ended: bool,
}

impl<'a> Trials<'a> {
    /// All trials.
    pub(crate) fn all(client: &'a mut Client, sweep: &str) -> Self {
        let request = ListTrialsRequest { sweep: client::reference(sweep), ..ListTrialsRequest::default() };
        Self::some(client, request, u64::MAX)
    }

    /// The trials that match the request, up to a limit.
    pub(crate) fn some(client: &'a mut Client, request: ListTrialsRequest, limit: u64) -> Self {
        Self { client, request, left: limit, ended: false }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Summary>>, Failure> {
        if self.ended || self.left == 0 {
            return Ok(None);
        }
        let size = u32::try_from(self.left).map_or(PAGE, |left| left.min(PAGE));
        let request = ListTrialsRequest { page_size: size, ..self.request.clone() };
        let answer = self.client.list_trials(request).await?.into_inner();
        if answer.next_page_token.is_empty() {
            self.ended = true;
        } else if answer.next_page_token == self.request.page_token {
            return Err(Failure::internal("the coordinator returned the same page of trials twice"));
        }
        self.request.page_token = answer.next_page_token;
        self.left = self.left.saturating_sub(answer.trials.len() as u64);
        Ok(Some(answer.trials.into_iter().map(Summary::from).collect()))
    }

    /// The position of the first trial beyond the limit; `None` if there is none.
    pub(crate) async fn rest(self) -> Result<Option<String>, Failure> {
        if self.ended {
            return Ok(None);
        }
        // A full page does not show whether another one follows.
        let request = ListTrialsRequest { page_size: 1, ..self.request.clone() };
        let answer = self.client.list_trials(request).await?.into_inner();
        Ok((!answer.trials.is_empty()).then_some(self.request.page_token))
    }
}
