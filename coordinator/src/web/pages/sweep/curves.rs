//! The learning curves of chosen configurations, in one chart and in a chart for each. Curves of running trials grow.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_report::Curve;
use sweep_report::parts::{Parts, Which};
use sweep_scheduler::SweepId;
use sweep_store::record::TrialPage;

use super::{SweepContext, Tab, choose, chosen, with_parts};
use crate::engine::{Analysed, Error, Handle, material};
use crate::web::pages::Pages;
use crate::web::pages::components::{empty_state, loading};
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

/// The most trials of a configuration in a chart.
const MOST_SEEDS: u32 = 256;
/// The number of best configurations that are shown by default, beside the baseline.
const BEST: usize = 5;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let Some(analysed) = context.analysed(&pages, false).await? else {
        let body = html! { section { (loading("Computing the ranking. The curves of the best configurations appear when it is ready.")) } };
        return Ok(context.respond(Tab::Curves, &body));
    };
    let positions = chosen(&context.asked.query, &analysed, BEST);
    let mut material = material(&analysed);
    material.curves = of(&context.service.engine, context.id(), &positions).await?;
    let body =
        with_parts(&analysed, &material, |parts| whole(&context, &analysed, (parts, &positions, &material.curves)))?;
    Ok(context.respond(Tab::Curves, &body))
}

fn whole(
    context: &SweepContext,
    analysed: &Analysed,
    (parts, positions, curves): (&Parts<'_>, &[u32], &[Curve]),
) -> Result<Markup, sweep_report::Error> {
    let path = context.path("/curves");
    let asked = context.asked.query.get("curve");
    let which = Which::ALL.into_iter().find(|which| asked == Some(which.name())).unwrap_or(Which::ValAccuracy);
    let overlay = parts.overlay(positions, which)?;
    let each = parts.curves()?;
    Ok(html! {
        section aria-labelledby="overlay-title" {
            h2 #overlay-title { "Learning curves" }
            (choose(context, &path, analysed, positions))
            nav.choice aria-label="Which curve" {
                span { "Curve" }
                ul { @for other in Which::ALL {
                    li { a href=(context.asked.query.with(&[("curve", Some(other.name()))]).link(&path)) aria-current=[(other == which).then_some("true")] { (other.title()) } }
                } }
            }
            @match overlay {
                Some(overlay) => (overlay),
                None => (empty_state("No epochs of these configurations yet.", &html! { p { "Curves appear when a trial has reported its first epoch." } })),
            }
            (trials(analysed, positions, curves))
        }
        @if let Some(each) = each {
            section aria-labelledby="each-title" { h2 #each-title { "Each configuration" } (each) }
        }
    })
}

/// The trials behind the lines.
fn trials(analysed: &Analysed, positions: &[u32], curves: &[Curve]) -> Markup {
    let subjects = positions.iter().filter_map(|position| analysed.study.subject(*position));
    html! {
        details #curve-trials {
            summary { "Trials in this chart" }
            div.scroll role="group" aria-label="Trials in this chart" tabindex="0" { table {
                caption.unseen { "Trials in this chart" }
                thead { tr { th scope="col" class="name" { "Configuration" } th scope="col" class="text" { "Trials, by seed" } } }
                tbody { @for subject in subjects { tr {
                    th scope="row" class="name" { (subject.title()) }
                    td.text { @for replicate in subject.own() {
                        @let epochs = curves.iter().find(|curve| curve.position == subject.position && curve.seed == replicate.seed).map_or(0, |curve| curve.epochs.len());
                        a href={ "/trials/" (replicate.trial) } { "seed " (replicate.seed) } span.quiet { " (" (epochs) " epochs)" } " "
                    } }
                } } }
            } }
        }
    }
}

/// The epochs of the trials of these configurations, including running trials.
pub(super) async fn of(engine: &Handle, sweep: SweepId, positions: &[u32]) -> Result<Vec<Curve>, Error> {
    let store = engine.store();
    let mut curves = Vec::new();
    for &position in positions {
        let after = position.checked_sub(1).map(|before| (before, i64::MAX as u64));
        let page = TrialPage { after, ..TrialPage::first(sweep, MOST_SEEDS) };
        for row in store.trials(&page).await?.into_iter().filter(|row| row.configuration == position) {
            let Some((_, key)) = row.newest else { continue };
            let epochs = store.points(key).await?.into_iter().map(|point| point.metrics).collect::<Vec<_>>();
            if !epochs.is_empty() {
                curves.push(Curve { position, seed: row.seed, epochs });
            }
        }
    }
    Ok(curves)
}
