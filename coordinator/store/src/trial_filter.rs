//! The SQL conditions that select trials by state, alike on both databases. The queries name the tables: `t` is `sweep_trials`,
//! `o` the round that the sweep uses, and `s` the sweep.

use crate::record::{TrialPage, TrialState};

/// Whether the round has a live attempt.
pub(crate) const RUNNING: &str =
    "EXISTS (SELECT 1 FROM attempts l WHERE l.trial = t.trial AND l.round = t.round AND l.state = 0)";

/// The SQL condition for the rows of `page`, starting with `AND`, or nothing. Only numbers are formatted into it, no text of a user.
pub(crate) fn condition(page: &TrialPage) -> String {
    let configuration = page.configuration.map(|position| format!(" AND t.configuration = {position}"));
    let seed = page.seed.map(|seed| format!(" AND t.seed = {}", seed as i64));
    let states = in_states(&page.states);
    [Some(states), configuration, seed].into_iter().flatten().collect()
}

/// The rows in any of these states.
fn in_states(states: &[TrialState]) -> String {
    let given_up = "(s.state = 4 AND (o.state IS NULL OR o.state = 0))";
    let one = |state: &TrialState| match state {
        TrialState::Queued => {
            format!("((o.state IS NULL OR o.state = 0) AND NOT {given_up} AND NOT {RUNNING})")
        }
        TrialState::Running => format!("(o.state = 0 AND NOT {given_up} AND {RUNNING})"),
        TrialState::Succeeded => "o.state = 1".to_owned(),
        TrialState::Failed => "o.state = 2".to_owned(),
        TrialState::Cancelled => format!("(o.state = 3 OR {given_up})"),
    };
    if states.is_empty() {
        return String::new();
    }
    format!("AND ({})", states.iter().map(one).collect::<Vec<_>>().join(" OR "))
}
