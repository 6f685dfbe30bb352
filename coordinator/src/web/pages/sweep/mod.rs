//! The pages of a sweep, one for each tab. The chosen configurations, metric and levels are kept from tab to tab.

pub(super) mod charts;
pub(super) mod configuration;
pub(super) mod curves;
pub(super) mod images;
mod leaderboard;
mod progress;
pub(super) mod question;
pub(super) mod trials;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use sweep_report::parts::{self, Parts};
use sweep_report::{Material, Report};
use sweep_scheduler::SweepId;
use sweep_shapes::Sweep;
use sweep_spec::spec::Metric;
use sweep_store::codes::SweepState;
use sweep_store::record::SweepRecord;

use super::Pages;
use super::cache::DEADLINE;
use super::components::{count_summary, loading, state, timestamp};
use super::error_page::PageError;
use super::layout::{Layout, NavItem};
use super::query::Query;
use super::request::PageRequest;
use crate::engine::{Analysed, Status, material};
use crate::service::{Sweeps, sweep_messages};

/// The keys of the query that the links between tabs keep.
const KEPT: [&str; 3] = ["chosen", "metric", "where"];

/// A status in the shape that the API returns.
pub(super) fn shape(status: &Status) -> Sweep {
    sweep_messages::status(status).into()
}

/// Formats a value of the metric with this name.
pub(super) fn value(metric: &str, value: f64) -> String {
    Metric::named(metric).map_or_else(|| value.to_string(), |metric| parts::unit(metric).value(value))
}

/// The tab of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Charts,
    Curves,
    Images,
    Trials,
    Question,
    /// A page below the tabs: one configuration.
    Below,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Overview, "", "Overview"),
        (Self::Charts, "/charts", "Charts"),
        (Self::Curves, "/curves", "Curves"),
        (Self::Images, "/images", "Images"),
        (Self::Trials, "/trials", "Trials"),
        (Self::Question, "/question", "Question"),
    ];
}

/// The state that all pages of a sweep share.
pub(super) struct SweepContext {
    pub(super) service: Sweeps,
    pub(super) record: SweepRecord,
    /// The status; absent until it is computed.
    pub(super) sweep: Option<Sweep>,
    pub(super) asked: PageRequest,
    /// The chosen metric, if it is not the sweep's objective.
    pub(super) metric: Option<Metric>,
    /// Whether a part of the page is still being computed.
    pub(super) pending: bool,
}

impl SweepContext {
    pub(super) async fn of(pages: &Pages, text: &str, asked: PageRequest) -> Result<Self, PageError> {
        let service = pages.service()?;
        let id = service.engine.find(text).await?;
        let missing = || crate::engine::Error::not_found(format!("sweep {id}"));
        let record = service.engine.store().sweep(id).await?.ok_or_else(missing)?;
        let (status, is_newest) = pages.cache.status(&service.engine, &record, DEADLINE).await?;
        let sweep = status.as_ref().map(shape);
        let metric = asked.query.get("metric").and_then(Metric::named);
        Ok(Self { service, record, pending: !is_newest, sweep, asked, metric })
    }

    pub(super) fn id(&self) -> SweepId {
        self.record.id
    }

    /// The address of a page below the sweep.
    pub(super) fn path(&self, below: &str) -> String {
        format!("/sweeps/{}{below}", self.record.id)
    }

    /// The analysis, or `None` if none is known within the deadline.
    pub(super) async fn analysed(&mut self, pages: &Pages, images: bool) -> Result<Option<Arc<Analysed>>, PageError> {
        let asked = (self.id(), self.metric, images);
        let (found, is_newest) = pages.cache.analysed(&self.service.engine, asked).await?;
        self.pending |= !is_newest;
        Ok(found)
    }

    /// The response with this body.
    pub(super) fn respond(&self, tab: Tab, body: &Markup) -> Response {
        let record = &self.record;
        let title = match tab {
            Tab::Overview | Tab::Below => record.name.clone(),
            tab => {
                let name = Tab::ALL.iter().find(|(other, ..)| *other == tab).map_or("", |(_, _, name)| *name);
                format!("{name} · {}", record.name)
            }
        };
        let said = self.sweep.as_ref().map_or_else(String::new, |sweep| {
            format!("{}: {}, {}", record.name, sweep.state.name(), count_summary(&sweep.counts))
        });
        let whole = html! { (self.head(tab)) (body) };
        let mut layout = Layout::new(title, NavItem::Sweeps, whole).announcing(said).for_request(&self.asked);
        if record.state == SweepState::Running {
            layout = layout.live(format!("/api/v1/sweeps/{}/events", record.id), self.pending);
        } else if self.pending {
            layout = layout.live("/events", true);
        }
        layout.respond(StatusCode::OK).into_response()
    }

    /// The name, the state, the actions and the tabs.
    fn head(&self, tab: Tab) -> Markup {
        let record = &self.record;
        let kept = self.asked.query.only(&KEPT);
        let running = record.state == SweepState::Running;
        let shown = self.sweep.as_ref().map(|sweep| sweep.state);
        html! {
            nav.crumbs aria-label="Breadcrumb" { ol {
                li { a href="/" { "Sweeps" } }
                li { @if tab == Tab::Below { a href=(self.path("")) { (record.name) } } @else { span { "#" (record.id) } } }
            } }
            div.title {
                h1 { (record.name) }
                @if let Some(shown) = shown { (state(shown, record.paused)) }
                p.facts {
                    "Sweep " (record.id)
                    @if !record.submitter.is_empty() { " by " (record.submitter) }
                    ", submitted " (timestamp(record.submitted_ms))
                    @if record.ended_ms > 0 { ", ended " (timestamp(record.ended_ms)) }
                    @if record.priority != 0 { ", priority " (record.priority) }
                }
            }
            @if self.asked.may_change && tab == Tab::Overview { (self.actions(running)) }
            nav.tabs #parts aria-label="Parts of this sweep" { ul {
                @for (other, below, name) in Tab::ALL {
                    li { a href=(kept.link(&self.path(below))) aria-current=[(other == tab).then_some("page")] { (name) } }
                }
            } }
        }
    }

    /// The buttons that change the sweep.
    fn actions(&self, running: bool) -> Markup {
        let failed = self.sweep.as_ref().map_or(0, |sweep| sweep.counts.failed);
        let cancelled = self.record.state == SweepState::Cancelled;
        html! {
            div.actions #actions role="group" aria-label="Change this sweep" {
                @if running {
                    @let held_back = self.sweep.as_ref().is_some_and(|sweep| sweep.held_back.is_some());
                    @if self.record.paused || held_back {
                        form method="post" action=(self.path("/resume")) { button type="submit" { "Resume" } }
                    } @else {
                        form method="post" action=(self.path("/pause")) { button type="submit" { "Pause" } }
                    }
                }
                @if failed > 0 && !cancelled {
                    form method="post" action=(self.path("/retry")) { button type="submit" { "Retry failed trials" } }
                }
                @if running {
                    form.priority method="post" action=(self.path("/priority")) {
                        label { span { "Priority" } input #priority type="number" name="priority" value=(self.record.priority) min="-1000" max="1000" step="1" required; }
                        button type="submit" { "Set" }
                    }
                    a.button.grave href=(self.path("/cancel")) { "Cancel…" }
                } @else if self.asked.may_delete(&self.record.submitter) {
                    a.button.grave href=(self.path("/delete")) { "Delete…" }
                }
            }
        }
    }
}

/// Calls `make` with the parts of a report.
pub(super) fn with_parts<T>(analysed: &Analysed, material: &Material, make: impl FnOnce(&Parts<'_>) -> T) -> T {
    let report = Report { study: &analysed.study, analysis: &analysed.analysis, material };
    make(&Parts::new(&report))
}

/// Links that choose the metric.
pub(super) fn metrics(context: &SweepContext, path: &str, now: Metric) -> Markup {
    let query = &context.asked.query;
    html! {
        nav.choice aria-label="Metric" {
            span { "Metric" }
            ul { @for metric in Metric::ALL {
                li { a href=(query.with(&[("metric", Some(metric.name())), ("page", None), ("sort", None), ("order", None)]).link(path)) aria-current=[(metric == now).then_some("true")] { (parts::short(metric)) } }
            } }
        }
    }
}

/// The configurations that the query chooses, or else the best ones and the baseline.
pub(super) fn chosen(query: &Query, analysed: &Analysed, best: usize) -> Vec<u32> {
    let chosen = query.chosen();
    if !chosen.is_empty() {
        return chosen.into_iter().filter(|position| analysed.study.subject(*position).is_some()).collect();
    }
    let mut chosen: Vec<u32> =
        analysed.analysis.standings.iter().take(best).map(|standing| standing.position).collect();
    if let Some(baseline) = analysed.study.baseline().map(|subject| subject.position)
        && !chosen.contains(&baseline)
    {
        chosen.push(baseline);
    }
    chosen
}

/// A form that chooses configurations.
pub(super) fn choose(context: &SweepContext, path: &str, analysed: &Analysed, chosen: &[u32]) -> Markup {
    /// The most configurations that the form offers.
    const OFFERED: usize = 200;
    let standings = &analysed.analysis.standings;
    let best = standings.iter().take(OFFERED).map(|standing| standing.position);
    let mut offered: Vec<u32> = chosen.to_vec();
    offered.extend(best.filter(|position| !chosen.contains(position)));
    let name = |position: u32| analysed.study.subject(position).map_or("?", |subject| subject.title()).to_owned();
    html! {
        details.choose #choose {
            summary { "Choose configurations (" (chosen.len()) " of at most " (super::query::MOST_CHOSEN) " shown)" }
            form method="get" action=(path) {
                @for (key, value) in context.asked.query.others(&["chosen", "page"]) { input type="hidden" name=(key) value=(value); }
                ul.choices { @for position in offered {
                    li { label { input type="checkbox" name="chosen" value=(position) checked[chosen.contains(&position)]; " " (name(position)) } }
                } }
                @if standings.len() > OFFERED { p.quiet { "The best " (OFFERED) " are listed here. Choose others on the leaderboard." } }
                button type="submit" { "Show these" }
            }
        }
    }
}

pub(super) async fn overview(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let analysed = context.analysed(&pages, false).await?;
    let material = analysed.as_deref().map(material);
    let body = html! {
        @match &context.sweep {
            Some(status) => (progress::section(&context, status)),
            None => section aria-label="Progress" { (loading("Counting the trials of this sweep.")) },
        }
        @match (&analysed, &material) {
            (Some(analysed), Some(material)) => {
                (with_parts(analysed, material, |parts| answer(&context, analysed, parts)))
                (leaderboard::section(&context, analysed))
            },
            _ => section aria-label="Leaderboard" { (loading("Computing the ranking and the verdicts. They appear here when they are ready.")) },
        }
    };
    Ok(context.respond(Tab::Overview, &body))
}

/// The answer in sentences, with the long part collapsed.
fn answer(context: &SweepContext, analysed: &Analysed, parts: &Parts<'_>) -> Markup {
    if analysed.analysis.comparisons.iter().all(|comparison| comparison.pairs.is_empty()) {
        return html! {};
    }
    html! {
        section.answer #answer aria-labelledby="answer-title" {
            h2 #answer-title { "The answer" @if context.record.state == SweepState::Running { span.quiet { " so far" } } }
            p.lead { (parts.lead()) }
            details #answer-details {
                summary { "What helps, what hurts, and what limits these results" }
                div.prose { (parts.answer()) }
            }
        }
    }
}
