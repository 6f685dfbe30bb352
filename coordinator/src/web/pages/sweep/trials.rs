//! The trials of a sweep in the order of its spec, optionally of one state.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_proto::v1;
use sweep_report::parts::number;
use sweep_shapes::Summary;

use super::{SweepContext, Tab};
use crate::web::pages::Pages;
use crate::web::pages::components::{empty_state, long_download, state_chip};
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

/// Trials of one page.
const SIZE: u32 = 100;
const STATES: [(&str, v1::TrialState); 5] = [
    ("queued", v1::TrialState::Queued),
    ("running", v1::TrialState::Running),
    ("succeeded", v1::TrialState::Succeeded),
    ("failed", v1::TrialState::Failed),
    ("cancelled", v1::TrialState::Cancelled),
];

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let context = SweepContext::of(&pages, &sweep, asked).await?;
    let query = &context.asked.query;
    let state = query.get("state").and_then(|word| STATES.into_iter().find(|(name, _)| *name == word));
    let request = v1::ListTrialsRequest {
        sweep: Some(v1::SweepReference { text: context.record.id.to_string() }),
        page_size: SIZE,
        page_token: query.get("after").unwrap_or_default().to_owned(),
        states: state.map(|(_, state)| state.into()).into_iter().collect(),
        ..v1::ListTrialsRequest::default()
    };
    let answer = context.service.trials(request).await?;
    let file = context.asked.query.only(&["state"]).link(&format!("/api/v1{}/trials", context.path("")));
    let body = html! {
        section aria-labelledby="trials-title" {
            h2 #trials-title { "Trials" }
            (states(&context))
            @let next = answer.next_page_token;
            @let rows: Vec<Summary> = answer.trials.into_iter().map(Summary::from).collect();
            @if rows.is_empty() { (empty_state("No trial is in this state.", &html! { p { "Trials appear when their stage starts." } })) }
            @else { (table(&rows)) }
            div.under {
                @if !next.is_empty() || context.asked.query.get("after").is_some() {
                    nav.pages aria-label="Pages of the table" { ul {
                        @if context.asked.query.get("after").is_some() { li { a href=(context.asked.query.with(&[("after", None)]).link(&context.path("/trials"))) { "First" } } }
                        @if !next.is_empty() { li { a href=(context.asked.query.with(&[("after", Some(&next))]).link(&context.path("/trials"))) rel="next" { "Next" } } }
                    } }
                }
                (long_download(&file, "the trials"))
            }
        }
    };
    Ok(context.respond(Tab::Trials, &body))
}

fn states(context: &SweepContext) -> Markup {
    let path = context.path("/trials");
    let now = context.asked.query.get("state").unwrap_or_default();
    let counts = context.sweep.as_ref().map(|sweep| sweep.counts);
    let of = |name: &str| {
        counts.map(|counts| match name {
            "queued" => counts.queued,
            "running" => counts.running,
            "succeeded" => counts.succeeded,
            "failed" => counts.failed,
            _ => counts.cancelled,
        })
    };
    html! {
        nav.choice aria-label="State of the trials" { span { "State" } ul {
            li { a href=(path) aria-current=[now.is_empty().then_some("true")] { "any" } }
            @for (name, _) in STATES {
                li { a href={ (path) "?state=" (name) } aria-current=[(now == name).then_some("true")] { (name) @if let Some(count) = of(name) { span.quiet { " " (count) } } } }
            }
        } }
    }
}

fn table(rows: &[Summary]) -> Markup {
    html! {
        div.scroll role="group" aria-label="Trials" tabindex="0" { table #trials {
            caption.unseen { "Trials of the sweep" }
            thead { tr {
                th scope="col" class="name" { "Trial" } th scope="col" class="text" { "State" }
                th scope="col" class="number" { "Val. accuracy" } th scope="col" class="number" { "Val. loss" }
                th scope="col" class="number" { "Attempts" } th scope="col" class="text" { "Worker" } th scope="col" class="text" { "Stage" }
            } }
            tbody { @for row in rows { tr id={ "trial-" (row.trial_id) } {
                th scope="row" class="name" { a href={ "/trials/" (row.trial_id) } { (row.configuration) } span.quiet { " seed " (row.seed) } }
                td.text {
                    (state_chip(row.outcome.filter(|outcome| *outcome == "diverged").unwrap_or(row.state)))
                    @if let Some(failure) = &row.failure { " " span.quiet { (failure.class) ": " (failure.reason) } }
                }
                td.number { (row.reported.map_or_else(|| "–".to_owned(), |epoch| number::measured(epoch.val_accuracy))) }
                td.number { (row.reported.map_or_else(|| "–".to_owned(), |epoch| number::measured(epoch.val_loss))) }
                td.number { (row.attempts) }
                td.text { (row.worker.as_deref().unwrap_or("–")) }
                td.text { (row.stages.join(", ")) }
            } } }
        } }
    }
}
