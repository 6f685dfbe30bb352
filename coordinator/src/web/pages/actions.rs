//! The forms that change sweeps and workers. They work without JavaScript and respond with a redirect. A change that cannot
//! be undone has a confirmation page.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use sweep_scheduler::SweepId;
use sweep_scheduler::event::{Service, Until};
use sweep_shapes::text::plural;
use sweep_spec::spec::PRIORITIES;

use super::Pages;
use super::components::count_summary;
use super::error_page::PageError;
use super::layout::{Layout, NavItem};
use super::query::{Query, part};
use super::request::PageRequest;
use crate::engine::Handle;

/// The sweep to change. `access::http::guard` has checked the permission of the caller and the origin of the request.
async fn changed(pages: &Pages, sweep: &str) -> Result<(Handle, SweepId), PageError> {
    let engine = pages.service()?.engine;
    let id = engine.find(sweep).await?;
    Ok((engine, id))
}

/// Back to the sweep; a browser asks for it with GET.
fn back(id: SweepId) -> Response {
    Redirect::to(&format!("/sweeps/{id}")).into_response()
}

pub(super) async fn confirm_cancel(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    if !asked.may_change {
        return Err(PageError::Forbidden("your token can only read"));
    }
    let engine = pages.service()?.engine;
    let id = engine.find(&sweep).await?;
    let status = super::sweep::shape(&engine.status(id).await?);
    let ended = status.state.has_ended();
    let body = html! {
        div.refusal {
            h1 { "Cancel " (status.name) "?" }
            @if ended {
                p.lead { "This sweep has already ended." }
                p { a href={ "/sweeps/" (id) } { "Back to the sweep" } }
            } @else {
                p.lead { (count_summary(&status.counts)) "." }
                p { "The coordinator stops running trials and never starts waiting ones. Known results are kept, and a later sweep reuses them. A cancelled sweep cannot be resumed." }
                div.actions {
                    form method="post" action={ "/sweeps/" (id) "/cancel" } { button.grave type="submit" { "Cancel the sweep" } }
                    a.button href={ "/sweeps/" (id) } { "Keep it running" }
                }
            }
        }
    };
    Ok(Layout::new(format!("Cancel {}?", status.name), NavItem::Sweeps, body)
        .for_request(&asked)
        .respond(StatusCode::OK))
}

pub(super) async fn cancel(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let (engine, id) = changed(&pages, &sweep).await?;
    engine.cancel(id, &asked.actor).await?;
    Ok(back(id))
}

pub(super) async fn confirm_delete(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let service = pages.service()?;
    let record = service.deletable(&sweep, asked.caller()).await?;
    let would = service.engine.store().weigh(record.id).await.map_err(crate::engine::Error::from)?;
    let body = html! {
        div.refusal {
            h1 { "Delete " (record.name) "?" }
            p.lead { (plural(would.trials, "trial")) " and " (plural(would.artifacts, "artifact")) " will be deleted, with all their results." }
            @if would.kept > 0 {
                p { (plural(would.kept, "trial")) " will be kept, because other sweeps refer to them." }
            }
            p { "This cannot be undone. The same trials, if submitted again, are trained again." }
            div.actions {
                form method="post" action={ "/sweeps/" (record.id) "/delete" } { button.grave type="submit" { "Delete the sweep" } }
                a.button href={ "/sweeps/" (record.id) } { "Keep the sweep" }
            }
        }
    };
    Ok(Layout::new(format!("Delete {}?", record.name), NavItem::Sweeps, body)
        .for_request(&asked)
        .respond(StatusCode::OK))
}

pub(super) async fn delete(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let service = pages.service()?;
    let record = service.deletable(&sweep, asked.caller()).await?;
    service.engine.delete(record.id, &asked.actor).await?;
    Ok(Redirect::to("/").into_response())
}

pub(super) async fn pause(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let (engine, id) = changed(&pages, &sweep).await?;
    engine.pause(id, true, &asked.actor).await?;
    Ok(back(id))
}

pub(super) async fn resume(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let (engine, id) = changed(&pages, &sweep).await?;
    engine.pause(id, false, &asked.actor).await?;
    Ok(back(id))
}

pub(super) async fn retry(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let (engine, id) = changed(&pages, &sweep).await?;
    engine.retry(id, &asked.actor).await?;
    Ok(back(id))
}

pub(super) async fn priority(
    State(pages): State<Pages>,
    Path(sweep): Path<String>,
    asked: PageRequest,
    form: Bytes,
) -> Result<Response, PageError> {
    let (engine, id) = changed(&pages, &sweep).await?;
    let form = Query::of(&String::from_utf8_lossy(&form));
    let priority =
        form.get("priority").and_then(|text| text.trim().parse().ok()).filter(|one| PRIORITIES.contains(one));
    let problem = || PageError::Form("a priority is a whole number from -1000 to 1000".to_owned());
    engine.set_priority(id, priority.ok_or_else(problem)?, &asked.actor).await?;
    Ok(back(id))
}

async fn serve(pages: &Pages, (worker, service): (&str, Service), asked: &PageRequest) -> Result<Response, PageError> {
    pages.service()?.engine.set_service(worker, service, &asked.actor).await?;
    Ok(Redirect::to(&format!("/workers#worker-{}", part(worker))).into_response())
}

pub(super) async fn confirm_drain(
    State(pages): State<Pages>,
    Path(worker): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    if !asked.may_serve {
        return Err(PageError::Forbidden("your token does not allow this change"));
    }
    let known = pages.service()?.workers().await?.workers.into_iter().find(|known| known.name == worker);
    let missing = || PageError::Engine(crate::engine::Error::not_found(format!("worker `{worker}`")));
    let known = known.ok_or_else(missing)?;
    let busy = known.slots.iter().filter(|slot| !slot.trial_id.is_empty()).count();
    let body = html! {
        div.refusal {
            h1 { "Drain " (worker) "?" }
            p.lead { (busy) " of its " (known.slots.len()) " slots are busy." }
            p { "The worker finishes its running trials, takes no new ones, and exits. It must then be started again by hand. To keep the worker connected without new trials, suspend it instead." }
            div.actions {
                form method="post" action={ "/workers/" (part(&worker)) "/drain" } { button.grave type="submit" { "Drain the worker" } }
                a.button href="/workers" { "Keep it working" }
            }
        }
    };
    Ok(Layout::new(format!("Drain {worker}?"), NavItem::Workers, body).for_request(&asked).respond(StatusCode::OK))
}

pub(super) async fn suspend(
    State(pages): State<Pages>,
    Path(worker): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    let why = "suspended on the workers page; put it back into service there when it may take trials again".to_owned();
    serve(&pages, (&worker, Service::Suspended { reason: why, until: Until::Return }), &asked).await
}

pub(super) async fn drain(
    State(pages): State<Pages>,
    Path(worker): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    serve(&pages, (&worker, Service::Draining), &asked).await
}

pub(super) async fn put_back(
    State(pages): State<Pages>,
    Path(worker): Path<String>,
    asked: PageRequest,
) -> Result<Response, PageError> {
    serve(&pages, (&worker, Service::Active), &asked).await
}
