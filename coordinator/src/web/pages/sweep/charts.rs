//! The charts of a sweep: every change with its interval, the Pareto chart, parallel coordinates, and the tables of factors.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_report::parts::{self, Links, Parts};
use sweep_spec::levels::{Factor, Level};

use super::{SweepContext, Tab, metrics, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::components::{downloads, empty_state, loading};
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

/// The most changes in one chart.
const MOST_CHANGES: usize = 120;
/// The most marks in the Pareto chart.
const MOST_MARKS: usize = 120;
/// The most lines in the parallel coordinates.
const MOST_LINES: usize = 300;
/// With more configurations the page omits the tables of factors; the API still returns them.
const MOST_FACTORS: usize = 600;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let analysed = context.analysed(&pages, false).await?;
    let body = match analysed.as_deref() {
        Some(analysed) => with_parts(analysed, &material(analysed), |parts| whole(&context, analysed, parts))?,
        None => {
            html! { section { (loading("Computing the charts. They appear here when they are ready.")) } }
        }
    };
    Ok(context.respond(Tab::Charts, &body))
}

fn whole(context: &SweepContext, analysed: &Analysed, parts: &Parts<'_>) -> Result<Markup, sweep_report::Error> {
    let metric = analysed.analysis.metric;
    let board = context.asked.query.only(&["metric"]);
    let overview = context.path("");
    let level =
        |factor: Factor, level: &Level| board.and("where", &format!("{}:{level}", factor.name())).link(&overview);
    let configuration = |position: u32| context.path(&format!("/configurations/{position}"));
    let deltas = parts.deltas(MOST_CHANGES);
    let pareto = parts.pareto(MOST_MARKS)?;
    let parallel = parts.parallel(MOST_LINES, &Links { level: &level, configuration: &configuration });
    let few = analysed.study.subjects.len() <= MOST_FACTORS;
    let tables = [parts.effects(), parts.path(), parts.factors().filter(|_| few)];
    let nothing = deltas.is_none() && pareto.is_none() && parallel.is_none();
    Ok(html! {
        (metrics(context, &context.path("/charts"), metric))
        @if nothing { (empty_state("No charts yet.", &html! { p { "Charts appear when the first trials have ended." } })) }
        @if let Some(deltas) = deltas { (section("deltas", "Every change, with its interval", &deltas)) }
        @if let Some(pareto) = pareto {
            (section("pareto", &format!("{} against parameters", parts::capital(parts::title(metric))), &pareto))
        }
        @if let Some(parallel) = parallel { (section("parallel", "Parallel coordinates", &parallel)) }
        @for (index, table) in tables.into_iter().enumerate() {
            @if let Some(table) = table {
                (section(["effects", "path", "factors"][index.min(2)], ["Effects and interactions", "The path through the stages", "Factor by factor"][index.min(2)], &table))
            }
        }
        @if !nothing {
            p.under { (downloads(&format!("/api/v1{}/analysis?metric={}", context.path(""), metric.name()), "every comparison")) }
        }
    })
}

fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! { section id=(id) aria-labelledby={ (id) "-title" } { h2 id={ (id) "-title" } { (title) } (body) } }
}
