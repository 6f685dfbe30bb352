//! The question of a sweep, its training protocol, the excluded configurations, and the provenance of its results.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use sweep_report::parts::Parts;

use super::{SweepContext, Tab, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::components::loading;
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

/// With more configurations the page omits lists of them.
const MOST_LISTED: usize = 600;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let analysed = context.analysed(&pages, false).await?;
    let body = match analysed.as_deref() {
        Some(analysed) => with_parts(analysed, &material(analysed), |parts| whole(analysed, parts)),
        None => html! { section { (loading("Loading the sweep.")) } },
    };
    Ok(context.respond(Tab::Question, &body))
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
