//! Checks whether a trainer can read the data set of a spec, with the same request and folders as `submit`, so that
//! both give the same answer.

use std::path::PathBuf;
use std::time::Duration;

use sweep_shapes::text::count;
use sweep_spec::Plan;
use sweep_spec::dataset::Source;
use sweep_spec::plan::LoneBatch;
use sweep_spec::trainer::{Command, Describe, Described, Event, Folders};
use tokio::time::timeout;

use super::Check;
use super::machine::ask;

const NAME: &str = "data set";
/// Time limit for reading the data set.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// `trainer` is the command; `roots` are the data roots.
pub(super) async fn look(trainer: &[String], plan: &Plan, roots: &[PathBuf]) -> Check {
    let dataset = &plan.spec().dataset;
    if let Source::SyntheticScenes { .. } = &dataset.source {
        return summary("generated scenes: no files are needed".to_owned(), plan.lone_batch());
    }
    let folders = match folders(roots) {
        Ok(folders) => folders,
        Err(why) => {
            return Check::wrong(NAME, why, "name the folder that contains `dataset.path` with --data-root FOLDER");
        }
    };
    let question = Command::Describe(Describe { dataset: dataset.clone(), folders });
    match timeout(READ_TIMEOUT, ask(trainer, &question)).await {
        Ok(Ok((_, Event::Described(found)))) => {
            // The description does not contain how many images of each class a holdout takes.
            let whole = plan.spec().protocol.holdout.is_none();
            let lone = plan.lone_batch_of(found.train_images.into()).filter(|_| whole);
            summary(counted(&found), lone)
        }
        Ok(Ok(_)) => Check::wrong(NAME, "the trainer sent an unexpected answer", "use a trainer of the same version"),
        Ok(Err(why)) => {
            let advice = "see sweeps/README.md for the folder layout of each kind of data set; run `sweepctl data \
                check SPEC` to list unreadable images";
            Check::wrong(NAME, why, advice)
        }
        Err(_) => {
            let found =
                format!("the data set exists, but reading all of it takes longer than {} s", READ_TIMEOUT.as_secs());
            Check::warning(NAME, found, "run `sweepctl data check SPEC` to read all of it")
        }
    }
}

/// The folders that the worker of `submit --local` gives to its trainers.
fn folders(roots: &[PathBuf]) -> Result<Folders, String> {
    let text = |root: &PathBuf| root.to_str().map(str::to_owned);
    let roots = roots.iter().map(text).collect::<Option<Vec<_>>>().ok_or("a data root is not UTF-8")?;
    let roots = roots.into_iter().map(|root| ("data_root", root));
    let flags = roots.chain([("coordinator", "http://127.0.0.1:1".to_owned())]);
    let config = sweep_worker::Config::load(None, [], flags).map_err(|problems| problems.to_string())?;
    sweep_worker::folders(&config).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })
}

fn summary(found: String, lone: Option<LoneBatch>) -> Check {
    match lone {
        Some(lone) => Check::warning(NAME, format!("{found}; {lone}"), LoneBatch::ADVICE),
        None => Check::ok(NAME, found),
    }
}

fn counted(found: &Described) -> String {
    let classes = count(found.classes.len() as u64);
    let (train, test) = (count(found.train_images.into()), count(found.test_images.into()));
    format!("{classes} classes, {train} training and {test} test images, all readable")
}
