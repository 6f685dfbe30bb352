//! The rows of each pane: stages, slots, leaderboard, events.

use ratatui_core::style::Style;
use ratatui_core::text::{Line, Span};
use sweep_analysis::number::fixed;
use sweep_shapes::text::{ago, count, duration, plural};
use sweep_shapes::{Running, Slot, Worker};

use super::state::{Pane, State};
use super::text::{filled, fit, fit_name, left, spark, width};
use super::theme::Theme;
use crate::commands::compare::{number, signed, verdict_label};
use crate::commands::leaderboard::estimate;
use crate::commands::status;
use crate::table::Table;

/// The content of a pane.
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

/// The lines that a pane needs, with its heading.
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

/// A table as lines of the screen, with a style per row and column.
fn tabled(
    table: &Table,
    columns: usize,
    theme: Theme,
    look: impl Fn(usize, usize) -> Style,
) -> (Line<'static>, Vec<Line<'static>>) {
    let grid = table.grid(columns);
    let line = |texts: Vec<String>, look: &dyn Fn(usize) -> Style| {
        let mut spans = Vec::new();
        for (text, column) in texts.into_iter().zip(&grid.columns) {
            if !spans.is_empty() {
                spans.push(Span::raw(" "));
            }
            spans.push(Span::styled(text, look(*column)));
        }
        Line::from(spans)
    };
    let rows = grid.rows.into_iter().enumerate();
    let rows = rows.map(|(row, texts)| line(texts, &|column| look(row, column))).collect();
    (line(grid.headings, &|_| theme.faint()), rows)
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
            0 if counts.to_come_at_most > 0 => format!("waits, at most {}", plural(counts.to_come_at_most, "trial")),
            0 => "waits for an earlier stage".to_owned(),
            _ => status::counts(counts) + &choice,
        };
        Line::from(vec![
            Span::styled(left(&fit_name(&stage.name, named), named), theme.strong()),
            Span::raw(" "),
            Span::styled("━".repeat(done), style),
            Span::styled("╌".repeat(bar - done), theme.faint()),
            Span::raw(" "),
            Span::raw(fit(&told, columns.saturating_sub(named + bar + 2))),
        ])
    };
    Drawn { note: String::new(), heading: None, rows: stages.iter().map(row).collect() }
}

/// A slot, and the trial on it.
struct Place<'a> {
    worker: &'a str,
    slot: u32,
    /// `None` before the first list of workers.
    known: Option<(&'a Worker, &'a Slot)>,
    running: Option<&'a Running>,
}

/// Every slot of the connected workers, and trials of the sweep on other slots.
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
        return Drawn::nothing("no worker is connected: start one with `sweepctl worker`", theme);
    }
    let sweep = state.sweep.as_ref().map_or(0, |sweep| sweep.id);
    let curve = if columns >= 100 { 16 } else { 10 };
    let headings = ["slot", "device", "trial", "configuration", "seed#", "epoch#", "val acc#", "curve", "img/s#"];
    let mut table = Table::new(&headings)
        .names(&["slot", "configuration"])
        .optional(&["device", "trial", "img/s", "seed", "curve"]);
    let cells: Vec<[(String, Style); 9]> =
        places.iter().map(|place| slot_cells(state, place, curve, (theme, sweep))).collect();
    for row in &cells {
        table.row(row.iter().map(|(text, _)| text.as_str()));
    }
    let busy = places.iter().filter(|place| is_busy(place)).count();
    let note = format!("{busy} of {} busy", places.len());
    let (heading, rows) = tabled(&table, columns, theme, |row, column| cells[row][column].1);
    Drawn { note, heading: Some(heading), rows }
}

fn name_of(place: &Place<'_>) -> String {
    format!("{}:{}", place.worker, place.slot)
}

fn is_busy(place: &Place<'_>) -> bool {
    place.running.is_some() || place.known.is_some_and(|(_, slot)| slot.trial_id.is_some())
}

/// In the order of the headings.
fn slot_cells(state: &State, place: &Place<'_>, curve: usize, (theme, sweep): (Theme, u64)) -> [(String, Style); 9] {
    let Some(trial) = place.running else { return idle_cells(place, (theme, sweep)) };
    let newest = trial.newest;
    let device = place.known.map_or("", |(_, slot)| slot.device.as_str());
    let points = state.curves.get(&trial.trial_id);
    let values: Vec<f64> = points.into_iter().flat_map(|points| points.values().copied()).collect();
    let epoch = newest.map_or(0, |newest| newest.epoch);
    let accuracy = newest.map_or("starts".to_owned(), |newest| fixed(newest.val_accuracy, 4));
    let speed = newest.map(|newest| count(newest.images_per_second.max(0.0) as u64));
    [
        (name_of(place), theme.strong()),
        (device.to_owned(), theme.faint()),
        (trial.trial_id.chars().take(8).collect(), theme.faint()),
        (trial.configuration.clone(), theme.plain()),
        (trial.seed.to_string(), theme.plain()),
        (format!("{epoch}/{}", trial.epochs), theme.plain()),
        (accuracy, theme.plain()),
        (spark(&values, curve), theme.good()),
        (speed.unwrap_or_default(), theme.plain()),
    ]
}

/// A slot without a trial of this sweep.
fn idle_cells(place: &Place<'_>, (theme, sweep): (Theme, u64)) -> [(String, Style); 9] {
    let mut cells = std::array::from_fn(|_| (String::new(), theme.plain()));
    let Some((worker, slot)) = place.known else { return cells };
    cells[0] = (name_of(place), theme.faint());
    cells[1] = (slot.device.clone(), theme.faint());
    cells[3] = match (&slot.configuration, slot.sweep) {
        // It began a moment ago; the next status includes it.
        (Some(configuration), Some(other)) if other == sweep => (configuration.clone(), theme.plain()),
        (Some(configuration), Some(other)) => (format!("sweep {other}: {configuration}"), theme.faint()),
        _ if worker.state == "connected" => ("free".to_owned(), theme.faint()),
        _ => (worker.state.clone(), theme.notable()),
    };
    cells
}

fn leaderboard(state: &State, columns: usize, (theme, now_ms): (Theme, i64)) -> Drawn {
    let Some(board) = &state.board.board else {
        let why = state
            .board
            .missing
            .as_deref()
            .map_or("not available yet".to_owned(), |why| format!("not available: {why}"));
        return Drawn::nothing(&fit(&why, columns), theme);
    };
    if board.rows.is_empty() {
        return Drawn::nothing("no results yet", theme);
    }
    let (table, looks) = ranking(state, board, (theme, now_ms));
    let (heading, rows) = tabled(&table, columns, theme, |row, column| looks[row][column]);
    let direction = if board.maximize { "highest" } else { "lowest" };
    // The column's heading has no space for the reference of the differences.
    let from = board.against.as_deref().map(|against| format!("; delta from {against}")).unwrap_or_default();
    let note = format!("by {}, {direction} first{from}", board.metric);
    Drawn { note, heading: Some(heading), rows }
}

/// The columns that the whole leaderboard needs.
pub(super) fn board_width(state: &State, now_ms: i64) -> usize {
    let Some(board) = &state.board.board else { return 0 };
    let (table, _) = ranking(state, board, (Theme::new(false), now_ms));
    table.grid(usize::MAX).headings.iter().map(|heading| width(heading) + 1).sum()
}

/// The leaderboard as a table, with the style of each cell.
fn ranking(
    state: &State,
    board: &sweep_shapes::Leaderboard,
    (theme, now_ms): (Theme, i64),
) -> (Table, Vec<[Style; 8]>) {
    let metric = board.metric.as_str();
    // A row's movement is in a column of fixed width.
    let headings = ["rank#", "   ", "configuration", "value#", "delta#", "params#", "seconds#", "verdict"];
    let mut table =
        Table::new(&headings).names(&["configuration"]).optional(&["seconds", "params", "delta", "verdict"]);
    let mut looks = Vec::new();
    for row in &board.rows {
        let none = || "-".to_owned();
        let (plain, strong) = (theme.plain(), if row.rank == Some(1) { theme.strong() } else { theme.plain() });
        let moved = match state.board.moved(row.position, now_ms) {
            0 => (String::new(), plain),
            places if places > 0 => (format!("▲{places}"), theme.good()),
            places => (format!("▼{}", -places), theme.notable()),
        };
        let value = match metric {
            "val_loss" => row.val_loss,
            "train_accuracy" => row.train_accuracy,
            "train_loss" => row.train_loss,
            "ratio" => row.ratio,
            _ => row.val_accuracy,
        };
        let one = row.comparison.as_ref();
        // The reason is beside the configuration, or in `sweepctl ablation`.
        let verdict = one.map_or_else(String::new, |one| verdict_label(one.verdict));
        let judged = match verdict.as_str() {
            "helps" => theme.good(),
            "hurts" => theme.bad(),
            _ => theme.faint(),
        };
        table.row([
            row.shared_rank.or(row.rank).map_or_else(none, |rank| rank.to_string()),
            moved.0,
            title(row),
            estimate(value, |value| number(metric, value)),
            one.and_then(|one| one.delta).map_or_else(none, |delta| signed(metric, delta)),
            count(row.params),
            row.seconds.map_or_else(none, |seconds| fixed(seconds.mean, 1)),
            verdict,
        ]);
        looks.push([strong, moved.1, strong, strong, plain, plain, plain, judged]);
    }
    (table, looks)
}

/// The name, the differences and the remarks of a row.
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

fn events(state: &State, columns: usize, (theme, now_ms): (Theme, i64)) -> Drawn {
    let failed = state.sweep.as_ref().map_or(0, |sweep| sweep.counts.failed);
    let note = if failed > 0 { format!("{} failed", count(failed)) } else { String::new() };
    if state.events.is_empty() {
        return Drawn { note, ..Drawn::nothing("no errors", theme) };
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
