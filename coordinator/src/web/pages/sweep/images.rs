//! What networks said of single images: confusion matrices beside each other, pairs of classes that are taken for each
//! other, and the images that most configurations get wrong.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use sweep_report::parts::Parts;

use super::{Part, Sheet, choose, chosen, with_parts};
use crate::engine::{Analysed, material};
use crate::web::pages::Pages;
use crate::web::pages::access::Asked;
use crate::web::pages::refusals::Refusal;
use crate::web::pages::words::{empty, pending};

/// Shown where nothing is chosen: the best, and the baseline.
const BEST: usize = 1;

pub(in crate::web::pages) async fn page(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: Asked,
) -> Result<Response, Refusal> {
    let mut sheet = Sheet::of(&pages, &sweep, asked).await?;
    let Some(analysed) = sheet.analysed(&pages, true).await? else {
        let body = html! { section { (pending("Loading the predictions of every image. They appear here when they are ready.")) } };
        return Ok(sheet.respond(Part::Images, &body));
    };
    let pictures = pictures(&pages, &sheet, &analysed).await?;
    sheet.pending |= pictures.is_none();
    let positions = chosen(&sheet.asked.query, &analysed, BEST);
    let body = with_parts(&analysed, &material(&analysed), |parts| {
        whole(&sheet, &analysed, (parts, &positions, pictures.as_deref()))
    });
    Ok(sheet.respond(Part::Images, &body))
}

/// The sections with pictures: they are cut out of a large sheet, so they are made once for each analysis.
async fn pictures(
    pages: &Pages,
    sheet: &Sheet,
    analysed: &Arc<Analysed>,
) -> Result<Option<Arc<[Option<String>; 2]>>, Refusal> {
    let id = sheet.id();
    if let Some(made) = pages.meanwhile.pictures(id, analysed) {
        return Ok(Some(made));
    }
    let (service, of, meanwhile) = (sheet.service.clone(), Arc::clone(analysed), Arc::clone(&pages.meanwhile));
    let make = async move {
        let material = service.engine.pictured(&of, &service.artifacts).await?;
        let drawn = tokio::task::spawn_blocking(move || {
            let (pairs, hardest) = with_parts(&of, &material, |parts| parts.images());
            (of, Arc::new([pairs.map(PreEscaped::into_string), hardest.map(PreEscaped::into_string)]))
        });
        let (of, made) = drawn.await.map_err(|error| crate::engine::Error::Internal(error.to_string()))?;
        meanwhile.keep_pictures(id, &of, &made);
        Ok(made)
    };
    Ok(pages.meanwhile.cut(id, make).await?)
}

fn whole(
    sheet: &Sheet,
    analysed: &Analysed,
    (parts, positions, pictures): (&Parts<'_>, &[u32], Option<&[Option<String>; 2]>),
) -> Markup {
    let path = sheet.path("/images");
    let difference = sheet.asked.query.is_on("difference");
    let matrices = parts.confusion(positions, difference);
    let either = |on: bool| sheet.asked.query.with(&[("difference", on.then_some("1"))]).link(&path);
    html! {
        section aria-labelledby="confusion-title" {
            h2 #confusion-title { "Confusion matrices" }
            (choose(sheet, &path, analysed, positions))
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
                None => (empty("No predictions of single images yet.", &html! { p { "Matrices appear when the first of these trials have ended." } })),
            }
        }
        @match pictures {
            Some([pairs, hardest]) => {
                @if let Some(pairs) = pairs { section aria-labelledby="pairs-title" { h2 #pairs-title { "Most confused pairs" } (PreEscaped(pairs)) } }
                // Made of templates that have escaped what they were given.
                @if let Some(hardest) = hardest { section #missed aria-labelledby="missed-title" { h2 #missed-title { "Images that most configurations misclassify" } (PreEscaped(hardest)) } }
            },
            None => section { (pending("Preparing the pictures.")) },
        }
        @if let Some(classes) = parts.classes() {
            section aria-labelledby="classes-title" { h2 #classes-title { "Class by class" } (classes) }
        }
    }
}
