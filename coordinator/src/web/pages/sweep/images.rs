//! Predictions of single images: confusion matrices side by side, the most confused pairs of classes, and the images that most
//! configurations misclassify.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use sweep_report::parts::Parts;

use super::{SweepContext, Tab, choose, chosen, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::components::{empty_state, loading};
use crate::web::pages::error_page::PageError;
use crate::web::pages::request::PageRequest;

/// The number of best configurations that are shown by default, beside the baseline.
const BEST: usize = 1;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let mut context = SweepContext::of(&pages, &sweep, asked).await?;
    let Some(analysed) = context.analysed(&pages, true).await? else {
        let body = html! { section { (loading("Loading the predictions of every image. They appear here when they are ready.")) } };
        return Ok(context.respond(Tab::Images, &body));
    };
    let pictures = pictures(&pages, &context, &analysed).await?;
    context.pending |= pictures.is_none();
    let positions = chosen(&context.asked.query, &analysed, BEST);
    let body = with_parts(&analysed, &material(&analysed), |parts| {
        whole(&context, &analysed, (parts, &positions, pictures.as_deref()))
    });
    Ok(context.respond(Tab::Images, &body))
}

/// The sections with pictures. Cutting them out of a large sheet is slow, so they are made once per analysis.
async fn pictures(
    pages: &Pages,
    context: &SweepContext,
    analysed: &Arc<Analysed>,
) -> Result<Option<Arc<[Option<String>; 2]>>, PageError> {
    let id = context.id();
    if let Some(made) = pages.cache.pictures(id, analysed) {
        return Ok(Some(made));
    }
    let (service, of, cache) = (context.service.clone(), Arc::clone(analysed), Arc::clone(&pages.cache));
    let make = async move {
        let material = service.engine.pictured(&of, &service.artifacts).await?;
        let drawn = tokio::task::spawn_blocking(move || {
            let (pairs, hardest) = with_parts(&of, &material, |parts| parts.images());
            (of, Arc::new([pairs.map(PreEscaped::into_string), hardest.map(PreEscaped::into_string)]))
        });
        let (of, made) = drawn.await.map_err(|error| crate::engine::Error::Internal(error.to_string()))?;
        cache.keep_pictures(id, &of, &made);
        Ok(made)
    };
    Ok(pages.cache.cut(id, make).await?)
}

fn whole(
    context: &SweepContext,
    analysed: &Analysed,
    (parts, positions, pictures): (&Parts<'_>, &[u32], Option<&[Option<String>; 2]>),
) -> Markup {
    let path = context.path("/images");
    let difference = context.asked.query.is_on("difference");
    let matrices = parts.confusion(positions, difference);
    let either = |on: bool| context.asked.query.with(&[("difference", on.then_some("1"))]).link(&path);
    html! {
        section aria-labelledby="confusion-title" {
            h2 #confusion-title { "Confusion matrices" }
            (choose(context, &path, analysed, positions))
            @match matrices {
                Some(matrices) => {
                    nav.choice aria-label="What the matrices show" { span { "Show" } ul {
                        li { a href=(either(false)) aria-current=[(!difference).then_some("true")] { "shares" } }
                        li { a href=(either(true)) aria-current=[difference.then_some("true")] { "differences to the baseline" } }
                    } }
                    p { "Rows are true classes and columns are predicted classes. Cells are percentages of the class’s images over all seeds; a blank cell is below half a percent. Blue is right, red is wrong"
                        @if difference { "; for differences, blue is better than the baseline and red is worse" } "." }
                    (matrices)
                },
                None if parts.too_many_classes() => p { "There are " (analysed.study.classes.len()) " classes, too many for a matrix." },
                None => (empty_state("No predictions of single images yet.", &html! { p { "Matrices appear when the first of these trials have ended." } })),
            }
        }
        @match pictures {
            Some([pairs, hardest]) => {
                @if let Some(pairs) = pairs { section aria-labelledby="pairs-title" { h2 #pairs-title { "Most confused pairs" } (PreEscaped(pairs)) } }
                // The templates of the report have escaped all values.
                @if let Some(hardest) = hardest { section #missed aria-labelledby="missed-title" { h2 #missed-title { "Images that most configurations misclassify" } (PreEscaped(hardest)) } }
            },
            None => section { (loading("Preparing the pictures.")) },
        }
        @if let Some(classes) = parts.classes() {
            section aria-labelledby="classes-title" { h2 #classes-title { "Class by class" } (classes) }
        }
    }
}
