//! The page of one configuration: its levels, its results by seed, its comparisons, its learning curves.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_analysis::leaderboard::leaderboard;
use sweep_analysis::resolve::resolve;
use sweep_analysis::study::{Replicate, State as TrialState, Subject};
use sweep_report::Curve;
use sweep_report::parts::{self, Parts, number};
use sweep_spec::Outcome;

use super::{SweepContext, Tab, curves, with_parts};
use crate::engine::{Analysed, Error, material};
use crate::web::pages::Pages;
use crate::web::pages::components::{loading, state_chip, verdict};
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path((sweep, position)): Path<(String, String)>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let Some(analysed) = context.analysed(&pages, false).await? else {
        let body = html! { section { (loading("Loading the results.")) } };
        return Ok(context.respond(Tab::Below, &body));
    };
    let subject = named(&analysed, &position)?;
    let number = subject.position;
    let mut material = material(&analysed);
    let mut wanted = vec![number];
    wanted.extend(analysed.study.baseline().map(|baseline| baseline.position).filter(|baseline| *baseline != number));
    material.curves = curves::of(&context.service.engine, context.id(), &wanted).await?;
    let own: Vec<Curve> = material.curves.iter().filter(|curve| curve.position == number).cloned().collect();
    let body = with_parts(&analysed, &material, |parts| whole(&context, &analysed, (subject, parts, &own)))?;
    Ok(context.respond(Tab::Below, &body))
}

/// The configuration at a position of the plan, or with this name.
fn named<'a>(analysed: &'a Analysed, text: &str) -> Result<&'a Subject, Error> {
    let study = &analysed.study;
    if let Some(subject) = text.parse().ok().and_then(|position| study.subject(position)) {
        return Ok(subject);
    }
    let position = resolve(study, &leaderboard(study, Some(analysed.analysis.metric)), text)?;
    study.subject(position).ok_or_else(|| Error::not_found(format!("configuration {text}")))
}

fn whole(
    context: &SweepContext,
    analysed: &Analysed,
    (subject, parts, curves): (&Subject, &Parts<'_>, &[Curve]),
) -> Result<Markup, sweep_report::Error> {
    let metric = analysed.analysis.metric;
    let standing = analysed.analysis.standings.iter().find(|standing| standing.position == subject.position);
    let epochs: Vec<_> = curves.iter().map(|curve| curve.epochs.as_slice()).collect();
    let chosen = [subject.position].into_iter().chain(analysed.study.baseline().map(|baseline| baseline.position));
    let chosen = chosen.map(|position| position.to_string()).collect::<Vec<_>>().join(",");
    let images = format!("{}?chosen={chosen}", context.path("/images"));
    Ok(html! {
        section aria-labelledby="configuration-title" {
            h2 #configuration-title { (subject.title()) @if subject.baseline { span.quiet { " baseline" } } }
            dl.facts {
                @if let Some(rank) = standing.and_then(|standing| standing.rank) { div { dt { "Rank" } dd { (rank) } } }
                div { dt { (parts::short(metric)) } dd { (parts::unit(metric).estimate(standing.and_then(|standing| standing.value))) } }
                div { dt { "Parameters" } dd { (number::count(subject.params)) } }
                div { dt { "FLOPs" } dd { (number::si(subject.flops)) } }
                div { dt { "Time per trial" } dd { (subject.seconds().map_or_else(|| "–".to_owned(), |seconds| number::seconds(seconds.mean))) } }
                div { dt { "Family" } dd { (subject.configuration.family().name()) } }
                @for (factor, level) in subject.configuration.levels() { div { dt { (factor.name()) } dd { (level.to_string()) } } }
            }
            p { a href=(images) { "Confusion matrix beside the baseline’s" } }
        }
        (comparisons(analysed, subject, parts))
        section aria-labelledby="seeds-title" {
            h2 #seeds-title { "Seed by seed" }
            (seeds(analysed, subject))
        }
        @if !epochs.is_empty() {
            section aria-labelledby="curves-title" {
                h2 #curves-title { "Learning curves" }
                (parts.curves()?.unwrap_or_default())
            }
        }
    })
}

fn comparisons(analysed: &Analysed, subject: &Subject, parts: &Parts<'_>) -> Markup {
    let own = analysed.analysis.comparisons.iter().filter(|comparison| comparison.position == subject.position);
    let own: Vec<_> = own.collect();
    let unit = parts::unit(analysed.analysis.metric);
    html! {
        @if !own.is_empty() {
            section aria-labelledby="compared-title" {
                h2 #compared-title { "Compared" }
                div.scroll role="group" aria-label="Comparisons" tabindex="0" { table.cards {
                    caption { span.quiet { "Δ: difference in " (parts::title(analysed.analysis.metric)) " from the reference in the first column" } }
                    thead { tr {
                        th scope="col" class="name" { "Compared with" } th scope="col" class="number" { "Pairs" }
                        th scope="col" class="number" { "Δ" } th scope="col" class="number" { "95 % interval" }
                        th scope="col" class="number" { "p" } th scope="col" class="text" { "Verdict" }
                    } }
                    tbody { @for one in own { tr {
                        th scope="row" class="name" { (parts.place(one)) }
                        td.number data-label="Pairs" { (one.pairs.len()) }
                        td.number.difference data-label="Δ" { (one.delta.map_or_else(|| "–".to_owned(), |delta| unit.delta(delta))) }
                        td.number data-label="95 % interval" { (unit.interval(one.t_interval.or(one.bca_interval))) }
                        td.number data-label="p" { (number::p(one.adjusted_p)) }
                        td.text { (verdict(one)) @if !one.remark.is_empty() { " " span.quiet { (one.remark) } } }
                    } } }
                } }
            }
        }
    }
}

fn state(replicate: &Replicate) -> &'static str {
    match (&replicate.state, &replicate.answer) {
        (TrialState::Queued, _) => "queued",
        (TrialState::Running, _) => "running",
        (TrialState::Succeeded, Some(answer)) if answer.outcome == Outcome::Diverged => "diverged",
        (TrialState::Succeeded, _) => "succeeded",
        (TrialState::Failed(_), _) => "failed",
        (TrialState::Cancelled, _) => "cancelled",
    }
}

fn seeds(analysed: &Analysed, subject: &Subject) -> Markup {
    let reported = |replicate: &Replicate| {
        replicate.answer.as_ref().and_then(|answer| answer.reported(&analysed.study.spec)).copied()
    };
    html! {
        div.scroll role="group" aria-label="Trials by seed" tabindex="0" { table {
            caption.unseen { "Trials of this configuration" }
            thead { tr {
                th scope="col" class="name" { "Trial" } th scope="col" class="text" { "State" }
                th scope="col" class="number" { "Val. accuracy" } th scope="col" class="number" { "Val. loss" }
                th scope="col" class="number" { "Train accuracy" } th scope="col" class="number" { "Time" }
            } }
            tbody { @for replicate in &subject.replicates { tr {
                th scope="row" class="name" { a href={ "/trials/" (replicate.trial) } { "seed " (replicate.seed) }
                    @if replicate.noise { span.quiet { " for the noise floor" } }
                    @if replicate.reused { span.quiet { " reused" } } }
                td.text { (state_chip(state(replicate))) @if let TrialState::Failed(why) = &replicate.state { " " span.quiet { (why) } } }
                @match reported(replicate) {
                    Some(epoch) => {
                        td.number { (number::measured(epoch.val_accuracy)) } td.number { (number::measured(epoch.val_loss)) }
                        td.number { (number::measured(epoch.train_accuracy)) }
                    },
                    None => { td.number { "–" } td.number { "–" } td.number { "–" } }
                }
                td.number { (replicate.answer.as_ref().map_or_else(|| "–".to_owned(), |answer| number::seconds(answer.seconds))) }
            } } }
        } }
    }
}
