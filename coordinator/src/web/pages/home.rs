//! The page of all sweeps, with the progress and the best configuration of each.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use maud::{Markup, html};
use sweep_shapes::text::{count, plural};
use sweep_shapes::{State as SweepState, Sweep};
use sweep_store::codes;
use sweep_store::record::{SweepRecord, SweepTitle};

use super::cache::DEADLINE;
use super::components::{
    SortHeader, bar, count_summary, empty_state, long_download, pages, percent, seconds, state, timestamp,
};
use super::error_page::PageError;
use super::layout::{Layout, NavItem};
use super::query::Query;
use super::request::PageRequest;
use super::{Pages, sweep};
use crate::engine::Gauges;

/// Sweeps of one page.
const SIZE: usize = 25;

/// A sweep of the list; its progress may not be known yet.
struct Line {
    record: SweepRecord,
    sweep: Option<Sweep>,
    is_newest: bool,
}

pub(super) async fn page(State(pages): State<Pages>, asked: PageRequest) -> Result<Response, PageError> {
    let service = pages.service()?;
    let engine = &service.engine;
    let titles = engine.store().sweep_titles().await?;
    let gauges = engine.gauges().await?;
    let all = titles.len();
    let mut titles = wanted(titles, &asked.query);
    let found = titles.len();
    let (key, high) = ordered(&asked.query);
    order(&mut titles, key, high);
    let page = asked.query.page().min(found.div_ceil(SIZE).max(1));
    let mut shown = Vec::with_capacity(SIZE);
    for title in titles.iter().skip((page - 1) * SIZE).take(SIZE) {
        shown.extend(engine.store().sweep(title.id).await?);
    }
    let lines = lines(&pages, engine, shown).await?;
    let pending = lines.iter().any(|line| !line.is_newest);
    let running = gauges.sweeps.len();
    let body = html! {
        div.title {
            h1 { "Sweeps" }
            (machine(&gauges))
        }
        @if all == 0 { (nothing_yet()) } @else {
            (filter(&asked.query))
            @if found == 0 {
                (empty_state("No sweep matches.", &html! { p { a href="/" { "Show all " (count(all as u64)) } } }))
            } @else {
                (table(&lines, &asked.query, (key, high)))
                div.under {
                    (self::pages("/", &asked.query, (page, SIZE, found)))
                    (long_download("/api/v1/sweeps", "all sweeps"))
                }
            }
        }
    };
    let said = format!("{} running", plural(running as u64, "sweep"));
    Ok(Layout::new("Sweeps", NavItem::Sweeps, body)
        .live("/events", pending)
        .announcing(said)
        .for_request(&asked)
        .respond(StatusCode::OK)
        .into_response())
}

async fn lines(
    pages: &Pages,
    engine: &crate::engine::Handle,
    records: Vec<SweepRecord>,
) -> Result<Vec<Line>, PageError> {
    let of = |record: SweepRecord| async {
        // The sweeps are queried concurrently, so the page waits only for the slowest.
        let wait = if record.state == codes::SweepState::Running { 4 * DEADLINE } else { DEADLINE };
        let (status, is_newest) = pages.cache.status(engine, &record, wait.max(Duration::from_millis(1))).await?;
        Ok(Line { sweep: status.map(|status| sweep::shape(&status)), is_newest, record })
    };
    join_all(records.into_iter().map(of)).await.into_iter().collect()
}

fn state_of(state: codes::SweepState) -> SweepState {
    match state {
        codes::SweepState::Preparing | codes::SweepState::Running => SweepState::Running,
        codes::SweepState::Succeeded => SweepState::Succeeded,
        codes::SweepState::Failed => SweepState::Failed,
        codes::SweepState::Cancelled => SweepState::Cancelled,
    }
}

fn wanted(titles: Vec<SweepTitle>, query: &Query) -> Vec<SweepTitle> {
    let searched = query.searched();
    let state = query.get("state");
    let like = |title: &SweepTitle| {
        let text = format!("{} {} {}", title.id, title.name, title.submitter).to_lowercase();
        searched.split_whitespace().all(|word| text.contains(word))
            && state.is_none_or(|state| state_of(title.state).name() == state)
    };
    titles.into_iter().filter(like).collect()
}

fn ordered(query: &Query) -> (&'static str, bool) {
    let key = match query.get("sort") {
        Some("name") => "name",
        Some("state") => "state",
        _ => "submitted",
    };
    (key, query.get("order").map_or(key == "submitted", |order| order == "desc"))
}

fn order(titles: &mut [SweepTitle], key: &str, high: bool) {
    match key {
        "name" => titles.sort_by_key(|title| title.name.to_lowercase()),
        "state" => titles.sort_by_key(|title| (state_of(title.state).name(), std::cmp::Reverse(title.id))),
        _ => titles.sort_by_key(|title| title.id),
    }
    if high {
        titles.reverse();
    }
}

/// The load of the workers, in a line.
fn machine(gauges: &Gauges) -> Markup {
    let (connected, draining) = gauges.workers;
    let (busy, free) = gauges.slots;
    html! {
        p.facts {
            strong { (plural(gauges.sweeps.len() as u64, "sweep")) } " running · "
            strong { (plural(gauges.queue_depth as u64, "trial")) } " waiting · "
            a href="/workers" { strong { (plural((connected + draining) as u64, "worker")) } }
            @if draining > 0 { ", " (draining) " draining" }
            " · " strong { (busy) " of " (busy + free) } " slots busy"
        }
    }
}

fn nothing_yet() -> Markup {
    empty_state(
        "No sweep has been submitted yet.",
        &html! {
            p { "A sweep is one YAML file: a data set, a training protocol, a baseline network, and what to vary. Start a worker and submit the quickstart sweep:" }
            pre tabindex="0" { code { "sweepctl worker\nsweepctl submit sweeps/quickstart.yaml" } }
            p { "It appears here as soon as it is submitted. The page updates as trials end." }
        },
    )
}

fn filter(query: &Query) -> Markup {
    let state = query.get("state").unwrap_or_default();
    html! {
        form.filter #filter method="get" action="/" role="search" aria-label="Filter sweeps" {
            @for (key, value) in query.others(&["q", "state", "page"]) { input type="hidden" name=(key) value=(value); }
            label { span { "Name, number or submitter" } input #filter-q type="search" name="q" value=[query.get("q")] maxlength="200" autocomplete="off"; }
            label { span { "State" } select #filter-state name="state" {
                option value="" { "any" }
                @for word in ["running", "succeeded", "failed", "cancelled"] {
                    option value=(word) selected[state == word] { (word) }
                }
            } }
            button type="submit" { "Show" }
            @if query.get("q").is_some() || query.get("state").is_some() { a href="/" { "Show all" } }
        }
    }
}

fn table(lines: &[Line], query: &Query, now: (&str, bool)) -> Markup {
    let head = |key, title, class, high_first| SortHeader { key, title, class, high_first }.draw("/", query, now);
    html! {
        div.scroll role="group" aria-label="Sweeps" tabindex="0" {
            table.sweeps #sweeps {
                caption.unseen { "Sweeps and their progress" }
                thead { tr {
                    (head("name", "Sweep", "name", false))
                    (head("state", "State", "text", false))
                    th scope="col" class="text" { "Progress" }
                    th scope="col" class="text" { "Best" }
                    (head("submitted", "Submitted", "text", true))
                    th scope="col" class="number" { "Time" }
                } }
                tbody { @for line in lines { (row(line)) } }
            }
        }
    }
}

fn row(line: &Line) -> Markup {
    let record = &line.record;
    let link = format!("/sweeps/{}", record.id);
    let ended = (record.ended_ms > 0).then(|| (record.ended_ms - record.submitted_ms) as f64 / 1000.0);
    let eta = line.sweep.as_ref().and_then(|sweep| sweep.eta_seconds);
    html! {
        tr id={ "sweep-" (record.id) } {
            th scope="row" class="name" {
                a href=(link) { (record.name) }
                span.quiet { " #" (record.id) @if !record.submitter.is_empty() { " by " (record.submitter) } }
            }
            td.text { (state(state_of(record.state), record.paused)) }
            @match &line.sweep {
                Some(sweep) => {
                    td class="text progress" {
                        (bar(&sweep.counts))
                        span.under-bar { (percent(&sweep.counts)) " % · " span.quiet { (count_summary(&sweep.counts)) } }
                    }
                    td.text { (best(sweep)) }
                },
                None => {
                    td class="text progress" { span.quiet { "counting" } }
                    td.text { span.quiet { "–" } }
                }
            }
            td.text { (timestamp(record.submitted_ms)) }
            td.number {
                @match (ended, eta) {
                    (Some(ended), _) => (seconds(Some(ended))),
                    (None, Some(eta)) => { span.quiet { "about " } (seconds(Some(eta))) span.quiet { " left" } },
                    (None, None) => span.quiet { "–" },
                }
            }
        }
    }
}

fn best(sweep: &Sweep) -> Markup {
    html! {
        @match &sweep.best {
            Some(best) => {
                span.value { (sweep::value(&best.metric, best.value)) } " "
                span.quiet { (best.configuration) }
            },
            None => span.quiet { "–" },
        }
    }
}
