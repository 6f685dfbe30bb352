//! Tests of the outbox in memory and of its recovery from disk.

use std::path::Path;

use sweep_spec::TrialId;

use super::recover::State;
use super::*;

fn lease(attempt: u32) -> Lease {
    Lease { trial_id: TrialId::of(b"trial"), round: 1, attempt }
}

fn metrics(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0,
        train_accuracy: 0.5,
        val_loss: 1.0,
        val_accuracy: 0.5,
        learning_rate: 0.1,
        seconds: 1.0,
        images_per_second: 1.0,
    }
}

fn sequences(batch: &[v1::Point]) -> Vec<u64> {
    batch.iter().map(|point| point.sequence).collect()
}

fn with_points(count: u32) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.open(lease(1), 0);
    (1..=count).for_each(|epoch| outbox.push(lease(1), metrics(epoch)));
    outbox
}

#[test]
fn points_are_numbered_and_go_again_until_they_arrive() {
    let mut outbox = with_points(3);
    assert_eq!(sequences(&outbox.next_batch(2)), [1, 2]);
    outbox.batch_failed();
    assert_eq!(sequences(&outbox.next_batch(10)), [1, 2, 3]);
    outbox.batch_arrived();
    assert!(outbox.next_batch(10).is_empty());
    assert_eq!(outbox.waiting_points(), 0);
}

#[test]
fn an_ending_waits_for_its_points() {
    let mut outbox = with_points(2);
    outbox.close(lease(1), v1::FinishRequest::default());
    assert!(outbox.next_finish().is_none());
    outbox.next_batch(10);
    assert!(outbox.next_finish().is_none());
    outbox.batch_arrived();
    let (_, message) = outbox.next_finish().unwrap();
    assert_eq!(message.last_sequence, 2);
    assert!(outbox.next_finish().is_none(), "it is on its way");
    outbox.finish_failed(&lease(1));
    assert!(outbox.next_finish().is_some());
    outbox.forget(&lease(1));
    assert!(outbox.attempts.is_empty());
}

#[test]
fn points_that_a_coordinator_misses_are_sent_again() {
    let mut outbox = with_points(3);
    outbox.next_batch(10);
    outbox.batch_arrived();
    outbox.close(lease(1), v1::FinishRequest::default());
    outbox.next_finish().unwrap();
    assert!(outbox.rewind(&lease(1), 1));
    assert!(outbox.next_finish().is_none());
    assert_eq!(sequences(&outbox.next_batch(10)), [2, 3]);
    outbox.batch_arrived();
    assert_eq!(outbox.next_finish().unwrap().1.last_sequence, 3);
    assert!(outbox.rewind(&lease(1), u64::MAX), "nonsense asks for nothing");
    assert!(outbox.next_batch(10).is_empty());
}

#[test]
fn old_points_are_dropped_once_acknowledged_and_it_is_said_when_they_are_missed() {
    let count = MAX_KEPT_POINTS as u32 + 5;
    let mut outbox = with_points(count);
    outbox.next_batch(count as usize);
    outbox.batch_arrived();
    assert!(!outbox.rewind(&lease(1), 2));
    assert!(outbox.rewind(&lease(1), 5));
}

#[test]
fn what_is_forgotten_in_flight_stays_forgotten() {
    let mut outbox = with_points(3);
    outbox.next_batch(2);
    outbox.forget(&lease(1));
    outbox.batch_failed();
    assert!(!outbox.has_points());
    outbox.push(lease(1), metrics(4));
    assert_eq!(outbox.waiting_points(), 0);
}

fn ending(reason: &str) -> v1::FinishRequest {
    let stopped = v1::Stopped { reason: reason.to_owned() };
    v1::FinishRequest { ending: Some(v1::finish_request::Ending::Stopped(stopped)), ..Default::default() }
}

/// An outbox with a journal, and the attempts that an earlier one left.
fn kept(state: &Path) -> (Outbox, Vec<Recovered>) {
    let recovered = recover(state).unwrap();
    let known = recovered.iter().filter_map(|found| Some((found.lease, found.length?))).collect();
    let mut outbox = Outbox::kept(Journal::start(state, known).unwrap());
    recovered.iter().cloned().for_each(|found| outbox.restore(found));
    (outbox, recovered)
}

fn reason(found: &Recovered) -> &str {
    match found.ending.ending.as_ref().unwrap() {
        v1::finish_request::Ending::Lost(lost) => &lost.reason,
        v1::finish_request::Ending::Stopped(stopped) => &stopped.reason,
        other => panic!("{other:?}"),
    }
}

fn folder(state: &Path, attempt: u32) -> std::path::PathBuf {
    journal::root(state).join(lease(attempt).folder_name())
}

#[tokio::test]
async fn an_ending_comes_back_with_its_points_and_files() {
    let state = tempfile::tempdir().unwrap();
    let (mut outbox, found) = kept(state.path());
    assert!(found.is_empty());
    outbox.open(lease(1), 3);
    (1..=4).for_each(|epoch| outbox.push(lease(1), metrics(epoch)));
    let artifact = Artifact {
        kind: v1::ArtifactKind::Weights,
        path: crate::artifact::folder(state.path(), &lease(1)).join("weights.safetensors"),
        lease: lease(1),
        data_digest: sweep_spec::Digest::of(b"data"),
    };
    outbox.close_after_uploads(lease(1), ending("done"), &VecDeque::from([artifact.clone()]));
    outbox.flush().await;
    drop(outbox);
    let (mut outbox, found) = kept(state.path());
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.slot, found.last, found.state, reason(found)), (3, 4, State::Ended, "done"));
    assert_eq!(found.artifacts[0].path, artifact.path);
    assert_eq!(sequences(&outbox.next_batch(10)), [1, 2, 3, 4]);
    outbox.batch_arrived();
    assert!(outbox.next_finish().is_none(), "its file goes first");
    outbox.release(&lease(1));
    assert_eq!(outbox.next_finish().unwrap().1.last_sequence, 4);
    outbox.forget(&lease(1));
    outbox.flush().await;
    assert!(kept(state.path()).1.is_empty());
}

#[tokio::test]
async fn an_attempt_that_ran_is_lost_and_one_that_was_being_stopped_is_stopped() {
    let state = tempfile::tempdir().unwrap();
    let (mut outbox, _) = kept(state.path());
    outbox.open(lease(1), 0);
    outbox.push(lease(1), metrics(1));
    outbox.open(lease(2), 1);
    outbox.stopping(lease(2), "the worker is shutting down");
    outbox.flush().await;
    std::fs::write(journal::log_of(&folder(state.path(), 1)), "é".repeat(20_000)).unwrap();
    drop(outbox);
    let (mut outbox, found) = kept(state.path());
    assert_eq!(found.iter().map(|found| found.state).collect::<Vec<_>>(), [State::Lost, State::Stopped]);
    assert!(reason(&found[0]).contains("has restarted"));
    assert!(found[0].ending.log_tail.starts_with('é') && found[0].ending.log_tail.len() <= 16 * 1024);
    assert_eq!(reason(&found[1]), "the worker is shutting down");
    assert!(!outbox.has_points(), "the next attempt reports them all");
    assert_eq!(outbox.next_finish().unwrap().1.last_sequence, 0);
    // They were not reported, so they are recovered again.
    drop(outbox);
    assert_eq!(kept(state.path()).1.len(), 2);
}

#[tokio::test]
async fn a_half_written_record_is_cut_and_a_damaged_one_sets_its_attempt_aside() {
    let state = tempfile::tempdir().unwrap();
    let (mut outbox, _) = kept(state.path());
    for attempt in 1..=3 {
        outbox.open(lease(attempt), 0);
        outbox.push(lease(attempt), metrics(1));
        outbox.close(lease(attempt), ending("done"));
    }
    outbox.flush().await;
    drop(outbox);
    let path = |attempt| journal::journal_of(&folder(state.path(), attempt));
    let whole = std::fs::read(path(1)).unwrap();
    std::fs::write(path(1), [&whole[..], &whole[8..40]].concat()).unwrap();
    let other = std::fs::read(path(2)).unwrap();
    std::fs::write(path(2), &other[..other.len() - 1]).unwrap();
    let mut damaged = std::fs::read(path(3)).unwrap();
    damaged[40] ^= 1;
    std::fs::write(path(3), damaged).unwrap();
    std::fs::create_dir(journal::root(state.path()).join("what is this")).unwrap();
    let (_, found) = kept(state.path());
    // The first has a record behind its ending that was moved there from another position.
    assert_eq!(
        found.iter().map(|found| found.state).collect::<Vec<_>>(),
        [State::Damaged, State::Lost, State::Damaged]
    );
    assert!(reason(&found[2]).contains("does not match its digest"), "{}", reason(&found[2]));
    let mut aside: Vec<_> = std::fs::read_dir(state.path().join("damaged")).unwrap().collect();
    assert_eq!(aside.len(), 3);
    let kept_aside = aside.pop().unwrap().unwrap();
    assert!(kept_aside.file_name().to_string_lossy().ends_with("-1"));
    let (_, again) = kept(state.path());
    assert_eq!(again.len(), 1, "only the half-written one is still there");
}

#[tokio::test]
async fn no_bytes_in_a_journal_are_taken_for_an_ending_that_never_was() {
    let state = tempfile::tempdir().unwrap();
    let (mut outbox, _) = kept(state.path());
    outbox.open(lease(1), 0);
    (1..=3).for_each(|epoch| outbox.push(lease(1), metrics(epoch)));
    outbox.close(lease(1), ending("done"));
    outbox.flush().await;
    drop(outbox);
    let path = journal::journal_of(&folder(state.path(), 1));
    let whole = std::fs::read(&path).unwrap();
    for seed in 0..300 {
        let mut random = crate::machine::testing::Random::new(seed);
        let mut bytes = whole.clone();
        match random.below(3) {
            0 => bytes.truncate(random.below(whole.len() as u64) as usize),
            1 => bytes[random.below(whole.len() as u64) as usize] ^= 1 << random.below(8),
            _ => bytes.extend((0..random.below(50)).map(|_| random.below(256) as u8)),
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        for found in recover(state.path()).unwrap() {
            if found.state == State::Ended {
                assert_eq!((found.last, found.points.len(), reason(&found)), (3, 3, "done"), "seed {seed}");
            }
        }
        drop(std::fs::remove_dir_all(path.parent().unwrap()));
    }
}

#[tokio::test]
async fn what_the_disk_had_no_room_for_is_written_when_it_has() {
    let state = tempfile::tempdir().unwrap();
    let (mut outbox, _) = kept(state.path());
    // A file in the place of the folder, which also stops root.
    std::fs::write(folder(state.path(), 1), "in the way").unwrap();
    outbox.open(lease(1), 0);
    (1..=3).for_each(|epoch| outbox.push(lease(1), metrics(epoch)));
    outbox.journal_changed().await;
    assert_eq!(outbox.health().failed.len(), 1);
    outbox.close(lease(1), ending("done"));
    std::fs::remove_file(folder(state.path(), 1)).unwrap();
    outbox.write_again();
    outbox.journal_changed().await;
    assert!(outbox.health().failed.is_empty());
    drop(outbox);
    let (_, found) = kept(state.path());
    assert_eq!((found[0].last, found[0].state), (3, State::Ended));
}
