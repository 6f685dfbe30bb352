//! Fetches what the sweep's status does not contain: workers, leaderboard, events, and earlier epochs. It polls
//! repeatedly, and makes expensive requests only when the answer can have changed. Failed requests are retried.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sweep_proto::v1::{GetLeaderboardRequest, GetTrialRequest, ListAuditRequest, ListWorkersRequest};
use sweep_shapes::{AuditEntry, Leaderboard, Sweep, Worker};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::client::{self, Client};

/// Interval between two rounds of requests.
const ROUND: Duration = Duration::from_secs(1);
/// The most rows of the leaderboard.
const MOST_ROWS: u32 = 200;
/// A request is not repeated before this many times the duration of its last answer.
const REST: u32 = 5;
/// The most curves whose earlier epochs are fetched in one round.
const MOST_CURVES: usize = 4;
/// The most entries of the audit log, at first and in each round.
const MOST_ENTRIES: u32 = 2000;

/// An answer.
pub(super) enum News {
    Workers(Vec<Worker>),
    Board(Result<Box<Leaderboard>, String>),
    /// Events since the last answer.
    Events(Vec<AuditEntry>),
    /// A trial's earlier epochs with their validation accuracy.
    Earlier(String, Vec<(u32, f64)>),
}

/// The parts of a status that decide which requests to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brief {
    ended: u64,
    /// With their newest epochs.
    running: Vec<(String, u32)>,
}

impl From<&Sweep> for Brief {
    fn from(sweep: &Sweep) -> Self {
        let epoch = |trial: &sweep_shapes::Running| trial.newest.map_or(0, |newest| newest.epoch);
        let running = sweep.running.iter().map(|trial| (trial.trial_id.clone(), epoch(trial))).collect();
        Self { ended: sweep.counts.ended(), running }
    }
}

/// Polls until the receiver is gone.
pub(super) async fn run(client: Client, sweep: u64, briefs: watch::Receiver<Option<Brief>>, news: mpsc::Sender<News>) {
    let mut feed = Feed { client, sweep, news, board: None, known: HashSet::new(), since_ms: 0 };
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = feed.news.closed() => return,
            _ = round.tick() => {}
        }
        let brief = briefs.borrow().clone();
        let Some(brief) = brief else { continue };
        feed.workers().await;
        feed.board(&brief).await;
        feed.events().await;
        feed.earlier(&brief).await;
    }
}

struct Feed {
    client: Client,
    sweep: u64,
    news: mpsc::Sender<News>,
    /// How many trials had ended at the last request for the leaderboard, when it was made, and how long it took.
    board: Option<(u64, Instant, Duration)>,
    /// Trials whose earlier epochs were requested.
    known: HashSet<String>,
    /// The time of the newest entry.
    since_ms: i64,
}

impl Feed {
    async fn tell(&self, news: News) {
        // If the receiver is gone, the loop notices it itself.
        self.news.send(news).await.ok();
    }

    async fn workers(&mut self) {
        if let Ok(answer) = self.client.list_workers(ListWorkersRequest {}).await {
            self.tell(News::Workers(answer.into_inner().workers.into_iter().map(Worker::from).collect())).await;
        }
    }

    async fn board(&mut self, brief: &Brief) {
        let due = self
            .board
            .is_none_or(|(ended, asked, took)| ended != brief.ended && asked.elapsed() >= took.saturating_mul(REST));
        if !due {
            return;
        }
        let reference = client::reference(&self.sweep.to_string());
        let request = GetLeaderboardRequest { sweep: reference, metric: String::new(), limit: MOST_ROWS };
        let begun = Instant::now();
        let answer = self.client.get_leaderboard(request).await;
        let board = match answer.map(|answer| Leaderboard::try_from(answer.into_inner())) {
            Ok(Ok(board)) => Ok(Box::new(board)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(status) => Err(status.message().to_owned()),
        };
        // A failed request is repeated in the next round.
        self.board = board.is_ok().then(|| (brief.ended, Instant::now(), begun.elapsed()));
        self.tell(News::Board(board)).await;
    }

    async fn events(&mut self) {
        let request = ListAuditRequest {
            sweep: client::reference(&self.sweep.to_string()),
            since_unix_ms: self.since_ms.saturating_add(1),
            limit: MOST_ENTRIES,
            ..Default::default()
        };
        let Ok(answer) = self.client.list_audit(request).await else { return };
        let entries: Vec<AuditEntry> = answer.into_inner().entries.into_iter().map(AuditEntry::from).collect();
        self.since_ms = entries.iter().map(|entry| entry.at_unix_ms).fold(self.since_ms, i64::max);
        let entries: Vec<AuditEntry> = entries.into_iter().filter(is_news).collect();
        if !entries.is_empty() {
            self.tell(News::Events(entries)).await;
        }
    }

    async fn earlier(&mut self, brief: &Brief) {
        self.known.retain(|id| brief.running.iter().any(|(running, _)| running == id));
        let wanted = brief.running.iter().filter(|(id, epoch)| *epoch > 1 && !self.known.contains(id));
        let wanted: Vec<String> = wanted.take(MOST_CURVES).map(|(id, _)| id.clone()).collect();
        for trial in wanted {
            let Ok(answer) = self.client.get_trial(GetTrialRequest { trial: trial.clone() }).await else { return };
            let points =
                answer.into_inner().points.into_iter().map(|point| (point.epoch, point.val_accuracy)).collect();
            self.known.insert(trial.clone());
            self.tell(News::Earlier(trial, points)).await;
        }
    }
}

/// Starts and successful ends of trials are visible in other panes.
fn is_news(entry: &AuditEntry) -> bool {
    match entry.action.as_str() {
        "round_opened" | "attempt_assigned" | "submitted" => false,
        "attempt_ended" => entry.detail != "succeeded",
        // Its last attempt has an event already.
        "round_ended" => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_as_it_should_is_no_news() {
        let entry = |action: &str, detail: &str| AuditEntry {
            at_unix_ms: 1,
            actor: "coordinator".into(),
            action: action.into(),
            sweep: Some(1),
            trial_id: None,
            attempt: None,
            worker: None,
            detail: detail.into(),
        };
        assert!(!is_news(&entry("attempt_assigned", "slot 0")));
        assert!(!is_news(&entry("attempt_ended", "succeeded")));
        assert!(is_news(&entry("attempt_ended", "failed: the disk is full")));
        assert!(is_news(&entry("attempt_ended", "expired")));
        assert!(is_news(&entry("stage_decided", "depth")));
    }
}
