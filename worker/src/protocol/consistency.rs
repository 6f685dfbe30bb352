//! Compares the values that a trainer reports with its task and with each other. A contradiction means that one of two
//! values is wrong, and the agent cannot know which: the attempt fails with a message that names both.

use sweep_spec::count::{Counts, Input};
use sweep_spec::dataset::Source;
use sweep_spec::protocol::{Optimizer, Report};
use sweep_spec::trainer::{Described, EpochMetrics, Finished, Provenance, Started, Tested, Train, Validation};
use sweep_spec::{Classes, Dataset, Outcome};

/// The tolerance for two reports of the same number: a trainer may round it to four digits.
const ROUNDING: f64 = 1e-4;

/// The device name that lets the trainer choose.
const ANY_DEVICE: &str = "auto";

/// The values that one attempt has reported so far.
#[derive(Debug)]
pub(super) struct Reported {
    params: u64,
    device: String,
    data: Described,
    epochs: Vec<EpochMetrics>,
}

impl Reported {
    /// Starts from `started`, if it agrees with the task.
    pub(super) fn new(started: Started, train: &Train) -> Result<Self, String> {
        let Started { params, device, data, .. } = started;
        described(&data, &train.trial.dataset).map_err(|what| format!("`started`: {what}"))?;
        let counts = Counts::of(&train.trial.configuration, Input::from(&train.trial.dataset));
        if let Ok(counts) = counts
            && counts.params != params
        {
            return Err(format!("`started` reports {params} parameters; the configuration has {}", counts.params));
        }
        if train.device != ANY_DEVICE && train.device != device {
            return Err(format!("`started` reports device {device}; the trial was assigned {}", train.device));
        }
        Ok(Self { params, device, data, epochs: Vec::new() })
    }

    /// Adds the metrics of the next epoch.
    pub(super) fn epoch(&mut self, metrics: EpochMetrics, train: &Train) -> Result<(), String> {
        numbers(&metrics)?;
        let Optimizer::Adam { learning_rate, .. } = train.trial.protocol.optimizer;
        if self.epochs.is_empty() && !same(metrics.learning_rate, learning_rate) {
            let said = metrics.learning_rate;
            return Err(format!("`epoch` 1 has learning_rate {said}; the protocol begins with {learning_rate}"));
        }
        self.epochs.push(metrics);
        Ok(())
    }

    /// Compares the result with everything reported before.
    pub(super) fn check(&self, finished: &Finished, train: &Train) -> Result<(), String> {
        let protocol = &train.trial.protocol;
        if finished.outcome == Outcome::Diverged && self.epochs.len() as u64 >= u64::from(protocol.epochs) {
            let epochs = protocol.epochs;
            return Err(format!(
                "`finished` reports the outcome diverged, but all {epochs} epochs have finite numbers"
            ));
        }
        self.last(finished.last.as_ref())?;
        self.best(finished.best.as_ref())?;
        self.provenance(&finished.provenance)?;
        let reported = match protocol.report {
            Report::Last => finished.last.as_ref(),
            Report::Best => finished.best.as_ref(),
        };
        if let Some(validation) = &finished.validation {
            let reported = reported.ok_or("`finished` has a `validation`, but no epoch for it")?;
            self.validation_part(validation, train)?;
            let accuracy = format!("val_accuracy {} of epoch {}", reported.val_accuracy, reported.epoch);
            right(validation, (reported.val_accuracy, &accuracy))?;
        }
        if let Some(test) = &finished.test {
            let reported = reported.ok_or("`finished` has a `test`, but no epoch for it")?;
            self.test_part(test, reported, train)?;
        }
        Ok(())
    }

    fn last(&self, last: Option<&EpochMetrics>) -> Result<(), String> {
        match (self.epochs.last(), last) {
            (None, None) => Ok(()),
            (Some(said), Some(last)) => repeated(("last", last), said),
            (Some(said), None) => Err(format!("`finished` has no `last`, but `epoch` {} was sent", said.epoch)),
            (None, Some(last)) => Err(format!("`last` is epoch {}, but no `epoch` was sent", last.epoch)),
        }
    }

    fn best(&self, best: Option<&EpochMetrics>) -> Result<(), String> {
        let better = |best: &EpochMetrics, next: &EpochMetrics| next.val_accuracy > best.val_accuracy + ROUNDING;
        let Some(best) = best else {
            let Some(first) = self.epochs.first() else { return Ok(()) };
            return Err(format!("`finished` has no `best`, but `epoch` {} was sent", first.epoch));
        };
        let said = self.epochs.iter().find(|said| said.epoch == best.epoch);
        let said = said.ok_or_else(|| format!("`best` is epoch {}, which was not sent", best.epoch))?;
        repeated(("best", best), said)?;
        match self.epochs.iter().find(|next| better(best, next)) {
            Some(other) => Err(format!(
                "`best` is epoch {} with val_accuracy {}; epoch {} has {}",
                best.epoch, best.val_accuracy, other.epoch, other.val_accuracy
            )),
            None => Ok(()),
        }
    }

    fn provenance(&self, made: &Provenance) -> Result<(), String> {
        if made.params != self.params {
            let (now, before) = (made.params, self.params);
            return Err(format!("`finished` reports {now} parameters; `started` reported {before}"));
        }
        if made.data_digest != self.data.digest {
            let (now, before) = (made.data_digest.short(), self.data.digest.short());
            return Err(format!("`finished` reports data {now}; `started` reported {before}"));
        }
        if made.device != self.device {
            return Err(format!("`finished` reports device {}; `started` reported {}", made.device, self.device));
        }
        if !is_amount(made.seconds) || !is_amount(made.images_per_second) {
            let (seconds, speed) = (made.seconds, made.images_per_second);
            return Err(format!("`finished` reports {seconds} seconds at {speed} images per second"));
        }
        Ok(())
    }

    /// Every image of the validating part has a prediction.
    fn validation_part(&self, validation: &Validation, train: &Train) -> Result<(), String> {
        let images = validation.labels.len() as u64;
        let (trains, tests) = (u64::from(self.data.train_images), u64::from(self.data.test_images));
        match &train.trial.protocol.holdout {
            None if has_fixed_parts(train) && images != tests => {
                Err(format!("`validation` has {images} images; the test part, which validates, has {tests}"))
            }
            Some(_) if images > trains + tests => {
                Err(format!("`validation` has {images} images; the data set has {}", trains + tests))
            }
            None | Some(_) => Ok(()),
        }
    }

    fn test_part(&self, test: &Tested, reported: &EpochMetrics, train: &Train) -> Result<(), String> {
        if train.trial.protocol.holdout.is_none() {
            return Err("`finished` has a `test`, but the protocol has no holdout".to_owned());
        }
        if test.epoch != reported.epoch {
            return Err(format!("`test` is of epoch {}; the protocol reports epoch {}", test.epoch, reported.epoch));
        }
        let (images, there) = (test.predictions.labels.len() as u64, u64::from(self.data.test_images));
        if has_fixed_parts(train) && images != there {
            return Err(format!("`test` has {images} images; the test part has {there}"));
        }
        right(&test.predictions, (test.accuracy, &format!("test accuracy {}", test.accuracy)))
    }
}

/// Whether a description matches the reference to the data set.
pub(crate) fn described(data: &Described, dataset: &Dataset) -> Result<(), String> {
    let (found, asked) = (data.classes.len(), dataset.classes.count());
    if found as u64 != u64::from(asked) {
        return Err(format!("the data have {found} classes; the spec declares {asked}"));
    }
    if let Classes::Names(names) = &dataset.classes
        && let Some((found, asked)) = data.classes.iter().zip(names).find(|(found, asked)| found != asked)
    {
        return Err(format!("the data have a class `{found}`; the spec declares `{asked}`"));
    }
    if data.channels != dataset.channels {
        return Err(format!("the data have {} channels; the spec declares {}", data.channels, dataset.channels));
    }
    if let Source::SyntheticScenes { train_images, test_images, .. } = dataset.source
        && (data.train_images, data.test_images) != (train_images, test_images)
    {
        return Err(format!(
            "the data have {} training and {} test images; the spec declares {train_images} and {test_images}",
            data.train_images, data.test_images
        ));
    }
    Ok(())
}

/// Whether the sizes of the data set's parts are those of `described`, independent of the seed.
fn has_fixed_parts(train: &Train) -> bool {
    train.trial.protocol.split.is_fixed()
        || !matches!(&train.trial.dataset.source, Source::ImageFolder { test_split: Some(_), .. })
}

/// Whether the metrics of an epoch are possible values.
fn numbers(metrics: &EpochMetrics) -> Result<(), String> {
    let epoch = metrics.epoch;
    for (name, share) in [("train_accuracy", metrics.train_accuracy), ("val_accuracy", metrics.val_accuracy)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("`epoch` {epoch} has {name} {share}, which is not between 0 and 1"));
        }
    }
    for (name, loss) in [("train_loss", metrics.train_loss), ("val_loss", metrics.val_loss)] {
        if !loss.is_finite() || loss < -ROUNDING {
            return Err(format!("`epoch` {epoch} has {name} {loss}; a cross-entropy is finite and not negative"));
        }
    }
    let amounts = [
        ("learning_rate", metrics.learning_rate),
        ("seconds", metrics.seconds),
        ("images_per_second", metrics.images_per_second),
    ];
    match amounts.into_iter().find(|(_, amount)| !is_amount(*amount)) {
        Some((name, amount)) => Err(format!("`epoch` {epoch} has {name} {amount}, which is impossible")),
        None => Ok(()),
    }
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Equal within the rounding.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= ROUNDING * one.abs().max(other.abs())
}

/// Whether `finished` repeats the metrics that an epoch reported.
fn repeated((name, again): (&str, &EpochMetrics), said: &EpochMetrics) -> Result<(), String> {
    if again.epoch != said.epoch {
        return Err(format!("`{name}` is epoch {}; the last `epoch` was {}", again.epoch, said.epoch));
    }
    let pairs = [
        ("train_loss", again.train_loss, said.train_loss),
        ("train_accuracy", again.train_accuracy, said.train_accuracy),
        ("val_loss", again.val_loss, said.val_loss),
        ("val_accuracy", again.val_accuracy, said.val_accuracy),
        ("learning_rate", again.learning_rate, said.learning_rate),
    ];
    match pairs.into_iter().find(|(_, again, said)| !same(*again, *said)) {
        Some((what, now, before)) => Err(format!(
            "`{name}` has {what} {now} for epoch {}; `epoch` {} reported {before}",
            again.epoch, said.epoch
        )),
        None => Ok(()),
    }
}

/// Whether the confusion matrix matches the lists, and the accuracy the matrix. The caller has checked lengths and
/// classes.
fn right(said: &Validation, (accuracy, words): (f64, &str)) -> Result<(), String> {
    let images = said.labels.len();
    if images == 0 {
        return Err(format!("`finished` reports {words}, but has no images"));
    }
    let classes = said.confusion.len().isqrt();
    let mut counted = vec![0_u32; said.confusion.len()];
    for (label, predicted) in said.labels.iter().zip(&said.predicted) {
        if let Some(count) = counted.get_mut(usize::from(*label) * classes + usize::from(*predicted)) {
            *count += 1;
        }
    }
    let mut cells = counted.iter().zip(&said.confusion).enumerate();
    if let Some((cell, (counted, confused))) = cells.find(|(_, (counted, confused))| counted != confused) {
        let (label, predicted) = (cell / classes, cell % classes);
        return Err(format!(
            "`confusion` has {confused} images of class {label} predicted as {predicted}; the lists have {counted}"
        ));
    }
    let right = said.labels.iter().zip(&said.predicted).filter(|(label, predicted)| label == predicted).count();
    let share = right as f64 / images as f64;
    if (accuracy - share).abs() > ROUNDING {
        return Err(format!(
            "`finished` reports {words}, but its confusion matrix has {right} of {images} images correct, which is {share}"
        ));
    }
    Ok(())
}
