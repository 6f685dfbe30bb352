//! The state of the screen and the effects of keys. Pure: time is an argument.

use std::collections::{BTreeMap, HashMap};

use sweep_shapes::{AuditEntry, Leaderboard, Sweep, Worker};

use super::keys::Key;

/// The most points of one curve: more than any screen has columns.
const MOST_POINTS: usize = 2000;
/// The most messages that are kept for the end.
pub(super) const MOST_MESSAGES: usize = 1000;
/// The most events, the newest ones.
const MOST_EVENTS: usize = 1000;
/// How long a row shows that it has moved.
const MOVED_MS: i64 = 20_000;

/// The panes, which can be scrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pane {
    Stages,
    Slots,
    #[default]
    Leaderboard,
    Events,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Stages, Self::Slots, Self::Leaderboard, Self::Events];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Stages => "Stages",
            Self::Slots => "Slots",
            Self::Leaderboard => "Leaderboard",
            Self::Events => "Events",
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0)
    }

    fn turned(self, by: usize) -> Self {
        Self::ALL[(self.index() + by) % Self::ALL.len()]
    }
}

/// The leaderboard with recent changes of rank.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) board: Option<Leaderboard>,
    /// By position in the plan: ranks gained, and when.
    moved: HashMap<u32, (i64, i64)>,
    /// Why there is no leaderboard.
    pub(super) missing: Option<String>,
}

impl Board {
    fn take(&mut self, board: Leaderboard, now_ms: i64) {
        if let Some(before) = &self.board {
            let places: HashMap<u32, i64> = (0..).zip(&before.rows).map(|(place, row)| (row.position, place)).collect();
            for (place, row) in (0..).zip(&board.rows) {
                match places.get(&row.position) {
                    Some(was) if *was != place => drop(self.moved.insert(row.position, (was - place, now_ms))),
                    Some(_) | None => {}
                }
            }
        }
        self.missing = None;
        self.board = Some(board);
    }

    /// Ranks that a configuration gained recently; negative for ranks lost.
    pub(super) fn moved(&self, position: u32, now_ms: i64) -> i64 {
        self.moved.get(&position).filter(|(_, at)| now_ms - at < MOVED_MS).map_or(0, |(places, _)| *places)
    }
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sweep: Option<Sweep>,
    /// When the status arrived.
    pub(super) received_ms: i64,
    pub(super) workers: Vec<Worker>,
    pub(super) board: Board,
    pub(super) events: Vec<AuditEntry>,
    /// Validation accuracy by epoch, of running trials.
    pub(super) curves: HashMap<String, BTreeMap<u32, f64>>,
    /// Messages; printed again when the screen is gone.
    pub(super) messages: Vec<String>,
    /// Why the connection to the coordinator is lost.
    pub(super) lost: Option<String>,
    /// The coordinator is in this process and ends with it.
    pub(super) embedded: bool,
    pub(super) pane: Pane,
    pub(super) help: bool,
    /// Whether the user is asked to confirm an exit that would stop the sweep.
    pub(super) asked: bool,
    pub(super) scroll: [usize; 4],
    /// Rows and height of each pane in the last frame.
    pub(super) seen: [(usize, usize); 4],
}

/// The effect of a key outside of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Leave,
    Redraw,
}

impl State {
    /// Takes a new status.
    pub(super) fn status(&mut self, sweep: Sweep, now_ms: i64) {
        for trial in &sweep.running {
            let curve = self.curves.entry(trial.trial_id.clone()).or_default();
            if let Some(newest) = trial.newest {
                curve.insert(newest.epoch, newest.val_accuracy);
            }
            if curve.len() > MOST_POINTS {
                curve.pop_first();
            }
        }
        self.curves.retain(|id, _| sweep.running.iter().any(|trial| trial.trial_id == *id));
        self.lost = None;
        self.received_ms = now_ms;
        self.sweep = Some(sweep);
    }

    /// Takes epochs from before the screen began.
    pub(super) fn earlier(&mut self, trial: &str, points: impl IntoIterator<Item = (u32, f64)>) {
        if let Some(curve) = self.curves.get_mut(trial) {
            for (epoch, accuracy) in points.into_iter().take(MOST_POINTS) {
                curve.entry(epoch).or_insert(accuracy);
            }
        }
    }

    pub(super) fn leaderboard(&mut self, board: Leaderboard, now_ms: i64) {
        self.board.take(board, now_ms);
    }

    /// Takes new events.
    pub(super) fn happened(&mut self, entries: Vec<AuditEntry>) {
        self.events.extend(entries);
        let over = self.events.len().saturating_sub(MOST_EVENTS);
        self.events.drain(..over);
    }

    pub(super) fn say(&mut self, text: String) {
        if self.messages.len() < MOST_MESSAGES {
            self.messages.push(text);
        }
    }

    /// Handles a key.
    pub(super) fn press(&mut self, key: Key) -> Wish {
        let asked = std::mem::take(&mut self.asked);
        let (rows, height) = self.seen[self.pane.index()];
        let end = rows.saturating_sub(height);
        let scroll = &mut self.scroll[self.pane.index()];
        // If the content has shrunk, scrolling starts at its end.
        *scroll = (*scroll).min(end);
        let page = height.saturating_sub(1).max(1);
        match key {
            Key::Interrupt => return Wish::Leave,
            Key::Leave | Key::Escape if self.help => self.help = false,
            Key::Leave | Key::Escape if self.embedded && !asked => self.asked = true,
            Key::Escape if self.embedded => {}
            Key::Leave | Key::Escape => return Wish::Leave,
            Key::Help => self.help = !self.help,
            Key::NextPane => self.pane = self.pane.turned(1),
            Key::PreviousPane => self.pane = self.pane.turned(Pane::ALL.len() - 1),
            Key::Up => *scroll = scroll.saturating_sub(1),
            Key::Down => *scroll = (*scroll + 1).min(end),
            Key::PageUp => *scroll = scroll.saturating_sub(page),
            Key::PageDown => *scroll = (*scroll + page).min(end),
            Key::First => *scroll = 0,
            Key::Last => *scroll = end,
            Key::Redraw => return Wish::Redraw,
        }
        Wish::Nothing
    }

    /// The first visible row of a pane with `rows` rows, where `height` fit.
    pub(super) fn scrolled(&mut self, pane: Pane, rows: usize, height: usize) -> usize {
        self.seen[pane.index()] = (rows, height);
        self.scroll[pane.index()].min(rows.saturating_sub(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolling_stays_within_what_there_is() {
        let mut state = State::default();
        state.scrolled(Pane::Leaderboard, 10, 4);
        for (key, expected) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 4),
            (Key::PageDown, 6),
            (Key::Down, 6),
            (Key::First, 0),
            (Key::Last, 6),
            (Key::PageUp, 3),
        ] {
            assert_eq!(state.press(key), Wish::Nothing);
            assert_eq!(state.scrolled(Pane::Leaderboard, 10, 4), expected, "{key:?}");
        }
        assert_eq!(state.scrolled(Pane::Leaderboard, 5, 4), 1, "it shrank");
        assert_eq!(state.scrolled(Pane::Slots, 10, 4), 0, "each pane has its own");
    }

    #[test]
    fn leaving_what_goes_on_is_one_key_and_what_would_stop_is_two() {
        let mut state = State::default();
        assert_eq!(state.press(Key::Leave), Wish::Leave);
        assert_eq!(state.press(Key::Escape), Wish::Leave);
        let mut state = State { embedded: true, ..State::default() };
        assert_eq!((state.press(Key::Leave), state.asked), (Wish::Nothing, true));
        assert_eq!((state.press(Key::Down), state.asked), (Wish::Nothing, false), "any other key means no");
        assert_eq!(state.press(Key::Leave), Wish::Nothing);
        assert_eq!((state.press(Key::Escape), state.asked), (Wish::Nothing, false));
        state.press(Key::Leave);
        assert_eq!(state.press(Key::Leave), Wish::Leave);
        assert_eq!(State { embedded: true, ..State::default() }.press(Key::Interrupt), Wish::Leave);
    }

    #[test]
    fn help_is_left_before_the_screen_is() {
        let mut state = State::default();
        state.press(Key::Help);
        assert!(state.help);
        assert_eq!(state.press(Key::Escape), Wish::Nothing);
        assert!(!state.help);
    }

    #[test]
    fn panes_turn_both_ways() {
        let mut state = State::default();
        state.press(Key::NextPane);
        assert_eq!(state.pane, Pane::Events);
        state.press(Key::NextPane);
        assert_eq!(state.pane, Pane::Stages);
        state.press(Key::PreviousPane);
        assert_eq!(state.pane, Pane::Events);
    }
}
