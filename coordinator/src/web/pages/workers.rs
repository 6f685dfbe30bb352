//! The page of all workers, with their slots and running trials.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use sweep_shapes::text::{ago, bytes, count, plural};
use sweep_shapes::{Slot, Worker};

use super::Pages;
use super::components::{downloads, empty_state, state_chip};
use super::error_page::PageError;
use super::layout::{Layout, NavItem};
use super::query::part;
use super::request::PageRequest;
use crate::engine::Running;

/// The running trials by worker and slot.
type Busy = HashMap<(String, u32), Running>;

pub(super) async fn page(State(pages): State<Pages>, asked: PageRequest) -> Result<Response, PageError> {
    let service = pages.service()?;
    let all = service.workers().await?.workers.into_iter().map(Worker::from).collect::<Vec<_>>();
    let running = service.engine.gauges().await?.running;
    let running: Busy = running.into_iter().map(|running| ((running.worker.clone(), running.slot), running)).collect();
    let lost_too = asked.query.is_on("lost");
    let searched = asked.query.searched();
    let lost = all.iter().filter(|worker| worker.state == "lost").count();
    let is_shown = |worker: &&Worker| {
        (lost_too || worker.state != "lost")
            && (searched.is_empty() || format!("{} {}", worker.name, worker.host).to_lowercase().contains(&searched))
    };
    let mut shown: Vec<&Worker> = all.iter().filter(is_shown).collect();
    shown.sort_by(|a, b| (a.state == "lost", &a.name).cmp(&(b.state == "lost", &b.name)));
    let connected = || all.iter().filter(|worker| worker.state != "lost");
    let slots = || connected().flat_map(|worker| &worker.slots);
    let (busy, total) = (slots().filter(|slot| slot.trial_id.is_some()).count(), slots().count());
    let rate: f64 = running.values().filter_map(|running| running.newest).map(|newest| newest.images_per_second).sum();
    let body = html! {
        div.title {
            h1 { "Workers" }
            p.facts {
                strong { (plural(connected().count() as u64, "worker")) } " connected · "
                strong { (busy) " of " (total) } " slots busy"
                @if total > 0 { " (" (busy * 100 / total) " %)" }
                @if rate > 0.0 { " · " strong { (count(rate as u64)) } " images a second" }
            }
        }
        @if all.is_empty() { (no_workers()) } @else {
            form.filter #filter method="get" action="/workers" role="search" aria-label="Filter workers" {
                label { span { "Name or machine" } input #filter-q type="search" name="q" value=[asked.query.get("q")] maxlength="200" autocomplete="off"; }
                label.check { input #filter-lost type="checkbox" name="lost" value="1" checked[lost_too]; span { "include lost workers (" (lost) ")" } }
                button type="submit" { "Show" }
            }
            @if shown.is_empty() { (empty_state("No worker matches.", &html! { p { a href="/workers?lost=1" { "Show all " (all.len()) } } })) }
            div.workers { @for worker in shown { (one(worker, &running, asked.may_serve)) } }
            div.under { (downloads("/api/v1/workers", "all workers")) }
        }
    };
    let said = format!("{busy} of {total} slots busy");
    Ok(Layout::new("Workers", NavItem::Workers, body)
        .live("/events", false)
        .announcing(said)
        .for_request(&asked)
        .respond(StatusCode::OK))
}

fn no_workers() -> Markup {
    empty_state(
        "No worker has connected yet.",
        &html! {
            p { "Workers train the trials of sweeps. Start one on each machine with GPUs, or on this machine:" }
            pre tabindex="0" { code { "sweepctl worker" } }
            p { "A worker connects to the coordinator. It needs the coordinator’s address and no open port of its own." }
        },
    )
}

fn one(worker: &Worker, running: &Busy, may_change: bool) -> Markup {
    let busy = worker.slots.iter().filter(|slot| slot.trial_id.is_some()).count();
    let path = format!("/workers/{}", part(&worker.name));
    html! {
        article.worker id={ "worker-" (worker.name) } aria-label={ "Worker " (worker.name) } {
            header {
                h2 { (worker.name) }
                (state_chip(&worker.state))
                p.quiet {
                    @if worker.host != worker.name { (worker.host) " · " }
                    "version " (worker.version) " · seen " (ago(worker.last_seen_unix_ms)) " · "
                    (busy) " of " (plural(worker.slots.len() as u64, "slot")) " busy"
                    @if !worker.labels.is_empty() { " · " (worker.labels_text()) }
                }
                @if let Some(why) = &worker.out_of_service {
                    p.warning { (why) @if let Some(remedy) = &worker.remedy { ": " (remedy) } }
                }
                @for one in &worker.left_out { p.warning { "Sweep " (one.sweep) " assigns it no trials: " (one.reason) } }
                @if may_change && worker.state != "lost" { (changes(worker, &path)) }
            }
            @if !worker.slots.is_empty() {
                div.scroll role="group" aria-label={ "Slots of " (worker.name) } tabindex="0" { table {
                    caption.unseen { "Slots of " (worker.name) }
                    thead { tr {
                        th scope="col" class="number" { "Slot" } th scope="col" class="text" { "Device" }
                        th scope="col" class="name" { "Trial" } th scope="col" class="text" { "Epoch" } th scope="col" class="number" { "Images/s" }
                    } }
                    tbody { @for slot in &worker.slots { (self::slot(slot, running.get(&(worker.name.clone(), slot.index)))) } }
                } }
            }
        }
    }
}

/// The buttons that change a worker.
fn changes(worker: &Worker, path: &str) -> Markup {
    let name = html! { span.unseen { " " (worker.name) } };
    html! {
        div.actions {
            @if worker.state == "connected" {
                form method="post" action={ (path) "/suspend" } { button type="submit" title="The worker takes no new trials until it is put back; its running trials continue" { "Suspend" (name) } }
            } @else {
                form method="post" action={ (path) "/resume" } { button type="submit" { "Put back into service" (name) } }
            }
            @if worker.state != "draining" { a.button href={ (path) "/drain" } { "Drain…" (name) } }
        }
    }
}

fn slot(slot: &Slot, running: Option<&Running>) -> Markup {
    let newest = running.and_then(|running| running.newest);
    html! {
        tr {
            th scope="row" class="number" { (slot.index) }
            td.text { (slot.device_name) span.quiet { " " (slot.device) @if let Some(memory) = slot.memory_bytes { ", " (bytes(memory)) } } }
            @match &slot.trial_id {
                Some(trial) => {
                    td.name {
                        a href={ "/trials/" (trial) } { (slot.configuration.as_deref().unwrap_or("a trial")) }
                        @if let Some(running) = running { span.quiet { " seed " (running.seed) } }
                        @if let Some(sweep) = slot.sweep { span.quiet { " of " a href={ "/sweeps/" (sweep) } { "sweep " (sweep) } } }
                    }
                    td.text {
                        @if let Some(running) = running {
                            @let epoch = newest.map_or(0, |newest| newest.epoch);
                            @let share = 100.0 * f64::from(epoch) / f64::from(running.epochs.max(1));
                            svg.bar.small aria-hidden="true" { rect.room width="100%" height="100%" {} rect.running width={ (format!("{share:.1}")) "%" } height="100%" {} }
                            (epoch) " of " (running.epochs)
                        }
                    }
                    td.number { (newest.map_or_else(|| "–".to_owned(), |newest| count(newest.images_per_second.max(0.0) as u64))) }
                },
                None => { td.name { span.quiet { "free" } } td.text { "–" } td.number { "–" } }
            }
        }
    }
}
