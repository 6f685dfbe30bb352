//! What a sweep asks, how it trains, what was left out, and where its numbers come from.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_report::parts::Parts;

use super::{Part, Sheet, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::access::Asked;
use crate::web::pages::refusals::Refusal;
use crate::web::pages::words::pending;

/// With more configurations, lists of them are for programs.
const MOST_LISTED: usize = 600;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: Asked,
) -> Result<Response, Refusal> {
    let mut sheet = Sheet::of(&pages, &sweep, asked).await?;
    let analysed = sheet.analysed(&pages, false).await?;
    let body = match analysed.as_deref() {
        Some(analysed) => with_parts(analysed, &material(analysed), |parts| whole(analysed, parts)),
        None => html! { section { (pending("Loading the sweep.")) } },
    };
    Ok(sheet.respond(Part::Question, &body))
}

fn whole(analysed: &Analysed, parts: &Parts<'_>) -> Markup {
    let few = analysed.study.subjects.len() <= MOST_LISTED;
    let sections = [
        ("asked", "The question", Some(parts.question())),
        ("protocol", "The protocol", Some(parts.protocol())),
        ("notes", "Notes", Some(parts.notes())),
        ("undecided", "Undecided comparisons", few.then(|| parts.undecided())),
        ("excluded", "What was excluded, and why", few.then(|| parts.excluded())),
        ("provenance", "Provenance", Some(parts.provenance())),
    ];
    html! {
        div.prose {
            @for (id, title, body) in sections {
                @if let Some(body) = body { section id=(id) aria-labelledby={ (id) "-title" } { h2 id={ (id) "-title" } { (title) } (body) } }
            }
        }
    }
}
