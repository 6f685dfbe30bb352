//! The rows of each pane: stages, slots, leaderboard, events.

use ratatui_core::style::Style;
use ratatui_core::text::{Line, Span};
use sweep_shapes::text::{ago, count, duration};
use sweep_shapes::{Running, Slot, Worker};

use super::state::{Pane, State};
use super::text::{filled, fit, left, right, spark, width};
use super::theme::Theme;
use crate::commands::ablation::verdict;
use crate::commands::compare::signed;
use crate::commands::status;

/// What a pane shows.
pub(super) struct Drawn {
    /// Beside the title.
    pub(super) note: String,
    pub(super) heading: Option<Line<'static>>,
    pub(super) rows: Vec<Line<'static>>,
}

impl Drawn {
    fn nothing(why: &str, theme: Theme) -> Self {
        Self { note: String::new(), heading: None, rows: vec![Line::styled(why.to_owned(), theme.faint())] }
    }
}

/// How many lines a pane would like, its heading included.
pub(super) fn rows(state: &State, pane: Pane) -> usize {
    match pane {
        Pane::Stages => state.sweep.as_ref().map_or(1, |sweep| sweep.stages.len().max(1)),
        Pane::Slots => places(state).len().max(1) + 1,
        Pane::Leaderboard => state.board.board.as_ref().map_or(1, |board| board.rows.len() + 1),
        Pane::Events => state.events.len().max(1),
    }
}

pub(super) fn draw(state: &State, pane: Pane, columns: usize, (theme, now_ms): (Theme, i64)) -> Drawn {
    match pane {
        Pane::Stages => stages(state, columns, theme),
        Pane::Slots => slots(state, columns, theme),
        Pane::Leaderboard => leaderboard(state, columns, (theme, now_ms)),
        Pane::Events => events(state, columns, (theme, now_ms)),
    }
}

/// A column: its heading, its width, and whether it stands to the right.
struct Column {
    heading: &'static str,
    columns: usize,
    numeric: bool,
}

fn column(heading: &'static str, columns: usize, numeric: bool) -> Column {
    Column { heading, columns, numeric }
}

/// Columns with one blank between; the one without a width takes what is left.
fn laid_out(mut columns: Vec<Column>, room: usize) -> Vec<Column> {
    let taken: usize = columns.iter().map(|column| column.columns).sum::<usize>() + columns.len().saturating_sub(1);
    for column in &mut columns {
        if column.columns == 0 {
            column.columns = room.saturating_sub(taken);
        }
    }
    columns
}

fn heading(columns: &[Column], theme: Theme) -> Line<'static> {
    line(columns, columns.iter().map(|column| (column.heading.to_owned(), theme.faint())).collect())
}

fn line(columns: &[Column], cells: Vec<(String, Style)>) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, (column, (text, style))) in columns.iter().zip(cells).enumerate() {
        if number > 0 {
            spans.push(Span::raw(" "));
        }
        let text = if column.numeric { right(&text, column.columns) } else { left(&text, column.columns) };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn stages(state: &State, columns: usize, theme: Theme) -> Drawn {
    let stages = state.sweep.as_ref().map_or(&[][..], |sweep| &sweep.stages[..]);
    if stages.is_empty() {
        return Drawn::nothing("no stages", theme);
    }
    let named = stages.iter().map(|stage| width(&stage.name)).max().unwrap_or(0).min(columns / 4).max(5);
    let bar = (columns / 5).clamp(6, 24);
    let row = |stage: &sweep_shapes::SweepStage| {
        let counts = &stage.counts;
        let total = counts.total();
        let share = if total == 0 { 0.0 } else { counts.ended() as f64 / total as f64 };
        let done = filled(share, bar);
        let style = if counts.failed > 0 { theme.bad() } else { theme.accent() };
        let verb = if stage.name.starts_with("more seeds ") { "for" } else { "kept" };
        let choice = stage.choice.as_ref().map(|choice| format!("; {verb} {choice}")).unwrap_or_default();
        let told = match total {
            0 if counts.to_come_at_most > 0 => format!("waits, at most {} trials", count(counts.to_come_at_most)),
            0 => "waits for what comes before".to_owned(),
            _ => status::counts(counts) + &choice,
        };
        Line::from(vec![
            Span::styled(left(&stage.name, named), theme.strong()),
            Span::raw(" "),
            Span::styled("━".repeat(done), style),
            Span::styled("╌".repeat(bar - done), theme.faint()),
            Span::raw(" "),
            Span::raw(fit(&told, columns.saturating_sub(named + bar + 2))),
        ])
    };
    Drawn { note: String::new(), heading: None, rows: stages.iter().map(row).collect() }
}

/// A place where trials run, and what runs there.
struct Place<'a> {
    worker: &'a str,
    slot: u32,
    /// Absent before the workers were told of.
    known: Option<(&'a Worker, &'a Slot)>,
    running: Option<&'a Running>,
}

/// Every slot of workers that are there, and what of the sweep runs elsewhere.
fn places(state: &State) -> Vec<Place<'_>> {
    let running = state.sweep.as_ref().map_or(&[][..], |sweep| &sweep.running[..]);
    let on = |worker: &str, slot: u32| running.iter().find(|trial| trial.worker == worker && trial.slot == slot);
    let there = state.workers.iter().filter(|worker| worker.state != "lost");
    let mut places: Vec<Place<'_>> = there
        .flat_map(|worker| worker.slots.iter().map(move |slot| (worker, slot)))
        .map(|(worker, slot)| Place {
            worker: &worker.name,
            slot: slot.index,
            known: Some((worker, slot)),
            running: on(&worker.name, slot.index),
        })
        .collect();
    for trial in running {
        if !places.iter().any(|place| place.worker == trial.worker && place.slot == trial.slot) {
            places.push(Place { worker: &trial.worker, slot: trial.slot, known: None, running: Some(trial) });
        }
    }
    places
}

fn slots(state: &State, columns: usize, theme: Theme) -> Drawn {
    let places = places(state);
    if places.is_empty() {
        return Drawn::nothing("no worker is connected: `sweepctl worker` starts one", theme);
    }
    let sweep = state.sweep.as_ref().map_or(0, |sweep| sweep.id);
    let named = places.iter().map(|place| width(&name_of(place))).max().unwrap_or(0).clamp(4, (columns / 6).max(8));
    let mut layout = vec![column("slot", named, false)];
    if columns >= 100 {
        layout.push(column("device", 7, false));
    }
    if columns >= 75 {
        layout.push(column("trial", 8, false));
    }
    layout.extend([column("configuration", 0, false), column("seed", 4, true), column("epoch", 9, true)]);
    layout.push(column("val acc", 7, true));
    if columns >= 60 {
        layout.push(column("curve", if columns >= 100 { 16 } else { 10 }, false));
    }
    if columns >= 70 {
        layout.push(column("img/s", 6, true));
    }
    let layout = laid_out(layout, columns);
    let busy = places.iter().filter(|place| is_busy(place)).count();
    let note = format!("{busy} of {} busy", places.len());
    let rows = places.iter().map(|place| slot_row(state, place, &layout, (theme, sweep))).collect();
    Drawn { note, heading: Some(heading(&layout, theme)), rows }
}

fn name_of(place: &Place<'_>) -> String {
    format!("{}:{}", place.worker, place.slot)
}

fn is_busy(place: &Place<'_>) -> bool {
    place.running.is_some() || place.known.is_some_and(|(_, slot)| slot.trial_id.is_some())
}

fn slot_row(state: &State, place: &Place<'_>, layout: &[Column], (theme, sweep): (Theme, u64)) -> Line<'static> {
    let device = place.known.map_or("", |(_, slot)| slot.device.as_str());
    let cell = |column: &Column| -> (String, Style) {
        let Some(trial) = place.running else { return idle(column, place, (theme, sweep)) };
        let newest = trial.newest;
        match column.heading {
            "slot" => (name_of(place), theme.strong()),
            "device" => (device.to_owned(), theme.faint()),
            "trial" => (trial.trial_id.chars().take(8).collect(), theme.faint()),
            "configuration" => (trial.configuration.clone(), theme.plain()),
            "seed" => (trial.seed.to_string(), theme.plain()),
            "epoch" => (format!("{}/{}", newest.map_or(0, |newest| newest.epoch), trial.epochs), theme.plain()),
            "val acc" => {
                (newest.map_or("starts".to_owned(), |newest| format!("{:.4}", newest.val_accuracy)), theme.plain())
            }
            "curve" => {
                let curve = state.curves.get(&trial.trial_id);
                let values: Vec<f64> = curve.into_iter().flat_map(|curve| curve.values().copied()).collect();
                (spark(&values, column.columns), theme.good())
            }
            "img/s" => {
                let speed = newest.map(|newest| count(newest.images_per_second.max(0.0) as u64));
                (speed.unwrap_or_default(), theme.plain())
            }
            _ => (String::new(), theme.plain()),
        }
    };
    line(layout, layout.iter().map(cell).collect())
}

/// A slot that runs nothing of this sweep.
fn idle(column: &Column, place: &Place<'_>, (theme, sweep): (Theme, u64)) -> (String, Style) {
    let Some((worker, slot)) = place.known else { return (String::new(), theme.plain()) };
    match column.heading {
        "slot" => (name_of(place), theme.faint()),
        "device" => (slot.device.clone(), theme.faint()),
        "configuration" => match (&slot.configuration, slot.sweep) {
            // Begun a moment ago; the status will say it.
            (Some(configuration), Some(other)) if other == sweep => (configuration.clone(), theme.plain()),
            (Some(configuration), Some(other)) => (format!("sweep {other}: {configuration}"), theme.faint()),
            _ if worker.state == "connected" => ("free".to_owned(), theme.faint()),
            _ => (worker.state.clone(), theme.notable()),
        },
        _ => (String::new(), theme.plain()),
    }
}

fn leaderboard(state: &State, columns: usize, (theme, now_ms): (Theme, i64)) -> Drawn {
    let Some(board) = &state.board.board else {
        let why = state.board.missing.as_deref().map_or("not there yet".to_owned(), |why| format!("not there: {why}"));
        return Drawn::nothing(&fit(&why, columns), theme);
    };
    if board.rows.is_empty() {
        return Drawn::nothing("nothing has a result yet", theme);
    }
    let metric = &board.metric;
    let mut layout = vec![column("rank", 4, true), column("", 3, false), column("configuration", 0, false)];
    layout.push(column("value", 15, true));
    if columns >= 70 {
        layout.push(column("delta", 8, true));
    }
    if columns >= 60 {
        layout.push(column("params", 11, true));
    }
    if columns >= 90 {
        layout.push(column("seconds", 7, true));
    }
    if columns >= 76 {
        layout.push(column("verdict", if columns >= 100 { 19 } else { 16 }, false));
    }
    let layout = laid_out(layout, columns);
    let row = |row: &sweep_shapes::Row| {
        let moved = state.board.moved(row.position, now_ms);
        let style = if row.rank == Some(1) { theme.strong() } else { theme.plain() };
        let value = match metric.as_str() {
            "val_loss" => row.val_loss,
            "train_accuracy" => row.train_accuracy,
            "train_loss" => row.train_loss,
            "ratio" => row.ratio,
            _ => row.val_accuracy,
        };
        let told = |column: &Column| match column.heading {
            "rank" => (row.shared_rank.or(row.rank).map_or("-".to_owned(), |rank| rank.to_string()), style),
            "" if moved > 0 => (format!("▲{moved}"), theme.good()),
            "" if moved < 0 => (format!("▼{}", -moved), theme.notable()),
            "configuration" => (title(row), style),
            "value" => (value.map_or("-".to_owned(), |value| spread(metric, value)), style),
            "delta" => {
                let delta = row.comparison.as_ref().and_then(|one| one.delta);
                (delta.map_or("-".to_owned(), |delta| signed(metric, delta)), theme.plain())
            }
            "params" => (count(row.params), theme.plain()),
            "seconds" => (row.seconds.map_or("-".to_owned(), |seconds| format!("{:.1}", seconds.mean)), theme.plain()),
            "verdict" => {
                // Why stands beside the configuration, or in `sweepctl ablation`.
                let said = row.comparison.as_ref().map_or(String::new(), verdict);
                let said = said.split([':', ';']).next().unwrap_or_default().to_owned();
                let style = match said.as_str() {
                    "helps" => theme.good(),
                    "hurts" => theme.bad(),
                    _ => theme.faint(),
                };
                (said, style)
            }
            _ => (String::new(), theme.plain()),
        };
        line(&layout, layout.iter().map(told).collect())
    };
    let direction = if board.maximize { "highest" } else { "lowest" };
    let note = format!("by {metric}, {direction} first");
    Drawn { note, heading: Some(heading(&layout, theme)), rows: board.rows.iter().map(row).collect() }
}

/// A name, what differs, and what has to be known of it.
fn title(row: &sweep_shapes::Row) -> String {
    let mut title = match &row.name {
        Some(name) if *name != row.configuration => format!("{name} ({})", row.configuration),
        Some(_) | None => row.configuration.clone(),
    };
    let left = row.counts.total().saturating_sub(row.counts.ended());
    if let Some(remark) = &row.remark {
        title.push_str(&format!(" ({remark})"));
    } else if left > 0 && row.counts.ended() > 0 {
        title.push_str(&format!(" ({} of {})", row.counts.ended(), row.counts.total()));
    }
    title
}

/// `0.8463 ± 0.0120`.
fn spread(metric: &str, estimate: sweep_shapes::Estimate) -> String {
    let mean = if metric == "ratio" { format!("{:.3e}", estimate.mean) } else { format!("{:.4}", estimate.mean) };
    match estimate.standard_deviation {
        Some(deviation) if metric != "ratio" => format!("{mean} ± {deviation:.4}"),
        Some(_) | None => mean,
    }
}

fn events(state: &State, columns: usize, (theme, now_ms): (Theme, i64)) -> Drawn {
    let failed = state.sweep.as_ref().map_or(0, |sweep| sweep.counts.failed);
    let note = if failed > 0 { format!("{} failed", count(failed)) } else { String::new() };
    if state.events.is_empty() {
        return Drawn { note, ..Drawn::nothing("nothing has gone wrong", theme) };
    }
    let row = |entry: &sweep_shapes::AuditEntry| {
        let when = match entry.at_unix_ms {
            ..=0 => ago(0),
            at => format!("{} ago", duration(((now_ms - at) as f64 / 1000.0).max(0.0).round())),
        };
        let trial = entry.trial_id.as_deref().map(|id| format!("trial {} ", id.get(..8).unwrap_or(id)));
        let worker = entry.worker.as_deref().map(|worker| format!("on {worker} ")).unwrap_or_default();
        let detail = match entry.action.as_str() {
            "attempt_ended" => entry.detail.clone(),
            action if entry.detail.is_empty() => action.replace('_', " "),
            action => format!("{}: {}", action.replace('_', " "), entry.detail),
        };
        let style = if entry.detail.starts_with("failed") { theme.bad() } else { theme.plain() };
        let told = format!("{}{worker}{detail}", trial.unwrap_or_default());
        let room = columns.saturating_sub(15);
        Line::from(vec![
            Span::styled(format!("{} ", left(&when, 14)), theme.faint()),
            Span::styled(fit(&told, room), style),
        ])
    };
    // The newest first.
    Drawn { note, heading: None, rows: state.events.iter().rev().map(row).collect() }
}
