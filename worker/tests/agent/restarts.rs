//! Tests of workers that exit or crash and restart: their results are reported exactly once.

use std::path::PathBuf;
use std::time::Duration;

use sweep_proto::v1::finish_request::Ending as How;
use sweep_proto::v1::{ArtifactKind, Lease, PollResponse};
use sweep_spec::protocol::KeepWeights;
use sweep_worker::{Ending, Handle};

use crate::coordinator::TEST_TIMEOUT;
use crate::env::{Env, GATED, assignment_of, eventually, trial};

/// A worker with its own runtime, so that it can end as if it were killed.
struct KillableWorker(Option<tokio::runtime::Runtime>);

impl KillableWorker {
    async fn start(env: &Env) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (config, shutdown) = (env.config.clone(), env.shutdown.clone());
        runtime.spawn(async move {
            let handle = sweep_worker::start(config, Vec::new(), &shutdown).await.unwrap();
            handle.join().await.unwrap();
        });
        env.coordinator.until("a registration", |state| (!state.registrations.is_empty()).then_some(())).await;
        Self(Some(runtime))
    }

    /// All its tasks are gone when this returns, without a chance to report or write anything.
    fn die(mut self) {
        let runtime = self.0.take().unwrap();
        std::thread::spawn(move || runtime.shutdown_timeout(TEST_TIMEOUT)).join().unwrap();
    }
}

impl Drop for KillableWorker {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn restarted(env: &Env) -> Handle {
    sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap()
}

fn journal(env: &Env) -> Option<PathBuf> {
    let mut folders = std::fs::read_dir(env.folder.path().join("state/outbox")).unwrap();
    Some(folders.next()?.unwrap().path().join("journal"))
}

/// Whether the only journal contains a word.
fn is_kept(env: &Env, word: &str) -> bool {
    let Some(Ok(bytes)) = journal(env).map(std::fs::read) else { return false };
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

async fn nothing_is_kept(env: &Env) {
    eventually("an empty outbox", || journal(env).is_none()).await;
}

async fn lost(env: &Env, lease: &Lease) -> (String, String) {
    let finish = env.coordinator.finish(lease).await;
    assert_eq!(finish.last_sequence, 0);
    let Some(How::Lost(lost)) = finish.ending else { panic!("{:?}", finish.ending) };
    (lost.reason, finish.log_tail)
}

#[tokio::test]
async fn a_result_survives_the_death_of_its_worker_while_the_coordinator_is_away() {
    let mut env = Env::new(GATED);
    let gate = env.gate("gate");
    let worker = KillableWorker::start(&env).await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    let port = env.kill_coordinator();
    gate.open().await;
    // A word of the result's provenance.
    eventually("the ending on disk", || is_kept(&env, "scripted 1")).await;
    worker.die();
    let worker = restarted(&env).await;
    env.restart_coordinator(port);
    let finish = env.coordinator.finish(&lease).await;
    assert!(matches!(finish.ending, Some(How::Result(_))), "{:?}", finish.ending);
    {
        let state = env.coordinator.state();
        assert_eq!(state.sequences(&lease), [1, 2, 3]);
        let named = &state.registrations.last().unwrap().live_attempts;
        assert_eq!(named.iter().map(|live| live.lease.as_ref().unwrap()).collect::<Vec<_>>(), [&lease]);
        assert_eq!(state.finishes.len(), 1);
    }
    nothing_is_kept(&env).await;
    let metrics = worker.metrics().render().unwrap();
    assert!(metrics.contains("sweep_worker_attempts_recovered_total{state=\"ended\",worker=\"w1\"} 1"), "{metrics}");
    worker.stop().await.unwrap();
    assert_eq!(env.pids("starts").len(), 3, "two probes and one trial");
}

#[tokio::test]
async fn an_attempt_that_dies_with_its_worker_is_lost_and_leaves_its_last_words() {
    let env = Env::new("started; echo 'eating all memory' >&2; epoch 1; wait_here gate");
    let _gate = env.gate("gate");
    let worker = KillableWorker::start(&env).await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    let log = journal(&env).unwrap().with_file_name("log");
    eventually("the log", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("memory"))).await;
    worker.die();
    let worker = restarted(&env).await;
    let (reason, log_tail) = lost(&env, &lease).await;
    assert!(reason.contains("ended during the attempt"), "{reason}");
    assert_eq!(log_tail, "eating all memory\n");
    nothing_is_kept(&env).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_its_attempt_is_lost() {
    let mut env = Env::new("whole");
    env.config.shutdown = Duration::from_millis(500);
    let (lease, start) = crate::env::assignment(1);
    let worker = env.start().await;
    env.coordinator.state().finish_errors.extend((0..1000).map(|_| tonic::Status::unavailable("busy")));
    env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
    eventually("the ending on disk", || is_kept(&env, "scripted 1")).await;
    worker.stop().await.unwrap();
    let path = journal(&env).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    env.coordinator.state().finish_errors.clear();
    env.shutdown = tokio_util::sync::CancellationToken::new();
    let worker = restarted(&env).await;
    let (reason, _) = lost(&env, &lease).await;
    assert!(reason.contains("damaged"), "{reason}");
    assert_eq!(std::fs::read_dir(env.folder.path().join("state/damaged")).unwrap().count(), 1);
    assert!(journal(&env).is_none());
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn files_that_go_before_an_ending_survive_too() {
    let mut env = Env::new(
        "started; epoch 1; wait_here gate; printf weights > $folder/weights.safetensors; epoch 2; epoch 3; finished",
    );
    let gate = env.gate("gate");
    let mut trial = trial(1);
    trial.protocol.keep_weights = KeepWeights::All;
    let (lease, start) = assignment_of(&trial);
    let worker = KillableWorker::start(&env).await;
    env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
    env.coordinator.points(&lease, 1).await;
    let port = env.kill_coordinator();
    gate.open().await;
    eventually("the ending on disk", || is_kept(&env, "scripted 1")).await;
    worker.die();
    std::fs::create_dir(env.folder.path().join("state/artifacts/of-nobody")).unwrap();
    let worker = restarted(&env).await;
    env.restart_coordinator(port);
    env.coordinator.finish(&lease).await;
    {
        let state = env.coordinator.state();
        let [(header, content)] = state.artifacts.as_slice() else { panic!("{:?}", state.artifacts) };
        assert_eq!((header.kind(), content.as_slice()), (ArtifactKind::Weights, &b"weights"[..]));
        assert_eq!(header.lease.as_ref(), Some(&lease));
    }
    worker.stop().await.unwrap();
    assert_eq!(std::fs::read_dir(env.folder.path().join("state/artifacts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_worker_that_leaves_while_nobody_listens_says_later_that_it_stopped() {
    let mut env = Env::new("started; trap 'exit 75' TERM; epoch 1; while :; do sleep 0.05; done");
    env.config.shutdown = Duration::from_secs(2);
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    let port = env.kill_coordinator();
    env.shutdown.cancel();
    assert_eq!(worker.join().await.unwrap(), Ending::Stopped);
    assert!(env.coordinator.state().finishes.is_empty());
    env.restart_coordinator(port);
    env.shutdown = tokio_util::sync::CancellationToken::new();
    let worker = restarted(&env).await;
    let finish = env.coordinator.finish(&lease).await;
    let Some(How::Stopped(stopped)) = finish.ending else { panic!("{:?}", finish.ending) };
    assert_eq!(stopped.reason, "the worker is shutting down");
    assert_eq!(env.coordinator.state().sequences(&lease), [1]);
    worker.stop().await.unwrap();
}

/// Resumes after the second epoch if there is a checkpoint of it; otherwise writes one after each epoch and waits.
const RESUMING: &str = "
if [ -e $checkpoints/epoch-000002.checkpoint ]; then
  cp $checkpoints/epoch-000002.checkpoint $DIR/taken-up; started_at 3; epoch 1; epoch 2; epoch 3; finished
else
  started; epoch 1; checkpoint 1; trap 'checkpoint 2; exit 75' TERM; epoch 2; while :; do sleep 0.05; done
fi";

/// The checkpoints in a store.
fn stored(env: &Env) -> Vec<String> {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let rounds = entries(env.folder.path().join("store")).flat_map(entries);
    let names = rounds.flat_map(entries).map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("epoch")).collect()
}

#[tokio::test]
async fn a_trial_is_taken_up_by_another_worker_where_the_first_one_left_it() {
    let mut env = Env::new(RESUMING);
    env.config.checkpoint_store = env.folder.path().join("store").to_str().unwrap().to_owned();
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 2).await;
    // The copy of the first one arrives during the training.
    eventually("the first checkpoint", || !stored(&env).is_empty()).await;
    env.shutdown.cancel();
    assert_eq!(worker.join().await.unwrap(), Ending::Stopped);
    assert!(matches!(env.coordinator.finish(&lease).await.ending, Some(How::Stopped(_))));
    assert!(stored(&env).contains(&"epoch-000002.checkpoint".to_owned()), "{:?}", stored(&env));

    env.config.state_dir = Some(env.folder.path().join("another-state"));
    env.config.name = "w2".to_owned();
    env.shutdown = tokio_util::sync::CancellationToken::new();
    let worker = restarted(&env).await;
    assert!(worker.registered().await);
    let (mut next, mut start) = crate::env::assignment(1);
    next.attempt = 2;
    start.lease = Some(next.clone());
    env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
    let finish = env.coordinator.finish(&next).await;
    assert!(matches!(finish.ending, Some(How::Result(_))), "{:?}", finish.ending);
    assert_eq!(env.coordinator.state().sequences(&next), [1, 2, 3]);
    let taken_up = std::fs::read_to_string(env.folder.path().join("taken-up")).unwrap();
    assert_eq!(taken_up, "state after epoch 2\n");
    // The trial has a result, so its checkpoints are removed.
    eventually("an empty store", || stored(&env).is_empty()).await;
    let local = env.folder.path().join("another-state/checkpoints");
    eventually("an empty folder", || std::fs::read_dir(&local).unwrap().count() == 0).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_store_that_cannot_be_used_holds_nothing_up() {
    let mut env = Env::new("started; epoch 1; checkpoint 1; epoch 2; checkpoint 2; epoch 3; finished");
    let store = env.folder.path().join("store");
    env.config.checkpoint_store = format!("file://{}", store.display());
    let worker = env.start().await;
    std::fs::remove_dir(&store).unwrap();
    std::fs::write(&store, "no folder any more").unwrap();
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    assert!(matches!(finish.ending, Some(How::Result(_))));
    let metrics = worker.metrics().render().unwrap();
    assert!(
        metrics.contains("sweep_worker_checkpoint_failures_total{operation=\"fetch\",worker=\"w1\"} 1"),
        "{metrics}"
    );
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_kept_attempt_that_is_not_adopted_is_forgotten() {
    let env = Env::new(GATED);
    let _gate = env.gate("gate");
    let worker = KillableWorker::start(&env).await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    worker.die();
    env.coordinator.state().not_adopted = vec![lease];
    let worker = restarted(&env).await;
    assert!(worker.registered().await);
    nothing_is_kept(&env).await;
    worker.stop().await.unwrap();
    assert!(env.coordinator.state().finishes.is_empty());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_loses_nothing() {
    let env = Env::new(GATED);
    let gate = env.gate("gate");
    let worker = env.start().await;
    let (lease, start) = crate::env::assignment(1);
    // A file in the place of the attempt's folder, which also stops root; it acts like a full disk.
    let id: String = lease.trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let obstacle = env.folder.path().join(format!("state/outbox/{id}-1-1"));
    std::fs::write(&obstacle, "in the way").unwrap();
    env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
    env.coordinator.points(&lease, 1).await;
    let shown = |line: &str| worker.metrics().render().unwrap().contains(line);
    eventually("a word about the disk", || shown("sweep_worker_outbox_unwritten{worker=\"w1\"} 1")).await;
    std::fs::remove_file(&obstacle).unwrap();
    eventually("the end of it", || shown("sweep_worker_outbox_unwritten{worker=\"w1\"} 0")).await;
    assert!(obstacle.join("journal").exists(), "what memory had is on disk now");
    gate.open().await;
    let finish = env.coordinator.finish(&lease).await;
    assert!(matches!(finish.ending, Some(How::Result(_))));
    assert_eq!(env.coordinator.state().sequences(&lease), [1, 2, 3]);
    nothing_is_kept(&env).await;
    worker.stop().await.unwrap();
}
