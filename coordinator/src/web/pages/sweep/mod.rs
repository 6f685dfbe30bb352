//! A sweep: what is asked, where it stands, what it has found. Each part is a page with an address of its own; what is
//! chosen in one part stays chosen in the next.

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
use super::access::Asked;
use super::frame::{Frame, Place};
use super::meanwhile::MOMENT;
use super::query::Query;
use super::refusals::Refusal;
use super::words::{counted, moment, pending, state};
use crate::engine::{Analysed, Status, material};
use crate::service::{Sweeps, sweep_messages};

/// What is chosen in one part and kept in the others.
const KEPT: [&str; 3] = ["chosen", "metric", "where"];

/// A status as programs read it.
pub(super) fn shape(status: &Status) -> Sweep {
    sweep_messages::status(status).into()
}

/// A value of a metric by its name.
pub(super) fn value(metric: &str, value: f64) -> String {
    Metric::named(metric).map_or_else(|| value.to_string(), |metric| parts::unit(metric).value(value))
}

/// Which part of a sweep a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Charts,
    Curves,
    Images,
    Trials,
    Question,
    /// A page below these.
    Below,
}

impl Part {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Overview, "", "Overview"),
        (Self::Charts, "/charts", "Charts"),
        (Self::Curves, "/curves", "Curves"),
        (Self::Images, "/images", "Images"),
        (Self::Trials, "/trials", "Trials"),
        (Self::Question, "/question", "Question"),
    ];
}

/// Everything that the pages of a sweep have in common.
pub(super) struct Sheet {
    pub(super) service: Sweeps,
    pub(super) record: SweepRecord,
    /// Where it stands; absent while that is being counted.
    pub(super) sweep: Option<Sweep>,
    pub(super) asked: Asked,
    /// What is judged, if it is not the sweep's own objective.
    pub(super) metric: Option<Metric>,
    /// Something is still being worked out.
    pub(super) pending: bool,
}

impl Sheet {
    pub(super) async fn of(pages: &Pages, text: &str, asked: Asked) -> Result<Self, Refusal> {
        let service = pages.service()?;
        let id = service.engine.find(text).await?;
        let missing = || crate::engine::Error::not_found(format!("sweep {id}"));
        let record = service.engine.store().sweep(id).await?.ok_or_else(missing)?;
        let (status, is_newest) = pages.meanwhile.status(&service.engine, &record, MOMENT).await?;
        let sweep = status.as_ref().map(shape);
        let metric = asked.query.get("metric").and_then(Metric::named);
        Ok(Self { service, record, pending: !is_newest, sweep, asked, metric })
    }

    pub(super) fn id(&self) -> SweepId {
        self.record.id
    }

    /// The address of a part.
    pub(super) fn path(&self, below: &str) -> String {
        format!("/sweeps/{}{below}", self.record.id)
    }

    /// What the results say, if that is known within a moment.
    pub(super) async fn analysed(&mut self, pages: &Pages, images: bool) -> Result<Option<Arc<Analysed>>, Refusal> {
        let asked = (self.id(), self.metric, images);
        let (found, is_newest) = pages.meanwhile.analysed(&self.service.engine, asked).await?;
        self.pending |= !is_newest;
        Ok(found)
    }

    /// The page.
    pub(super) fn respond(&self, part: Part, body: &Markup) -> Response {
        let record = &self.record;
        let title = match part {
            Part::Overview | Part::Below => record.name.clone(),
            part => {
                let name = Part::ALL.iter().find(|(other, ..)| *other == part).map_or("", |(_, _, name)| *name);
                format!("{name} · {}", record.name)
            }
        };
        let said = self.sweep.as_ref().map_or_else(String::new, |sweep| {
            format!("{}: {}, {}", record.name, sweep.state.name(), counted(&sweep.counts))
        });
        let whole = html! { (self.head(part)) (body) };
        let mut frame = Frame::new(title, Place::Sweeps, whole).saying(said).of(&self.asked);
        if record.state == SweepState::Running {
            frame = frame.live(format!("/api/v1/sweeps/{}/events", record.id), self.pending);
        } else if self.pending {
            frame = frame.live("/events", true);
        }
        frame.respond(StatusCode::OK).into_response()
    }

    /// Name, state, and the way to the other parts.
    fn head(&self, part: Part) -> Markup {
        let record = &self.record;
        let kept = self.asked.query.only(&KEPT);
        let running = record.state == SweepState::Running;
        let shown = self.sweep.as_ref().map(|sweep| sweep.state);
        html! {
            nav.crumbs aria-label="Breadcrumb" { ol {
                li { a href="/" { "Sweeps" } }
                li { @if part == Part::Below { a href=(self.path("")) { (record.name) } } @else { span { "#" (record.id) } } }
            } }
            div.title {
                h1 { (record.name) }
                @if let Some(shown) = shown { (state(shown, record.paused)) }
                p.facts {
                    "Sweep " (record.id)
                    @if !record.submitter.is_empty() { " by " (record.submitter) }
                    ", submitted " (moment(record.submitted_ms))
                    @if record.ended_ms > 0 { ", ended " (moment(record.ended_ms)) }
                    @if record.priority != 0 { ", priority " (record.priority) }
                }
            }
            @if self.asked.may_change && part == Part::Overview { (self.actions(running)) }
            nav.tabs #parts aria-label="Parts of this sweep" { ul {
                @for (other, below, name) in Part::ALL {
                    li { a href=(kept.link(&self.path(below))) aria-current=[(other == part).then_some("page")] { (name) } }
                }
            } }
        }
    }

    /// What can be done to it.
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

/// The parts of a report of an analysis, with what stands beside it.
pub(super) fn with_parts<T>(analysed: &Analysed, material: &Material, make: impl FnOnce(&Parts<'_>) -> T) -> T {
    let report = Report { study: &analysed.study, analysis: &analysed.analysis, material };
    make(&Parts::new(&report))
}

/// Which metric judges, as links.
pub(super) fn metrics(sheet: &Sheet, path: &str, now: Metric) -> Markup {
    let query = &sheet.asked.query;
    html! {
        nav.choice aria-label="Metric" {
            span { "Metric" }
            ul { @for metric in Metric::ALL {
                li { a href=(query.with(&[("metric", Some(metric.name())), ("page", None), ("sort", None), ("order", None)]).link(path)) aria-current=[(metric == now).then_some("true")] { (parts::short(metric)) } }
            } }
        }
    }
}

/// The configurations that are chosen: those of the address, else the best and the baseline.
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

/// A form that chooses configurations for a part.
pub(super) fn choose(sheet: &Sheet, path: &str, analysed: &Analysed, chosen: &[u32]) -> Markup {
    /// Names that one list offers.
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
                @for (key, value) in sheet.asked.query.others(&["chosen", "page"]) { input type="hidden" name=(key) value=(value); }
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
    asked: Asked,
) -> Result<Response, Refusal> {
    let mut sheet = Sheet::of(&pages, &sweep, asked).await?;
    let analysed = sheet.analysed(&pages, false).await?;
    let material = analysed.as_deref().map(material);
    let body = html! {
        @match &sheet.sweep {
            Some(status) => (progress::section(&sheet, status)),
            None => section aria-label="Progress" { (pending("Counting the trials of this sweep.")) },
        }
        @match (&analysed, &material) {
            (Some(analysed), Some(material)) => {
                (with_parts(analysed, material, |parts| answer(&sheet, analysed, parts)))
                (leaderboard::section(&sheet, analysed))
            },
            _ => section aria-label="Leaderboard" { (pending("Computing the ranking and the verdicts. They appear here when they are ready.")) },
        }
    };
    Ok(sheet.respond(Part::Overview, &body))
}

/// The answer in sentences, the long part folded.
fn answer(sheet: &Sheet, analysed: &Analysed, parts: &Parts<'_>) -> Markup {
    if analysed.analysis.comparisons.iter().all(|comparison| comparison.pairs.is_empty()) {
        return html! {};
    }
    html! {
        section.answer #answer aria-labelledby="answer-title" {
            h2 #answer-title { "The answer" @if sheet.record.state == SweepState::Running { span.quiet { " so far" } } }
            p.lead { (parts.lead()) }
            details #answer-details {
                summary { "What helps, what hurts, and what limits these results" }
                div.prose { (parts.answer()) }
            }
        }
    }
}
