//! Compares two results of one trial: bit for bit if the hardware guarantees equal bits, otherwise within a tolerance.
//!
//! Two CPUs with the same instruction set and the same number of threads give equal bits. GPU kernels are chosen by timing, and
//! they and other instruction sets add numbers in another order.

use sweep_spec::trainer::{EpochMetrics, Provenance, Validation};
use sweep_store::record::{Predictions, ResultRecord};

/// The default tolerance for results that need not be equal bit for bit.
pub const TOLERANCE: f64 = 0.01;

/// A result with its epochs and predictions.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The metrics, the outcome and the provenance.
    pub result: &'a ResultRecord,
    /// The metrics of every epoch.
    pub points: &'a [EpochMetrics],
    /// The predictions of single images.
    pub said: &'a Predictions,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reproduction {
    /// Whether the new result reproduces the old one.
    pub same: bool,
    /// Whether the bits must be equal; otherwise `tolerance` applies.
    pub exactly: bool,
    /// The largest accepted difference.
    pub tolerance: f64,
    /// The reason for comparing bit for bit or not.
    pub reason: String,
    /// The largest difference and the name of the number; `None` if all bits are equal.
    pub largest: Option<(f64, String)>,
    /// The number of images that both networks classified.
    pub predictions: u64,
    /// The number of these images with another predicted class.
    pub predictions_changed: u64,
    /// The number of compared numbers.
    pub numbers: u64,
    /// The number of these that are not equal bit for bit.
    pub numbers_changed: u64,
    /// Differences that make the results incomparable.
    pub mismatches: Vec<String>,
}

/// Compares `new` with `old`.
pub fn compare(old: &Answer<'_>, new: &Answer<'_>, tolerance: f64) -> Reproduction {
    let (exactly, reason) = comparison_mode(&old.result.provenance, &new.result.provenance);
    let mut found = Reproduction { exactly, reason, tolerance, ..Reproduction::default() };
    found.whole(old, new);
    found.epochs(old.points, new.points);
    for (name, old, new) in [("last", &old.result.last, &new.result.last), ("best", &old.result.best, &new.result.best)]
    {
        match (old, new) {
            (Some(old), Some(new)) => found.metrics(name, old, new),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => found.mismatches.push(format!("only one has a {name} epoch")),
        }
    }
    if let (Some(old), Some(new)) = (&old.result.test, &new.result.test) {
        found.number(|| "test loss".to_owned(), old.loss, new.loss);
        found.number(|| "test accuracy".to_owned(), old.accuracy, new.accuracy);
    }
    found.images("validation", old.said.validation.as_ref(), new.said.validation.as_ref());
    found.images("test", old.said.test.as_ref(), new.said.test.as_ref());
    let is_tolerated = |found: &Reproduction| {
        let changed = found.predictions_changed as f64 / found.predictions.max(1) as f64;
        found.largest.as_ref().is_none_or(|(largest, _)| *largest <= tolerance) && changed <= tolerance
    };
    found.same = found.mismatches.is_empty()
        && if exactly { found.numbers_changed == 0 && found.predictions_changed == 0 } else { is_tolerated(&found) };
    found
}

/// Whether the bits must be equal, and the reason.
fn comparison_mode(old: &Provenance, new: &Provenance) -> (bool, String) {
    let kind = |made: &Provenance| made.device.split(':').next().unwrap_or_default().to_owned();
    if (kind(old), kind(new)) != ("cpu".to_owned(), "cpu".to_owned()) {
        let text = match old.device_name == new.device_name {
            true => format!("both on {}, where kernels are chosen by timing", new.device_name),
            false => format!("on {} and on {}", old.device_name, new.device_name),
        };
        return (false, text);
    }
    if old.instruction_set != new.instruction_set {
        let text = format!("on CPUs of two instruction sets, {} and {}", old.instruction_set, new.instruction_set);
        return (false, text);
    }
    if old.threads != new.threads {
        return (false, format!("with {} threads and with {}", old.threads, new.threads));
    }
    let threads = if new.threads == 1 { "one thread".to_owned() } else { format!("{} threads", new.threads) };
    (true, format!("both on CPUs with {} and {threads}, where results must be equal bit for bit", new.instruction_set))
}

impl Reproduction {
    /// A sentence for users: whether the results are the same, and what differs.
    pub fn sentence(&self) -> String {
        let manner = if self.exactly { "bit for bit".to_owned() } else { format!("within {}", self.tolerance) };
        if self.same {
            return format!("the same, {manner}");
        }
        let mut differs = self.mismatches.clone();
        if let Some((largest, place)) = &self.largest {
            let (changed, numbers) = (self.numbers_changed, self.numbers);
            differs.push(format!("{changed} of {numbers} numbers differ, by {largest:.1e} at most ({place})"));
        }
        if self.predictions_changed > 0 {
            differs.push(format!(
                "{} of {} images have another predicted class",
                self.predictions_changed, self.predictions
            ));
        }
        format!("not the same, {manner}: {}", differs.join("; "))
    }

    /// Checks everything that must be equal before numbers can be compared.
    fn whole(&mut self, old: &Answer<'_>, new: &Answer<'_>) {
        let (made, again) = (&old.result.provenance, &new.result.provenance);
        let mut differs = |what: &str, differs: bool| {
            if differs {
                self.mismatches.push(format!("{what} differ"));
            }
        };
        differs("the outcomes", old.result.outcome != new.result.outcome);
        differs("the data", made.data_digest != again.data_digest);
        differs("the splits", made.split_digest != again.split_digest);
        differs("the numbers of parameters", made.params != again.params);
        differs("the numbers of epochs", old.points.len() != new.points.len());
    }

    fn epochs(&mut self, old: &[EpochMetrics], new: &[EpochMetrics]) {
        for (old, new) in old.iter().zip(new) {
            self.metrics(&format!("epoch {}", old.epoch), old, new);
        }
    }

    /// Compares the metrics of an epoch. Times are not compared, because they vary.
    fn metrics(&mut self, place: &str, old: &EpochMetrics, new: &EpochMetrics) {
        if old.epoch != new.epoch {
            // Within a tolerance another epoch may be the best one. The numbers of both are compared.
            if self.exactly {
                self.mismatches.push(format!("the {place} epoch was {} and is {}", old.epoch, new.epoch));
            }
        }
        for (name, old, new) in [
            ("train loss", old.train_loss, new.train_loss),
            ("train accuracy", old.train_accuracy, new.train_accuracy),
            ("validation loss", old.val_loss, new.val_loss),
            ("validation accuracy", old.val_accuracy, new.val_accuracy),
            ("learning rate", old.learning_rate, new.learning_rate),
        ] {
            self.number(|| format!("{place}, {name}"), old, new);
        }
    }

    fn images(&mut self, part: &str, old: Option<&Validation>, new: Option<&Validation>) {
        let (Some(old), Some(new)) = (old, new) else {
            // A result of an earlier release may have no predictions of the test part, so these are not compared.
            if part == "validation" && old.is_some() != new.is_some() {
                self.mismatches.push("only one has predictions".to_owned());
            }
            return;
        };
        if old.labels != new.labels {
            self.mismatches.push(format!("the {part} images differ"));
            return;
        }
        self.predictions += old.predicted.len() as u64;
        let changed = old.predicted.iter().zip(&new.predicted).filter(|(old, new)| old != new).count();
        self.predictions_changed += changed as u64;
        for (image, (old, new)) in old.confidence.iter().zip(&new.confidence).enumerate() {
            self.number(|| format!("confidence of {part} image {image}"), f64::from(*old), f64::from(*new));
        }
    }

    fn number(&mut self, name: impl Fn() -> String, old: f64, new: f64) {
        self.numbers += 1;
        if old.to_bits() == new.to_bits() {
            return;
        }
        self.numbers_changed += 1;
        let difference = (old - new).abs();
        if self.largest.as_ref().is_none_or(|(largest, _)| difference > *largest) {
            self.largest = Some((difference, name()));
        }
    }
}

#[cfg(test)]
#[path = "reproduction_tests.rs"]
mod tests;
