//! The page of a trial: its result, learning curves, attempts, artifacts, and provenance.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use sweep_report::parts::{self, number};
use sweep_shapes::text::{bytes, count, duration};
use sweep_shapes::{Attempt, Detail, Provenance, Settings};
use sweep_spec::trainer::EpochMetrics;
use sweep_store::record::ArtifactRecord;

use super::Pages;
use super::components::{downloads, empty_state, seconds, state_chip, timestamp};
use super::error_page::PageError;
use super::layout::{Layout, NavItem};
use super::request::PageRequest;
use crate::service::Sweeps;

/// The most artifacts in the list.
const LISTED: usize = 50;

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(trial): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let service = pages.service()?;
    let answer = service.trial(&trial).await?;
    let counts = answer.validation.as_ref().map(|validation| validation.confusion.clone()).unwrap_or_default();
    let sweeps = answer.sweeps.clone();
    let detail = Detail::from(answer);
    let id = &detail.trial.trial_id;
    if *id != trial {
        // A prefix of the id redirects to the full id, so each trial has one address.
        return Ok(Redirect::permanent(&format!("/trials/{id}")).into_response());
    }
    let names = sweep_names(&service, &sweeps).await?;
    let (classes, artifacts) = kept(&service, &sweeps, id).await?;
    let body = whole(&detail, (&names, &classes), (&counts, &artifacts))?;
    let running = detail.trial.state == "running" || detail.trial.state == "queued";
    let said = format!("{}, seed {}: {}", detail.trial.configuration, detail.trial.seed, detail.trial.state);
    let mut layout =
        Layout::new(format!("{}, seed {}", detail.trial.configuration, detail.trial.seed), NavItem::Sweeps, body)
            .announcing(said)
            .for_request(&asked);
    if running {
        layout = layout.live("/events", false);
    }
    Ok(layout.respond(StatusCode::OK))
}

async fn sweep_names(service: &Sweeps, sweeps: &[u64]) -> Result<Vec<(u64, String)>, PageError> {
    let mut names = Vec::new();
    for id in sweeps {
        if let Some(record) = service.engine.store().sweep(sweep_scheduler::SweepId(*id)).await? {
            names.push((*id, record.name));
        }
    }
    Ok(names)
}

/// The class names of its data set, and the artifacts of its attempts.
async fn kept(service: &Sweeps, sweeps: &[u64], id: &str) -> Result<(Vec<String>, Vec<ArtifactRecord>), PageError> {
    let store = service.engine.store();
    let Some(newest) = sweeps.last() else { return Ok((Vec::new(), Vec::new())) };
    let newest = sweep_scheduler::SweepId(*newest);
    let classes = match store.sweep(newest).await? {
        Some(record) => match record.pin {
            Some(pin) => store.classes(record.dataset_key, pin).await?,
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let own = |artifact: &ArtifactRecord| artifact.owner.is_some_and(|(_, trial, _)| trial.to_string() == id);
    Ok((classes, store.artifacts(newest).await?.into_iter().filter(own).take(LISTED).collect()))
}

fn whole(
    detail: &Detail,
    (names, classes): (&[(u64, String)], &[String]),
    (counts, artifacts): (&[u32], &[ArtifactRecord]),
) -> Result<Markup, PageError> {
    let trial = &detail.trial;
    let epochs: Vec<EpochMetrics> = detail.points.iter().map(epoch).collect();
    let curves = parts::trial_curves(&epochs, &trial.configuration)?;
    let confusion = parts::trial_confusion(classes, counts, &trial.configuration);
    Ok(html! {
        nav.crumbs aria-label="Breadcrumb" { ol {
            li { a href="/" { "Sweeps" } }
            @for (id, name) in names { li { a href={ "/sweeps/" (id) } { (name) } } }
            li { span { "Trial " (trial.trial_id.get(..8).unwrap_or_default()) } }
        } }
        div.title {
            h1 { (trial.configuration) span.quiet { ", seed " (trial.seed) } }
            (state_chip(trial.outcome.filter(|outcome| *outcome == "diverged").unwrap_or(trial.state)))
            p.facts { code.id { (trial.trial_id) } }
        }
        @if let Some(failure) = &trial.failure { p.warning { strong { (failure.class) } ": " (failure.reason) } }
        @if let Some(why) = &detail.waiting_for { p.warning { "Waiting for: " (why) } }
        @for mark in &detail.reproductions {
            p class=(if mark.same { "facts" } else { "warning" }) {
                "Reproduced by " a href={ "/sweeps/" (mark.sweep) } { "sweep " (mark.sweep) } " in round " (mark.round) ": " (mark.sentence) "."
                @if !mark.same { " The result below is the first one, which sweeps continue to use." }
            }
        }
        (answer(detail))
        section aria-labelledby="curves-title" {
            h2 #curves-title { "Learning curves" }
            @match curves {
                Some(curves) => (curves),
                None => (empty_state("No epochs yet.", &html! { p { "Epochs appear here as the worker reports them." } })),
            }
            (points(detail))
        }
        section aria-labelledby="attempts-title" { h2 #attempts-title { "Attempts" } (attempts(&detail.attempt_records)) }
        @if let Some(confusion) = confusion {
            section aria-labelledby="confusion-title" { h2 #confusion-title { "Confusion matrix" } div.one { (confusion) } }
        }
        section aria-labelledby="settings-title" { h2 #settings-title { "Configuration" } (settings(&trial.settings)) }
        @if !artifacts.is_empty() { section aria-labelledby="artifacts-title" { h2 #artifacts-title { "Artifacts" } (self::artifacts(artifacts)) } }
        @if let Some(provenance) = &trial.provenance {
            section aria-labelledby="provenance-title" { h2 #provenance-title { "Provenance" } (self::provenance(provenance)) }
        }
    })
}

fn epoch(metrics: &sweep_shapes::Metrics) -> EpochMetrics {
    EpochMetrics {
        epoch: metrics.epoch,
        train_loss: metrics.train_loss,
        train_accuracy: metrics.train_accuracy,
        val_loss: metrics.val_loss,
        val_accuracy: metrics.val_accuracy,
        learning_rate: metrics.learning_rate,
        seconds: metrics.seconds,
        images_per_second: metrics.images_per_second,
    }
}

fn answer(detail: &Detail) -> Markup {
    let trial = &detail.trial;
    html! {
        dl.facts {
            @if let Some(reported) = &trial.reported {
                div { dt { "Val. accuracy" } dd { strong { (number::measured(reported.val_accuracy)) } " in epoch " (reported.epoch) } }
                div { dt { "Train accuracy" } dd { (number::measured(reported.train_accuracy)) } }
                div { dt { "Val. loss" } dd { (number::measured(reported.val_loss)) } }
            }
            @if let Some(test) = &trial.test { div { dt { "Test accuracy" } dd { (number::measured(test.accuracy)) } } }
            @if let Some(best) = &detail.best { div { dt { "Best epoch" } dd { (best.epoch) ", with " (number::measured(best.val_accuracy)) } } }
            div { dt { "Parameters" } dd { (count(trial.params)) } }
            @if !trial.stages.is_empty() { div { dt { "Stage" } dd { (trial.stages.join(", ")) } } }
            @if let Some(worker) = &trial.worker { div { dt { "Worker" } dd { (worker) } } }
        }
    }
}

fn points(detail: &Detail) -> Markup {
    html! {
        @if !detail.points.is_empty() {
            details #epochs {
                summary { "Table of all epochs" }
                div.scroll role="group" aria-label="Epochs" tabindex="0" { table {
                    caption.unseen { "Epochs of the trial" }
                    thead { tr {
                        th scope="col" class="number" { "Epoch" } th scope="col" class="number" { "Train loss" }
                        th scope="col" class="number" { "Train accuracy" } th scope="col" class="number" { "Val. loss" }
                        th scope="col" class="number" { "Val. accuracy" } th scope="col" class="number" { "Learning rate" }
                        th scope="col" class="number" { "Time" } th scope="col" class="number" { "Images/s" }
                    } }
                    tbody { @for point in &detail.points { tr {
                        th scope="row" class="number" { (point.epoch) }
                        td.number { (number::measured(point.train_loss)) } td.number { (number::measured(point.train_accuracy)) }
                        td.number { (number::measured(point.val_loss)) } td.number { (number::measured(point.val_accuracy)) }
                        td.number { (number::scientific(point.learning_rate)) } td.number { (seconds(Some(point.seconds))) }
                        td.number { (count(point.images_per_second.max(0.0) as u64)) }
                    } } }
                } }
                (downloads(&format!("/api/v1/trials/{}/points", detail.trial.trial_id), "the epochs"))
            }
        }
    }
}

fn attempts(attempts: &[Attempt]) -> Markup {
    let longest = attempts
        .iter()
        .map(|attempt| attempt.start_seconds.unwrap_or(0.0) + attempt.run_seconds.unwrap_or(0.0))
        .fold(0.0, f64::max);
    html! {
        @if attempts.is_empty() { (empty_state("No attempts yet.", &html! { p { "The trial waits for a free slot." } })) } @else {
            div.scroll role="group" aria-label="Attempts" tabindex="0" { table {
                caption.unseen { "Attempts of the trial" }
                thead { tr {
                    th scope="col" class="number" { "Attempt" } th scope="col" class="text" { "Outcome" }
                    th scope="col" class="text" { "Worker" } th scope="col" class="text" { "Assigned" }
                    th scope="col" class="number" { "Start" } th scope="col" class="number" { "Run" } th scope="col" class="text" { "Phases" }
                } }
                tbody { @for attempt in attempts { tr {
                    th scope="row" class="number" { (attempt.attempt) span.quiet { " round " (attempt.round) } }
                    td.text { (state_chip(&attempt.outcome)) @if let Some(failure) = &attempt.failure { " " span.quiet { (failure.class) ": " (failure.reason) } } }
                    td.text { (attempt.worker) span.quiet { " slot " (attempt.slot) ", " (attempt.device) } }
                    td.text { (timestamp(attempt.assigned_unix_ms)) }
                    td.number { (seconds(attempt.start_seconds)) } td.number { (seconds(attempt.run_seconds)) }
                    td.text { (phases(attempt, longest)) }
                } } }
            } }
            @for attempt in attempts.iter().filter(|attempt| !attempt.log_tail.is_empty()).rev().take(3) {
                details id={ "log-" (attempt.attempt) } {
                    summary { "End of the log of attempt " (attempt.attempt) }
                    pre.log tabindex="0" { (sweep_shapes::text::escape_log(&attempt.log_tail)) }
                }
            }
        }
    }
}

/// A bar of the start time and run time, on the scale of the longest attempt.
fn phases(attempt: &Attempt, longest: f64) -> Markup {
    let (start, run) = (attempt.start_seconds.unwrap_or(0.0), attempt.run_seconds.unwrap_or(0.0));
    let share =
        |seconds: f64| if longest > 0.0 { format!("{:.2}%", 100.0 * seconds / longest) } else { "0%".to_owned() };
    html! {
        svg.bar.phases role="img" aria-label={ "starting " (duration(start)) ", running " (duration(run)) } {
            rect.room width="100%" height="100%" {}
            rect.queued width=(share(start)) height="100%" {}
            rect.succeeded x=(share(start)) width=(share(run)) height="100%" {}
        }
    }
}

fn settings(settings: &Settings) -> Markup {
    html! { dl.settings { @for (path, value) in settings {
        div { dt { (path) } dd { (match value { serde_json::Value::String(text) => text.clone(), other => other.to_string() }) } }
    } } }
}

fn artifacts(artifacts: &[ArtifactRecord]) -> Markup {
    html! { div.scroll role="group" aria-label="Artifacts" tabindex="0" { table {
        caption.unseen { "Artifacts of the trial" }
        thead { tr { th scope="col" class="name" { "Digest" } th scope="col" class="text" { "Kind" } th scope="col" class="number" { "Size" } th scope="col" class="number" { "Attempt" } } }
        tbody { @for artifact in artifacts {
            @let digest = artifact.digest.to_string();
            tr {
                th scope="row" class="name" { a href={ "/api/v1/artifacts/" (digest) } download { code { (digest.get(..16).unwrap_or_default()) "…" } } }
                td.text { (artifact.kind.name()) }
                td.number { (bytes(artifact.size_bytes)) }
                td.number { (artifact.owner.map_or_else(|| "–".to_owned(), |(.., attempt)| attempt.to_string())) }
            }
        } }
    } } }
}

fn provenance(made: &Provenance) -> Markup {
    let origin = &made.origin;
    let known = [
        ("Device", Some(format!("{} ({})", made.device_name, made.device))),
        ("Instruction set", Some(made.instruction_set.clone())),
        ("Threads", (made.threads > 0).then(|| made.threads.to_string())),
        ("Driver", origin.driver.clone()),
        ("Kernel cache", origin.kernel_cache.clone()),
        ("Trainer", Some(made.trainer.clone())),
        ("Worker", origin.worker.clone()),
        ("Worker version", origin.worker_version.clone()),
        ("Machine", origin.host.clone()),
        ("Coordinator version", origin.coordinator_version.clone()),
        ("Time", Some(number::seconds(made.seconds))),
        ("Images a second", Some(count(made.images_per_second.max(0.0) as u64))),
        ("Peak memory", Some(bytes(made.peak_memory_bytes))),
        ("Data", Some(made.data_digest.clone())),
        ("Split", Some(made.split_digest.clone())),
        ("Protocol", origin.protocol_digest.clone()),
        ("First requested by sweep", origin.sweep.map(|sweep| sweep.to_string())),
        ("Spec of that sweep", origin.spec_digest.clone()),
        ("Revision", origin.revision.clone()),
    ];
    html! { dl.settings { @for (key, value) in known.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).filter(|(_, value)| !value.is_empty()) {
        div { dt { (key) } dd { (value) } }
    } } }
}
