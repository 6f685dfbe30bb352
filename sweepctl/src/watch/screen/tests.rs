//! Snapshots of the screen: wide and narrow, full and empty, and with names that contain control characters.

use std::fmt::Write as _;

use ratatui_core::backend::TestBackend;
use ratatui_core::style::Modifier;
use ratatui_core::terminal::Terminal;
use sweep_proto::v1;
use sweep_shapes::{AuditEntry, Leaderboard, Sweep, Worker};

use super::draw::draw;
use super::keys::Key;
use super::state::{Pane, State};
use super::theme::Theme;

const NOW: i64 = 1_700_000_100_000;
/// A name with letters of two columns that would clear the screen.
const HOSTILE: &str = "幅=大\u{1b}[2J\u{202e}";

fn epoch(epoch: u32) -> v1::EpochMetrics {
    let val_accuracy = 1.0 - 0.8 / f64::from(epoch);
    v1::EpochMetrics { epoch, val_accuracy, images_per_second: 1234.5, ..Default::default() }
}

fn running(worker: &str, slot: u32, configuration: &str, newest: u32) -> v1::RunningTrial {
    v1::RunningTrial {
        trial_id: vec![slot as u8 + 0xa0; 32].into(),
        configuration: configuration.into(),
        seed: 1,
        worker: worker.into(),
        slot,
        attempt: 1,
        epochs: 100,
        newest: (newest > 0).then(|| epoch(newest)),
    }
}

fn status() -> v1::SweepStatus {
    let counts =
        v1::TrialCounts { queued: 30, running: 2, succeeded: 27, diverged: 1, failed: 1, ..Default::default() };
    let done = v1::TrialCounts { succeeded: 12, ..Default::default() };
    let stage = |name: &str, counts, choice: &str| v1::StageProgress {
        name: name.into(),
        counts: Some(counts),
        choice: choice.into(),
    };
    let about = |expected: f64| Some(v1::Prediction { expected, low: expected * 0.8, high: expected * 1.3 });
    let to_come = v1::TrialCounts { to_come_at_most: 18, ..Default::default() };
    v1::SweepStatus {
        id: 3,
        name: "scene-cnn".into(),
        state: v1::SweepState::Running.into(),
        counts: Some(counts),
        stages: vec![
            stage("depth", done, "conv_layers=4"),
            stage("regularization", v1::TrialCounts { succeeded: 15, failed: 1, running: 2, queued: 30, ..done }, ""),
            stage("width", to_come, ""),
        ],
        eta_seconds: Some(754.0),
        best_value: Some(0.846_344),
        best_configuration: "conv_layers=4 filters=256".into(),
        objective_metric: "val_accuracy".into(),
        running: vec![
            running("gpu-7", 0, "conv_layers=4 batch_norm=true dropout=0.2", 37),
            running("gpu-7", 1, HOSTILE, 0),
        ],
        epochs_done: 2_950,
        epochs_total: 6_000,
        cost: Some(v1::Cost { spent_slot_seconds: 1800.0, end_seconds: about(754.0), ..Default::default() }),
        ..Default::default()
    }
}

fn workers() -> Vec<Worker> {
    let slot = |index, trial: &str, sweep| v1::WorkerSlot {
        index,
        device: format!("cuda:{index}"),
        trial_id: trial.as_bytes().to_vec().into(),
        configuration: "filters=32".into(),
        sweep,
        ..Default::default()
    };
    let free = |index| v1::WorkerSlot { index, device: "cpu".into(), ..Default::default() };
    let worker = |name: &str, state: &str, slots| {
        let (name, state) = (name.to_owned(), state.to_owned());
        Worker::from(v1::WorkerStatus { name, state, slots, ..Default::default() })
    };
    vec![
        worker("gpu-7", "connected", vec![slot(0, "a", 3), slot(1, "b", 3), slot(2, "c", 9)]),
        worker("spare", "suspended", vec![free(0)]),
        worker("cpus", "connected", vec![free(0)]),
        worker("gone", "lost", vec![free(0)]),
    ]
}

fn row(position: u32, configuration: &str, mean: f64, verdict: v1::Verdict) -> v1::LeaderboardRow {
    let estimate = |mean, standard_deviation| Some(v1::Estimate { mean, standard_deviation, count: 3 });
    let comparison = v1::Comparison { delta: Some(mean - 0.8), verdict: verdict.into(), ..Default::default() };
    v1::LeaderboardRow {
        rank: Some(position + 1),
        position,
        configuration: configuration.into(),
        val_accuracy: estimate(mean, Some(0.0123)),
        seconds: estimate(305.25, None),
        params: 1_234_567 * u64::from(position + 1),
        counts: Some(v1::TrialCounts { succeeded: 2, queued: u64::from(position), ..Default::default() }),
        comparison: Some(comparison),
        ..Default::default()
    }
}

fn board(rows: Vec<v1::LeaderboardRow>) -> Leaderboard {
    let metric = "val_accuracy".to_owned();
    let answer =
        v1::GetLeaderboardResponse { sweep: Some(status()), metric, maximize: true, rows, ..Default::default() };
    Leaderboard::try_from(answer).unwrap()
}

fn full() -> State {
    let mut state = State::default();
    state.status(Sweep::from(status()), NOW - 4_000);
    state.earlier(&"a0".repeat(32), (1..37).map(|number| (number, 1.0 - 0.8 / f64::from(number))));
    state.workers = workers();
    let rows = || {
        vec![
            row(0, "conv_layers=4 filters=256", 0.8463, v1::Verdict::Helps),
            row(1, HOSTILE, 0.8001, v1::Verdict::NoDifferenceShown),
            row(2, "baseline", 0.7, v1::Verdict::Hurts),
        ]
    };
    let mut before = rows();
    before.rotate_left(1);
    state.leaderboard(board(before), NOW - 60_000);
    state.leaderboard(board(rows()), NOW - 1_000);
    let event = |seconds: i64, action: &str, detail: &str| AuditEntry {
        at_unix_ms: NOW - seconds * 1000,
        actor: "gpu-7".into(),
        action: action.into(),
        sweep: Some(3),
        trial_id: (action == "attempt_ended").then(|| "c3".repeat(32)),
        attempt: Some(2),
        worker: (action == "attempt_ended").then(|| "gpu-7".to_owned()),
        detail: detail.into(),
    };
    state.happened(vec![
        event(400, "stage_decided", "depth keeps conv_layers=4"),
        event(75, "attempt_ended", "failed: the device has 8 GiB, 9 were asked for"),
    ]);
    state
}

/// The text on a screen of this size.
fn drawn(state: &mut State, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, state, &Theme::new(true), NOW)).unwrap();
    let text = terminal.backend().to_string();
    text.lines().fold(String::new(), |mut all, line| {
        writeln!(all, "{}", line.trim_matches('"').trim_end()).unwrap();
        all
    })
}

#[test]
fn a_screen_of_the_usual_size_has_every_pane() {
    insta::assert_snapshot!("usual", drawn(&mut full(), 120, 34));
    insta::assert_snapshot!("small", drawn(&mut full(), 80, 24));
}

#[test]
fn a_wide_screen_has_two_columns_of_panes() {
    insta::assert_snapshot!("wide", drawn(&mut full(), 180, 24));
}

#[test]
fn a_low_screen_has_one_pane_and_tab_changes_it() {
    let mut state = full();
    insta::assert_snapshot!("low", drawn(&mut state, 60, 14));
    state.press(Key::PreviousPane);
    assert_eq!(state.pane, Pane::Slots);
    insta::assert_snapshot!("low_slots", drawn(&mut state, 60, 14));
}

#[test]
fn no_screen_is_too_small() {
    for (columns, rows) in [(1, 1), (2, 3), (5, 40), (200, 2), (20, 6), (40, 10), (33, 15)] {
        for help in [false, true] {
            let text = drawn(&mut State { help, ..full() }, columns, rows);
            assert_eq!(text.lines().count(), usize::from(rows), "{columns}×{rows}");
        }
    }
    insta::assert_snapshot!("headline_alone", drawn(&mut full(), 50, 4));
}

/// Nine configurations, five of them running, with long names that differ at their ends.
fn nine() -> State {
    let name =
        |number: u32| format!("conv_layers=4 batch_norm=true max_pool=false kernel_size=5 filters={}", 8 << number);
    let mut state = full();
    let running: Vec<_> = (0..5).map(|slot| running("gpu-node-7.cluster", slot, &name(slot), 10 + slot)).collect();
    let (best_configuration, name_of) = (name(8), "a study of widths, with everything else as it was".to_owned());
    state.status(Sweep::from(v1::SweepStatus { running, best_configuration, name: name_of, ..status() }), NOW);
    let verdicts = [v1::Verdict::Helps, v1::Verdict::NoDifferenceShown, v1::Verdict::AfterSelection];
    let rows = (0..9)
        .map(|number| row(number, &name(number), 0.85 - f64::from(number) / 100.0, verdicts[number as usize % 3]));
    state.leaderboard(board(rows.collect()), NOW - 60_000);
    state.workers.clear();
    state
}

#[test]
fn names_that_are_shortened_stay_different_at_every_size() {
    for (columns, rows) in [(60, 15), (80, 24), (120, 34), (200, 50)] {
        let text = drawn(&mut nine(), columns, rows);
        insta::assert_snapshot!(format!("nine_{columns}"), text);
        let board = text.split("Leaderboard").nth(1).expect("there is a leaderboard at every size");
        let shown = (0..9).filter(|number| board.contains(&format!("filters={} ", 8 << number))).count();
        assert!(shown >= 5, "{columns}×{rows}: only {shown} rows can be told apart\n{text}");
    }
}

#[test]
fn at_the_end_there_is_no_time_of_nothing() {
    let nothing = Some(v1::Prediction::default());
    let cost = Some(v1::Cost { end_seconds: nothing, ..Default::default() });
    let mut state = full();
    state.status(Sweep::from(v1::SweepStatus { eta_seconds: Some(0.0), cost, epochs_done: 5_999, ..status() }), NOW);
    let text = drawn(&mut state, 80, 24);
    assert!(text.contains("99 %") && text.contains("less than 1 s to go\n") && !text.contains("0 ms"), "{text}");
}

#[test]
fn before_the_first_answer_it_says_what_it_waits_for() {
    insta::assert_snapshot!("nothing_yet", drawn(&mut State::default(), 80, 24));
}

#[test]
fn a_lost_coordinator_and_what_trials_wait_for_stand_first() {
    let mut state = State { lost: Some("connection refused".into()), ..full() };
    let waiting_for = vec!["no worker has 16 GiB of memory".to_owned()];
    state.status(Sweep::from(v1::SweepStatus { waiting_for, running: Vec::new(), ..status() }), NOW);
    assert_eq!(state.lost, None, "whoever answers is there");
    state.lost = Some("connection refused".into());
    state.say("a warning of the worker".into());
    let text = drawn(&mut state, 100, 24);
    insta::assert_snapshot!("lost", text);
}

#[test]
fn help_and_the_question_before_stopping() {
    insta::assert_snapshot!("help", drawn(&mut State { help: true, ..full() }, 80, 24));
    let mut state = State { embedded: true, ..full() };
    state.press(Key::Leave);
    let text = drawn(&mut state, 100, 24);
    let last = text.lines().last().unwrap();
    assert_eq!(last, " this stops the sweep; the same command resumes it. q: stop it, any other key: stay");
}

#[test]
fn the_time_that_is_left_counts_down_while_nothing_comes() {
    let mut state = full();
    let text = drawn(&mut state, 120, 34);
    assert!(text.contains("12 min 30 s to go (9 min 59 s to 16 min 16 s)"), "{text}");
}

#[test]
fn a_long_leaderboard_is_scrolled() {
    let mut state = full();
    let rows = (0..50).map(|number| row(number, &format!("filters={number}"), 0.5, v1::Verdict::Open)).collect();
    state.leaderboard(board(rows), NOW - 60_000);
    let text = drawn(&mut state, 100, 30);
    assert!(text.contains("filters=0 ") && text.contains(" of 50 ──"), "{text}");
    state.press(Key::Last);
    let text = drawn(&mut state, 100, 30);
    assert!(text.contains("filters=49 ") && text.contains("-50 of 50 ──"), "{text}");
}

#[test]
fn nothing_is_coloured_where_colours_are_off_and_nothing_has_a_background() {
    for coloured in [true, false] {
        let mut terminal = Terminal::new(TestBackend::new(120, 34)).unwrap();
        let mut state = State { lost: Some("away".into()), ..full() };
        terminal.draw(|frame| draw(frame, &mut state, &Theme::new(coloured), NOW)).unwrap();
        let cells = terminal.backend().buffer().content();
        assert!(cells.iter().all(|cell| cell.bg == ratatui_core::style::Color::Reset));
        assert_eq!(cells.iter().any(|cell| cell.fg != ratatui_core::style::Color::Reset), coloured);
        assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::BOLD)), "weight is no colour");
    }
}
