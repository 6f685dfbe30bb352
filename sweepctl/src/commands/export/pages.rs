//! The trials of a sweep, as many at a time as the coordinator gives.

use sweep_proto::v1::ListTrialsRequest;
use sweep_shapes::Summary;

use crate::client::{self, Client};
use crate::failure::Failure;

/// The most that the coordinator gives at once.
const PAGE: u32 = 1000;

/// The trials of a sweep, page after page.
pub(super) struct Trials<'a> {
    client: &'a mut Client,
    sweep: &'a str,
    /// Absent after the last page.
    token: Option<String>,
}

impl<'a> Trials<'a> {
    pub(super) fn new(client: &'a mut Client, sweep: &'a str) -> Self {
        Self { client, sweep, token: Some(String::new()) }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Summary>>, Failure> {
        let Some(page_token) = self.token.take() else {
            return Ok(None);
        };
        let sweep = client::reference(self.sweep);
        let request = ListTrialsRequest { sweep, page_token: page_token.clone(), page_size: PAGE, states: Vec::new() };
        let answer = self.client.list_trials(request).await?.into_inner();
        if !answer.next_page_token.is_empty() {
            if answer.next_page_token == page_token {
                return Err(Failure::ours("the coordinator gave the same page of trials twice"));
            }
            self.token = Some(answer.next_page_token);
        }
        Ok(Some(answer.trials.into_iter().map(Summary::from).collect()))
    }
}
