//! The progress of a sweep: ended trials by stage, the expected time left, and the running trials.

use maud::{Markup, html};
use sweep_report::parts::number;
use sweep_shapes::text::{count, duration};
use sweep_shapes::{Prediction, Sweep};

use super::SweepContext;
use crate::web::pages::components::{bar, count_summary, percent};

/// The most running trials in the list.
const LISTED: usize = 16;

pub(super) fn section(context: &SweepContext, sweep: &Sweep) -> Markup {
    html! {
        section.progress #progress aria-labelledby="progress-title" {
            h2 #progress-title { "Progress" }
            div.whole {
                p.share { strong { (percent(&sweep.counts)) } " %" }
                div { (bar(&sweep.counts)) p { (count_summary(&sweep.counts)) } }
            }
            @if let Some(reason) = &sweep.reason { p.warning { (reason) } }
            (facts(sweep))
            @if !sweep.waiting_for.is_empty() {
                div.warning {
                    @if sweep.counts.running == 0 { p { "No trial is running. The sweep waits for:" } }
                    ul { @for why in &sweep.waiting_for { li { (why) } } }
                    @if sweep.held_back.is_some() { p { "Fix the cause, then resume the sweep. Retry the failed trials to run them again too." } }
                }
            }
            @if !sweep.out_of_service.is_empty() {
                div.warning { ul { @for absent in &sweep.out_of_service { li { (absent) } } } }
            }
            (stages(sweep))
            (running(context, sweep))
        }
    }
}

fn about(prediction: &Prediction) -> Markup {
    html! {
        "about " strong { (duration(prediction.expected)) }
        span.quiet { " (" (duration(prediction.low)) " to " (duration(prediction.high)) ")" }
    }
}

fn facts(sweep: &Sweep) -> Markup {
    let cost = sweep.cost.as_ref();
    let end = cost.and_then(|cost| cost.end_seconds.as_ref()).filter(|_| !sweep.state.has_ended());
    html! {
        dl.facts {
            @if let Some(end) = end { div { dt { "Time left" } dd { (about(end)) } } }
            @else if !sweep.state.has_ended() { div { dt { "Time left" } dd { span.quiet { "unknown until the first trials have ended" } } } }
            @if let Some(best) = &sweep.best {
                div { dt { @if sweep.state.has_ended() { "Best" } @else { "Best so far" } } dd { strong { (super::value(&best.metric, best.value)) } " " (best.configuration) } }
            }
            div { dt { "Epochs" } dd { (count(sweep.epochs_done)) " of " (count(sweep.epochs_total)) } }
            @if let Some(cost) = cost {
                div { dt { "Slot time" } dd {
                    (duration(cost.spent_slot_seconds)) " spent"
                    @if let Some(left) = &cost.left_slot_seconds { @if !sweep.state.has_ended() { ", " (about(left)) " to come" } }
                    @if let Some(budget) = &cost.budget { ", budget " (budget) }
                } }
                @if cost.left_out_trials > 0 { div { dt { "Left out" } dd { (count(cost.left_out_trials)) " trials that do not fit the budget" } } }
                @if !cost.left_out_seeds.is_empty() {
                    div { dt { "Seeds left out" } dd { (cost.left_out_seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")) " to stay within the budget" } }
                }
            }
        }
    }
}

fn stages(sweep: &Sweep) -> Markup {
    let chose = sweep.stages.iter().any(|stage| stage.choice.is_some());
    html! {
        @if sweep.stages.len() > 1 || chose {
            div.scroll role="group" aria-label="Progress by stage" tabindex="0" {
                table.stages {
                    caption { "By stage" }
                    thead { tr {
                        th scope="col" class="name" { "Stage" }
                        th scope="col" class="text" { "Progress" }
                        @if chose { th scope="col" class="text" { "Choice" } }
                    } }
                    tbody { @for stage in &sweep.stages { tr {
                        th scope="row" class="name" { (stage.name) }
                        td class="text progress" {
                            (bar(&stage.counts))
                            span.under-bar { (percent(&stage.counts)) " % · " span.quiet { (count_summary(&stage.counts)) } }
                        }
                        @if chose { td.text { (stage.choice.as_deref().unwrap_or("–")) } }
                    } } }
                }
            }
        }
    }
}

fn running(context: &SweepContext, sweep: &Sweep) -> Markup {
    html! {
        @if !sweep.running.is_empty() {
            div.scroll role="group" aria-label="Running now" tabindex="0" {
                table.running #running {
                    caption { "Running now" }
                    thead { tr {
                        th scope="col" class="name" { "Trial" }
                        th scope="col" class="text" { "Epoch" }
                        th scope="col" class="number" { "Val. accuracy" }
                        th scope="col" class="number" { "Images/s" }
                        th scope="col" class="text" { "Worker" }
                    } }
                    tbody { @for trial in sweep.running.iter().take(LISTED) { (one(trial)) } }
                }
            }
            @if sweep.running.len() > LISTED {
                p { a href={ (context.path("/trials")) "?state=running" } { "All " (sweep.counts.running) " running trials" } }
            }
        }
    }
}

fn one(trial: &sweep_shapes::Running) -> Markup {
    let epoch = trial.newest.as_ref().map_or(0, |newest| newest.epoch);
    let share = if trial.epochs == 0 { 0.0 } else { 100.0 * f64::from(epoch) / f64::from(trial.epochs) };
    html! {
        tr id={ "running-" (trial.trial_id) } {
            th scope="row" class="name" { a href={ "/trials/" (trial.trial_id) } { (trial.configuration) } span.quiet { " seed " (trial.seed) } }
            td.text {
                svg.bar.small aria-hidden="true" { rect.room width="100%" height="100%" {} rect.running width={ (format!("{share:.1}")) "%" } height="100%" {} }
                (epoch) " of " (trial.epochs)
            }
            @match &trial.newest {
                Some(newest) => {
                    td.number { (number::measured(newest.val_accuracy)) }
                    td.number { (count(newest.images_per_second.max(0.0) as u64)) }
                },
                None => { td.number { "–" } td.number { "–" } }
            }
            td.text { (trial.worker) span.quiet { " slot " (trial.slot) @if trial.attempt > 1 { ", attempt " (trial.attempt) } } }
        }
    }
}
