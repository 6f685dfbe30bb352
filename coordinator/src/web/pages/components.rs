//! Components that several pages share: state chips, progress bars, times, verdicts, table headers, pagination, downloads.
//! Every colour comes with a sign and a word, so that no information depends on colour alone.

use maud::{Markup, html};
use sweep_analysis::result::{Comparison, Verdict};
use sweep_report::parts::number;
use sweep_shapes::text::{count, plural};
use sweep_shapes::{Counts, State};

use super::query::Query;

/// A state with its sign.
pub(super) fn state(state: State, paused: bool) -> Markup {
    let (class, sign, word) = match state {
        State::Running if paused => ("paused", "❙❙", "paused"),
        State::Running => ("running", "▶", "running"),
        State::Succeeded => ("succeeded", "✓", "succeeded"),
        State::Failed => ("failed", "✕", "failed"),
        State::Cancelled => ("cancelled", "–", "cancelled"),
        State::Unknown => ("cancelled", "?", "unknown"),
    };
    chip(class, sign, word)
}

/// The state of a trial, an attempt or a worker, by its name.
pub(super) fn state_chip(word: &str) -> Markup {
    let (class, sign) = match word {
        "running" => ("running", "▶"),
        "connected" => ("succeeded", "●"),
        "succeeded" | "converged" => ("succeeded", "✓"),
        "failed" | "diverged" | "lost" => ("failed", "✕"),
        "queued" => ("queued", "○"),
        "draining" | "suspended" | "expired" | "stopped" => ("paused", "❙❙"),
        _ => ("cancelled", "–"),
    };
    chip(class, sign, word)
}

fn chip(class: &str, sign: &str, word: &str) -> Markup {
    html! { span class={ "chip " (class) } { span aria-hidden="true" { (sign) } " " (word) } }
}

/// A verdict with its sign; the tooltip explains it.
pub(super) fn verdict(comparison: &Comparison) -> Markup {
    let (class, sign) = match comparison.verdict {
        Verdict::Helps => ("good", "▲"),
        Verdict::Hurts => ("bad", "▼"),
        Verdict::NoDifferenceShown => ("quiet", "≈"),
        Verdict::AfterSelection => ("quiet", "◇"),
        Verdict::Open(_) => ("quiet", "…"),
    };
    html! {
        span class={ "verdict " (class) } title=(comparison.sentence()) {
            span aria-hidden="true" { (sign) } " " (comparison.verdict.word())
        }
    }
}

/// A bar of the trials by state.
pub(super) fn bar(counts: &Counts) -> Markup {
    let converged = counts.succeeded.saturating_sub(counts.diverged);
    let waiting = counts.queued + counts.to_come_at_most;
    let parts = [
        ("succeeded", converged),
        ("diverged", counts.diverged),
        ("failed", counts.failed),
        ("cancelled", counts.cancelled),
        ("running", counts.running),
    ];
    let all = (counts.ended() + counts.running + waiting).max(1) as f64;
    let mut at = 0.0;
    let pieces: Vec<(&str, f64, f64)> = parts
        .into_iter()
        .filter(|(_, part)| *part > 0)
        .map(|(class, part)| {
            let width = 100.0 * part as f64 / all;
            let piece = (class, at, width);
            at += width;
            piece
        })
        .collect();
    html! {
        svg.bar role="img" aria-label=(count_summary(counts)) {
            rect.room width="100%" height="100%" {}
            @for (class, left, width) in &pieces {
                rect class=(class) x={ (format!("{left:.2}")) "%" } width={ (format!("{width:.2}")) "%" } height="100%" {}
            }
        }
    }
}

/// `34 of 50 trials ended, 2 running, 1 failed`.
pub(super) fn count_summary(counts: &Counts) -> String {
    let all = counts.total() + counts.to_come_at_most;
    let bound = if counts.to_come_at_most > 0 { "at most " } else { "" };
    let mut text = format!("{} of {bound}{} ended", count(counts.ended()), plural(all, "trial"));
    let more = [
        (counts.running, "running"),
        (counts.failed, "failed"),
        (counts.diverged, "diverged"),
        (counts.cancelled, "cancelled"),
        (counts.reused, "reused"),
    ];
    for (number, word) in more.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!(", {} {word}", count(number)));
    }
    text
}

/// Share of trials that have ended, in whole percent; 100 only when all have.
pub(super) fn percent(counts: &Counts) -> u64 {
    let all = counts.total() + counts.to_come_at_most;
    (counts.ended() * 100).checked_div(all).unwrap_or(0)
}

/// A time in UTC.
pub(super) fn timestamp(unix_ms: i64) -> Markup {
    let text = number::moment(unix_ms);
    html! { time datetime={ (text.replace(' ', "T")) "Z" } { (text) } }
}

/// `12.4 s`, with a dash for nothing.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| number::ABSENT.to_owned(), number::seconds)
}

/// The header of a column: a link that sorts the table by it, with the current direction.
pub(super) struct SortHeader<'a> {
    pub(super) key: &'a str,
    pub(super) title: &'a str,
    pub(super) class: &'a str,
    /// Whether the first click sorts in descending order.
    pub(super) high_first: bool,
}

impl SortHeader<'_> {
    /// `now` is the current sort key, and whether the order is descending.
    pub(super) fn draw(&self, path: &str, query: &Query, now: (&str, bool)) -> Markup {
        let ordered = now.0 == self.key;
        let next = if ordered { !now.1 } else { self.high_first };
        let order = if next { "desc" } else { "asc" };
        let link = query.with(&[("sort", Some(self.key)), ("order", Some(order)), ("page", None)]).link(path);
        let sort = match (ordered, now.1) {
            (true, true) => Some("descending"),
            (true, false) => Some("ascending"),
            (false, _) => None,
        };
        let sign = match sort {
            Some("descending") => "▼",
            Some(_) => "▲",
            None => "",
        };
        html! {
            th scope="col" class=(self.class) aria-sort=[sort] {
                a.sort href=(link) id={ "sort-" (self.key) } { (self.title) span.way aria-hidden="true" { (sign) } }
            }
        }
    }
}

/// Links to the pages of a table.
pub(super) fn pages(path: &str, query: &Query, (page, size, all): (usize, usize, usize)) -> Markup {
    let last = all.div_ceil(size).max(1);
    let link = |page: usize| query.with(&[("page", Some(&page.to_string()))]).link(path);
    let first_shown = if all == 0 { 0 } else { (page - 1) * size + 1 };
    html! {
        nav.pages aria-label="Pages of the table" {
            p { (count(first_shown as u64)) "–" (count((page * size).min(all) as u64)) " of " (count(all as u64)) }
            @if last > 1 {
                ul {
                    @if page > 1 {
                        li { a href=(link(1)) { "First" } }
                        li { a href=(link(page - 1)) rel="prev" { "Previous" } }
                    }
                    @if page < last {
                        li { a href=(link(page + 1)) rel="next" { "Next" } }
                        li { a href=(link(last)) { "Last" } }
                    }
                }
            }
        }
    }
}

/// Links that download a table as CSV or JSON.
pub(super) fn downloads(path: &str, what: &str) -> Markup {
    files(path, what, &["csv", "json"])
}

/// A link that downloads a table of any length as CSV. The API returns JSON only page by page.
pub(super) fn long_download(path: &str, what: &str) -> Markup {
    files(path, what, &["csv"])
}

fn files(path: &str, what: &str, formats: &[&str]) -> Markup {
    let with = |format: &str| format!("{path}{}format={format}", if path.contains('?') { '&' } else { '?' });
    html! {
        p.downloads {
            "Download " (what) ":"
            @for format in formats { " " a href=(with(format)) download { (format.to_uppercase()) span.unseen { " of " (what) } } }
        }
    }
}

/// The message in place of an empty table or chart.
pub(super) fn empty_state(title: &str, body: &Markup) -> Markup {
    html! { div.empty { p.title { (title) } (body) } }
}

/// The placeholder of a part that is still being computed.
pub(super) fn loading(what: &str) -> Markup {
    html! { p.pending { span.spin aria-hidden="true" {} (what) } }
}
