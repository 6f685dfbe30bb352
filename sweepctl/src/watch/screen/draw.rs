//! The layout of the screen: as many panes as fit, and one at a time on a small screen.

use ratatui_core::layout::{Constraint, Layout, Rect};
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;
use ratatui_widgets::block::Block;
use ratatui_widgets::clear::Clear;
use ratatui_widgets::paragraph::Paragraph;
use sweep_shapes::text::{count, duration, escape};
use sweep_shapes::{Prediction, State as SweepState, Sweep};

use super::panes;
use super::state::{Pane, State};
use super::text::{filled, fit, fit_name, fit_parts, width};
use super::theme::Theme;
use crate::commands::compare::number;
use crate::commands::status;
use crate::watch::plain::remaining;

/// With fewer lines for panes, one is shown at a time.
const LEAST_FOR_PANES: u16 = 14;
/// With at least this many columns, panes are side by side.
const LEAST_FOR_TWO: u16 = 150;
/// Columns that remain for the slots beside a leaderboard with long names.
const LEAST_FOR_SLOTS: u16 = 72;
/// A smaller screen shows only the headline.
const LEAST_LINES: u16 = 6;

/// Draws everything, at the time `now_ms`.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, theme: &Theme, now_ms: i64) {
    let area = frame.area();
    let header = header(state, *theme, area.width, now_ms);
    if area.height < LEAST_LINES {
        return lines(frame, area, header);
    }
    let head = u16::try_from(header.len()).unwrap_or(u16::MAX).min(area.height / 2);
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(head), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    lines(frame, top, header);
    for (pane, place) in places(state, middle, now_ms) {
        draw_pane(frame, (pane, place), state, *theme, now_ms);
    }
    lines(frame, bottom, vec![footer(state, *theme, area.width)]);
    if state.help {
        help(frame, area, state, *theme);
    }
}

fn lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    Paragraph::new(lines).render(area, frame.buffer_mut());
}

/// The visible panes and their areas.
fn places(state: &State, area: Rect, now_ms: i64) -> Vec<(Pane, Rect)> {
    if area.height < LEAST_FOR_PANES {
        return vec![(state.pane, area)];
    }
    let wanted = |pane: Pane| u16::try_from(panes::rows(state, pane) + 1).unwrap_or(u16::MAX);
    let events = wanted(Pane::Events).clamp(2, (area.height / 5).max(3));
    // The leaderboard gets what its names need before the slots get more than half.
    let board = u16::try_from(panes::board_width(state, now_ms)).unwrap_or(u16::MAX);
    let beside = area.width.saturating_sub(LEAST_FOR_SLOTS);
    let all: u16 = Pane::ALL.into_iter().map(wanted).fold(0, u16::saturating_add);
    // Stacked panes show more if all fit and the names would be cut otherwise.
    let stacked = board > beside && all <= area.height;
    if area.width >= LEAST_FOR_TWO && !stacked {
        let half = area.width / 2;
        let right = board.clamp(half, beside.max(half));
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(right)]).spacing(2).areas(area);
        let stages = wanted(Pane::Stages).clamp(2, area.height / 3);
        let [stages, slots] = Layout::vertical([Constraint::Length(stages), Constraint::Min(3)]).areas(left);
        let [board, happened] = Layout::vertical([Constraint::Min(3), Constraint::Length(events)]).areas(right);
        return [Pane::Stages, Pane::Slots, Pane::Leaderboard, Pane::Events]
            .into_iter()
            .zip([stages, slots, board, happened])
            .collect();
    }
    let stages = wanted(Pane::Stages).clamp(2, (area.height / 5).max(3));
    let slots = wanted(Pane::Slots).clamp(3, (area.height / 3).max(4));
    // Space that the leaderboard does not need goes to the events.
    let rest = area.height.saturating_sub(stages + slots);
    let board = wanted(Pane::Leaderboard).clamp(3, rest.saturating_sub(events).max(3));
    let heights =
        [Constraint::Length(stages), Constraint::Length(slots), Constraint::Length(board), Constraint::Min(events)];
    let areas: [Rect; 4] = Layout::vertical(heights).areas(area);
    Pane::ALL.into_iter().zip(areas).collect()
}

/// A rule with the title, and as many rows as fit.
fn draw_pane(frame: &mut Frame<'_>, (pane, area): (Pane, Rect), state: &mut State, theme: Theme, now_ms: i64) {
    let (columns, height) = (usize::from(area.width), usize::from(area.height));
    let drawn = panes::draw(state, pane, columns, (theme, now_ms));
    let head = usize::from(drawn.heading.is_some()) + 1;
    let room = height.saturating_sub(head);
    let rows = drawn.rows.len();
    let first = state.scrolled(pane, rows, room);
    let note = match rows > room {
        true => format!(" {}-{} of {} ", first + 1, (first + room).min(rows), count(rows as u64)),
        false => String::new(),
    };
    let mut content = vec![rule(pane, &drawn.note, &note, (columns, theme, state.pane == pane))];
    content.extend(drawn.heading);
    content.extend(drawn.rows.into_iter().skip(first).take(room));
    lines(frame, area, content);
}

/// For example `── Leaderboard ── by val_accuracy ──────── 1-9 of 20 ──`.
fn rule(pane: Pane, note: &str, end: &str, (columns, theme, chosen): (usize, Theme, bool)) -> Line<'static> {
    let title = format!(" {} ", pane.title());
    let room = columns.saturating_sub(width(&title) + width(end) + 6);
    let note = if note.is_empty() { String::new() } else { format!("─ {} ", fit(note, room.saturating_sub(3))) };
    let note = if width(&note) > room { String::new() } else { note };
    let dashes = columns.saturating_sub(2 + width(&title) + width(&note) + width(end) + 2);
    let style = if chosen { theme.chosen() } else { theme.strong() };
    Line::from(vec![
        Span::styled("──", theme.faint()),
        Span::styled(title, style),
        Span::styled(note, theme.faint()),
        Span::styled("─".repeat(dashes), theme.faint()),
        Span::styled(end.to_owned(), theme.faint()),
        Span::styled("──", theme.faint()),
    ])
}

/// The first lines, on a screen of any size.
fn header(state: &State, theme: Theme, columns: u16, now_ms: i64) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let mut lines = Vec::new();
    if let Some(why) = &state.lost {
        let text = format!(" lost the coordinator: {why}; the sweep continues, waiting to reconnect ");
        lines.push(Line::styled(fit(&text, columns), theme.alarm()));
    }
    let Some(sweep) = &state.sweep else {
        lines.push(Line::styled("waiting for the sweep's status", theme.faint()));
        return lines;
    };
    lines.push(headline(sweep, theme, columns, now_ms - state.received_ms));
    lines.push(bar(sweep, theme, columns));
    lines.push(Line::from(fit_parts(&counts(sweep), columns)));
    if let Some(best) = &sweep.best {
        let value = number(&best.metric, best.value);
        let before = format!("best {} ", escape(&best.metric));
        let room = columns.saturating_sub(width(&before) + value.len() + 2);
        lines.push(Line::from(vec![
            Span::raw(before),
            Span::styled(value, theme.good().patch(theme.strong())),
            Span::raw(format!("  {}", fit_name(&best.configuration, room))),
        ]));
    }
    for reason in sweep.waiting_for.iter().take(2) {
        lines.push(Line::styled(fit(&format!("waits: {reason}"), columns), theme.notable()));
    }
    if let Some(message) = state.messages.last() {
        lines.push(Line::styled(fit(message, columns), theme.notable()));
    }
    lines
}

/// Name and state on the left, the remaining time on the right.
fn headline(sweep: &Sweep, theme: Theme, columns: usize, age_ms: i64) -> Line<'static> {
    let state = match sweep.state {
        SweepState::Cancelled if sweep.stopped_at_budget => "budget spent",
        _ if sweep.paused => "paused",
        state => state.name(),
    };
    let style = match sweep.state {
        SweepState::Failed => theme.bad(),
        SweepState::Cancelled => theme.notable(),
        SweepState::Succeeded => theme.good(),
        SweepState::Running | SweepState::Unknown if sweep.paused => theme.notable(),
        SweepState::Running | SweepState::Unknown => theme.accent(),
    };
    let name = format!("sweep {} ", sweep.id);
    let taken = width(&name) + width(&sweep.name) + width(state) + 5;
    // The name has priority over the interval of the remaining time.
    let left = left_over(sweep, age_ms as f64 / 1000.0);
    let left =
        if taken + width(&left) > columns { left.split(" (").next().unwrap_or_default().to_owned() } else { left };
    let room = columns.saturating_sub(width(&name) + width(state) + width(&left) + 5);
    let title = fit_name(&sweep.name, room);
    let gap = columns.saturating_sub(width(&name) + width(&title) + 2 + width(state) + width(&left));
    let left = if gap == 0 { String::new() } else { left };
    Line::from(vec![
        Span::styled(name, theme.strong()),
        Span::styled(title, theme.strong()),
        Span::raw(": "),
        Span::styled(state.to_owned(), style),
        Span::raw(" ".repeat(gap)),
        Span::raw(left),
    ])
}

/// For example `12 min to go (10 min to 15 min)`, counted down between two statuses.
fn left_over(sweep: &Sweep, age_seconds: f64) -> String {
    if sweep.state.has_ended() {
        return String::new();
    }
    let Some(eta) = sweep.eta_seconds else { return String::new() };
    let from_now = |seconds: f64| (seconds - age_seconds.max(0.0)).max(0.0);
    let end = sweep.cost.as_ref().and_then(|cost| cost.end_seconds).map(|end| Prediction {
        expected: from_now(end.expected),
        low: from_now(end.low),
        high: from_now(end.high),
    });
    remaining(from_now(eta), end)
}

fn bar(sweep: &Sweep, theme: Theme, columns: usize) -> Line<'static> {
    let share = match sweep.epochs_total {
        0 if sweep.counts.total() == 0 => 0.0,
        0 => sweep.counts.ended() as f64 / sweep.counts.total() as f64,
        total => sweep.epochs_done as f64 / total as f64,
    };
    let percent = format!(" {:>3.0} %", (share * 100.0).floor());
    let room = columns.saturating_sub(percent.len());
    let done = filled(share, room);
    Line::from(vec![
        Span::styled("━".repeat(done), theme.accent()),
        Span::styled("╌".repeat(room - done), theme.faint()),
        Span::styled(percent, theme.strong()),
    ])
}

/// The parts of a sentence, the most important first.
fn counts(sweep: &Sweep) -> Vec<String> {
    let mut parts = vec![status::counts(&sweep.counts)];
    if sweep.epochs_total > 0 {
        parts.push(format!("epoch {} of {}", count(sweep.epochs_done), count(sweep.epochs_total)));
    }
    if let Some(cost) = &sweep.cost {
        parts.push(format!("{} of slots spent", duration(cost.spent_slot_seconds)));
    }
    parts
}

fn footer(state: &State, theme: Theme, columns: u16) -> Line<'static> {
    if state.asked {
        let text = " this stops the sweep; the same command resumes it. q: stop it, any other key: stay ";
        return Line::styled(fit(text, usize::from(columns)), theme.alarm());
    }
    let leave = if state.embedded { "stop" } else { "leave, the sweep continues" };
    let hints = [("q", leave), ("Tab", "pane"), ("↑↓", "scroll"), ("?", "help")];
    let mut spans = Vec::new();
    let mut taken = 0;
    for (key, does) in hints {
        taken += width(key) + width(does) + 4;
        if taken > usize::from(columns) {
            break;
        }
        spans.extend([
            Span::styled(format!(" {key} "), theme.strong()),
            Span::styled(format!("{does} "), theme.faint()),
        ]);
    }
    Line::from(spans)
}

fn help(frame: &mut Frame<'_>, area: Rect, state: &State, theme: Theme) {
    let leave = if state.embedded { "stop the sweep (asks first)" } else { "leave; the sweep continues" };
    let keys = [
        ("q, Esc", leave),
        ("Ctrl-C", if state.embedded { "stop the sweep at once" } else { "leave at once" }),
        ("Tab, →, ←", "switch the pane"),
        ("↑ ↓, j k", "scroll"),
        ("PgUp PgDn, g G", "a page; the beginning, the end"),
        ("Ctrl-L", "redraw the screen"),
        ("?", "this help"),
    ];
    let mut content: Vec<Line<'_>> = keys
        .into_iter()
        .map(|(key, does)| Line::from(vec![Span::styled(format!(" {key:<15}"), theme.strong()), Span::raw(does)]))
        .collect();
    content.push(Line::default());
    content.push(Line::styled(" ▲2: gained two ranks recently; curves: validation accuracy", theme.faint()));
    let (columns, rows) = (64.min(area.width), u16::try_from(content.len() + 2).unwrap_or(12).min(area.height));
    let place = Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows);
    Clear.render(place, frame.buffer_mut());
    let block = Block::bordered().title(Span::styled(" Keys ", theme.chosen()));
    Paragraph::new(content).block(block).render(place, frame.buffer_mut());
}
