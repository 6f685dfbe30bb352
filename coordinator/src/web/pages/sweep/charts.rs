//! Charts of a sweep: every change with its interval, what is gained against what it costs, parallel coordinates, and the
//! tables of factors.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_report::parts::{self, Links, Parts};
use sweep_spec::levels::{Factor, Level};

use super::{Part, Sheet, metrics, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::access::Asked;
use crate::web::pages::refusals::Refusal;
use crate::web::pages::words::{downloads, empty, pending};

/// Changes that one chart shows.
const MOST_CHANGES: usize = 120;
/// Marks of the Pareto chart.
const MOST_MARKS: usize = 120;
/// Lines of the parallel coordinates.
const MOST_LINES: usize = 300;
/// With more configurations, tables of factors are for programs.
const MOST_FACTORS: usize = 600;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: Asked,
) -> Result<Response, Refusal> {
    let mut sheet = Sheet::of(&pages, &sweep, asked).await?;
    let analysed = sheet.analysed(&pages, false).await?;
    let body = match analysed.as_deref() {
        Some(analysed) => with_parts(analysed, &material(analysed), |parts| whole(&sheet, analysed, parts))?,
        None => {
            html! { section { (pending("Computing the charts. They appear here when they are ready.")) } }
        }
    };
    Ok(sheet.respond(Part::Charts, &body))
}

fn whole(sheet: &Sheet, analysed: &Analysed, parts: &Parts<'_>) -> Result<Markup, sweep_report::Error> {
    let metric = analysed.analysis.metric;
    let board = sheet.asked.query.only(&["metric"]);
    let overview = sheet.path("");
    let level =
        |factor: Factor, level: &Level| board.and("where", &format!("{}:{level}", factor.name())).link(&overview);
    let configuration = |position: u32| sheet.path(&format!("/configurations/{position}"));
    let deltas = parts.deltas(MOST_CHANGES);
    let pareto = parts.pareto(MOST_MARKS)?;
    let parallel = parts.parallel(MOST_LINES, &Links { level: &level, configuration: &configuration });
    let few = analysed.study.subjects.len() <= MOST_FACTORS;
    let tables = [parts.effects(), parts.path(), parts.factors().filter(|_| few)];
    let nothing = deltas.is_none() && pareto.is_none() && parallel.is_none();
    Ok(html! {
        (metrics(sheet, &sheet.path("/charts"), metric))
        @if nothing { (empty("No charts yet.", &html! { p { "Charts appear when the first trials have ended." } })) }
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
            p.under { (downloads(&format!("/api/v1{}/analysis?metric={}", sheet.path(""), metric.name()), "every comparison")) }
        }
    })
}

fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! { section id=(id) aria-labelledby={ (id) "-title" } { h2 id={ (id) "-title" } { (title) } (body) } }
}
