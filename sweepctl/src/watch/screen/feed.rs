//! What the status of a sweep does not say: who works, the leaderboard, what happened, and the epochs before somebody looked.
//! Asked for again and again, the dear things only when they can have changed. What cannot be had now is had later.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sweep_proto::v1::{GetLeaderboardRequest, GetTrialRequest, ListAuditRequest, ListWorkersRequest};
use sweep_shapes::{AuditEntry, Leaderboard, Sweep, Worker};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::client::{self, Client};

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_secs(1);
/// Rows of the leaderboard that are asked for.
const MOST_ROWS: u32 = 200;
/// A question is not asked again before so many times as long as its answer took.
const REST: u32 = 5;
/// Curves whose beginnings are asked for in one round.
const MOST_CURVES: usize = 4;
/// Entries of the audit log that are read at first, and in each round.
const MOST_ENTRIES: u32 = 2000;

/// An answer.
pub(super) enum News {
    Workers(Vec<Worker>),
    Board(Result<Box<Leaderboard>, String>),
    /// Those that came since the last.
    Events(Vec<AuditEntry>),
    /// Epochs of a trial, by number, and their validation accuracy.
    Earlier(String, Vec<(u32, f64)>),
}

/// What of a status decides what to ask.
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

/// Asks until nobody listens any more.
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
    /// Trials that had ended when the leaderboard was asked for, when that was, and how long it took.
    board: Option<(u64, Instant, Duration)>,
    /// Trials whose beginnings were asked for.
    known: HashSet<String>,
    /// The newest entry that was read.
    since_ms: i64,
}

impl Feed {
    async fn tell(&self, news: News) {
        // Nobody listens: the loop sees that itself.
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
        // One that could not be had is asked for again in the next round.
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

/// Beginnings and good endings of trials are seen elsewhere.
fn is_news(entry: &AuditEntry) -> bool {
    match entry.action.as_str() {
        "round_opened" | "attempt_assigned" | "submitted" => false,
        "attempt_ended" => entry.detail != "succeeded",
        // Its last attempt has said it.
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
