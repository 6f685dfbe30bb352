//! Trials: a sweep's, and one with all that is known of it.

use axum::http::header;
use axum::response::IntoResponse;
use sweep_proto::v1;
use sweep_shapes::{AuditPage, Curve, Detail, EpochPage, Explanation, TrialPage};

use super::parameters::{
    AuditQuestion, ListQuestion, LogQuestion, PointsQuestion, SweepPath, TrialPath, TrialsQuestion, limit,
};
use super::question::{Asker, Named, Parameters};
use super::sweeps::audit_of;
use super::{Answered, Open, answer, table};
use crate::web::desk::{self, Desk};
use crate::web::problem::Problem;

/// Trials of one page.
const MOST_TRIALS: u32 = 1000;
/// The largest seed that a JSON number holds exactly.
const LARGEST_SEED: u64 = (1 << 53) - 1;
/// Trials whose epochs are one page.
const MOST_CURVES: u32 = 100;

/// Where a page begins; empty for the first.
fn place(after: Option<String>) -> Result<String, Problem> {
    match after {
        Some(after) if after.is_empty() => Err(Problem::invalid("after", "empty")),
        after => Ok(after.unwrap_or_default()),
    }
}

/// The trials of a sweep, in the order of its spec.
#[utoipa::path(get, path = "/sweeps/{sweep}/trials", operation_id = "listTrials", tag = "trials",
    params(SweepPath, TrialsQuestion),
    responses((status = 200, description = "One page", content((TrialPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<TrialsQuestion>,
) -> Answered {
    if question.configuration.as_deref() == Some("") {
        return Err(Problem::invalid("configuration", "empty"));
    }
    if question.seed.is_some_and(|seed| seed > LARGEST_SEED) {
        return Err(Problem::invalid("seed", "larger than 9007199254740991"));
    }
    let asked = desk::TrialsQuestion {
        states: question.state.into_iter().map(v1::TrialState::from).collect(),
        configuration: question.configuration.unwrap_or_default(),
        seed: question.seed,
    };
    let most = limit::<MOST_TRIALS>(question.limit)?;
    if let Some(permit) = table::permit(&desk, question.format, &asker)? {
        let found = desk.sweep(&sweep).await?;
        // What is wrong with the question is said before the first row.
        desk.trials(&found.id.to_string(), &asked, ("", 1)).await?;
        let name = format!("{}-{}-trials", found.name, found.id);
        let pages = move || {
            let about = (desk.clone(), found.id.to_string(), asked.clone());
            table::unfolded(
                about,
                |(desk, sweep, asked): (Desk, String, desk::TrialsQuestion), after: String| async move {
                    let page = desk.trials(&sweep, &asked, (&after, MOST_TRIALS)).await?;
                    Ok((page.trials, page.next))
                },
            )
        };
        return Ok(table::csv(&name, permit, pages, true));
    }
    let after = place(question.after)?;
    answer(&desk.trials(&sweep, &asked, (&after, most)).await?)
}

/// The epochs of a sweep's trials, one row per epoch, in pages of trials.
#[utoipa::path(get, path = "/sweeps/{sweep}/points", operation_id = "listPoints", tag = "trials",
    params(SweepPath, PointsQuestion),
    responses((status = 200, description = "One page", content((EpochPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn points(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<PointsQuestion>,
) -> Answered {
    let most = limit::<MOST_CURVES>(question.limit)?;
    if let Some(permit) = table::permit(&desk, question.format, &asker)? {
        let found = desk.sweep(&sweep).await?;
        let name = format!("{}-{}-points", found.name, found.id);
        let pages = move || {
            let about = (desk.clone(), found.id.to_string());
            table::unfolded(about, |(desk, sweep): (Desk, String), after: String| async move {
                let page = desk.epochs(&sweep, (&after, MOST_CURVES)).await?;
                Ok((page.points, page.next))
            })
        };
        return Ok(table::csv(&name, permit, pages, false));
    }
    answer(&desk.epochs(&sweep, (&place(question.after)?, most)).await?)
}

/// A trial: settings, result, provenance, attempts, epochs, predictions.
#[utoipa::path(get, path = "/trials/{trial}", operation_id = "getTrial", tag = "trials", params(TrialPath),
    responses((status = 200, description = "The trial", body = Detail)))]
pub(super) async fn one(Open(desk): Open, Named(trial): Named) -> Answered {
    answer(&desk.trial(&trial).await?)
}

/// A trial's learning curve.
#[utoipa::path(get, path = "/trials/{trial}/points", operation_id = "getCurve", tag = "trials",
    params(TrialPath, ListQuestion),
    responses((status = 200, description = "Its epochs", content((Curve = "application/json"), (String = "text/csv")))))]
pub(super) async fn curve(
    Open(desk): Open,
    asker: Asker,
    Named(trial): Named,
    Parameters(question): Parameters<ListQuestion>,
) -> Answered {
    let file = table::permit(&desk, question.format, &asker)?;
    let found = desk.curve(&trial).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let name = format!("{}-points", found.trial_id.get(..12).unwrap_or_default());
            Ok(table::csv(&name, permit, move || table::at_hand(found.rows()), false))
        }
    }
}

/// The end of the trainer's log of a trial, as text.
#[utoipa::path(get, path = "/trials/{trial}/log", operation_id = "getLog", tag = "trials",
    params(TrialPath, LogQuestion), responses((status = 200, description = "The last lines", body = String, content_type = "text/plain")))]
pub(super) async fn log(
    Open(desk): Open,
    Named(trial): Named,
    Parameters(question): Parameters<LogQuestion>,
) -> Answered {
    if question.attempt == Some(0) {
        return Err(Problem::invalid("attempt", "attempts are counted from 1"));
    }
    let found = desk.log(&trial, question.attempt).await?;
    // Whatever a trainer wrote is shown as text and never acted upon.
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], found.text).into_response())
}

/// Explains the state of a trial.
#[utoipa::path(get, path = "/trials/{trial}/explanation", operation_id = "explainTrial", tag = "trials",
    params(TrialPath), responses((status = 200, description = "Sentences and events", body = Explanation)))]
pub(super) async fn explanation(Open(desk): Open, Named(trial): Named) -> Answered {
    answer(&desk.explanation(&trial).await?)
}

/// The audit log of a trial.
#[utoipa::path(get, path = "/trials/{trial}/audit", operation_id = "listAuditOfTrial", tag = "trials",
    params(TrialPath, AuditQuestion),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(
    Open(desk): Open,
    asker: Asker,
    Named(trial): Named,
    Parameters(question): Parameters<AuditQuestion>,
) -> Answered {
    let of = desk::AuditQuestion { trial, ..desk::AuditQuestion::default() };
    audit_of(&desk, &asker, of, question).await
}
