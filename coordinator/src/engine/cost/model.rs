//! The cost model with its measurements, the sizes of data sets, and the errors of earlier predictions. The owner task feeds it,
//! and planners read it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_analysis::cost::accuracy::Kept;
use sweep_analysis::cost::{Accuracy, Class, Estimate, Model, Observation, Size, Work, accuracy};
use sweep_spec::count::{Counts, Input};
use sweep_spec::trainer::Provenance;
use sweep_spec::{Dataset, Digest, Outcome, Protocol, canonical};
use sweep_store::observed::{Observed, ObservedTrial};

/// Trials that are read from the store when the engine starts.
pub(crate) const READ: u32 = 2_000;
/// The most predictions of one class of device that are remembered, each with the measured duration.
const KEPT: usize = 500;
/// An attempt that ran less than this share of its trial's epochs has resumed from the checkpoint of an earlier
/// attempt.
const WHOLE: f64 = 0.98;

/// The cost model and the data behind it.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    model: Model,
    sizes: HashMap<Digest, Size>,
    kept: BTreeMap<Class, VecDeque<Kept>>,
}

/// The measured cost of an attempt with a result.
#[derive(Debug, Clone)]
pub(crate) struct Took {
    pub(crate) outcome: Outcome,
    pub(crate) class: Class,
    /// Seconds in its epochs.
    pub(crate) seconds: f64,
    pub(crate) run_seconds: f64,
    pub(crate) slot_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) predicted: Option<(f64, f64, f64)>,
}

/// The costs behind a lock, shared by the engine's tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Costs>>);

impl Shared {
    /// A panic under this lock leaves valid numbers, so poisoning is ignored.
    pub(crate) fn get(&self) -> MutexGuard<'_, Costs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces everything with the observations of a store.
    pub(crate) fn replace(&self, observed: Observed) {
        *self.get() = Costs::of(observed);
    }
}

/// The class of device that a trial ran on.
pub(crate) fn class(made: &Provenance) -> Class {
    Class {
        device_name: made.device_name.clone(),
        instruction_set: made.instruction_set.clone(),
        threads: made.threads,
    }
}

/// The hash of a reference to a data set.
pub(crate) fn key_of(dataset: &Dataset) -> Option<Digest> {
    canonical::to_string(dataset).ok().map(|text| Digest::of(text.as_bytes()))
}

impl Costs {
    fn of(observed: Observed) -> Self {
        let size = |(train, test): (u64, u64)| Size { train, test };
        let sizes = observed.sizes.into_iter().map(|(key, found)| (key, size(found))).collect();
        let mut costs = Self { sizes, ..Self::default() };
        for trial in observed.trials {
            costs.read(&trial);
        }
        costs
    }

    fn read(&mut self, trial: &ObservedTrial) {
        let (dataset, protocol) = (&trial.question.dataset, &trial.question.protocol);
        let Ok(counts) = Counts::of(&trial.configuration, Input::from(dataset)) else { return };
        let Some(size) = self.size(dataset) else { return };
        let class = Class {
            device_name: trial.device_name.clone(),
            instruction_set: trial.instruction_set.clone(),
            threads: trial.threads,
        };
        let took = Took {
            outcome: trial.outcome,
            class,
            seconds: trial.seconds,
            run_seconds: trial.run_seconds,
            slot_seconds: trial.slot_seconds,
            peak_memory_bytes: trial.peak_memory_bytes,
            predicted: trial.predicted,
        };
        self.learn(Work::new(&counts, protocol, size), took);
    }

    /// Learns from a trial with a result. A trial that diverged may have ended early, and an attempt that resumed from
    /// a checkpoint did only a part of the work, so both are ignored.
    pub(crate) fn learn(&mut self, work: Work, took: Took) {
        if took.outcome != Outcome::Converged || took.run_seconds < took.seconds * WHOLE {
            return;
        }
        if let Some((expected, low, high)) = took.predicted {
            let kept = self.kept.entry(took.class.clone()).or_default();
            kept.push_back(Kept { expected, low, high, actual: took.slot_seconds });
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        self.model.observe(Observation {
            class: took.class,
            work,
            seconds: took.seconds,
            overhead: took.slot_seconds - took.seconds,
            peak_memory_bytes: took.peak_memory_bytes,
        });
    }

    /// Records the size of a data set that a worker described.
    pub(crate) fn described(&mut self, key: Digest, size: Size) {
        self.sizes.insert(key, size);
    }

    /// The number of images of a data set, if known.
    pub(crate) fn size(&self, dataset: &Dataset) -> Option<Size> {
        Size::of(dataset).or_else(|| self.sizes.get(&key_of(dataset)?).copied())
    }

    /// The work of a trial, if the size of its data set is known.
    pub(crate) fn work(&self, counts: &Counts, protocol: &Protocol, dataset: &Dataset) -> Option<Work> {
        self.size(dataset).map(|size| Work::new(counts, protocol, size))
    }

    /// The predicted cost of a trial on slots of these devices, by name; the average if they differ. For a device
    /// without measurements it is derived from other devices and is less certain. `None` without any measurement.
    pub(crate) fn predict(&mut self, devices: &[(String, usize)], work: &Work) -> Option<Estimate> {
        self.model.refresh();
        let mut rate = 0.0;
        let mut slots = 0.0;
        let mut first: Option<Estimate> = None;
        for (name, count) in devices {
            let estimate = self.model.predict(self.model.class_named(name), work)?;
            rate += *count as f64 / estimate.seconds.max(f64::MIN_POSITIVE);
            slots += *count as f64;
            first.get_or_insert(estimate);
        }
        match first {
            Some(first) if rate > 0.0 => Some(Estimate { seconds: slots / rate, ..first }),
            Some(_) | None => {
                let likely = self.model.classes().first().map(|(class, _)| (*class).clone());
                self.model.predict(likely.as_ref(), work)
            }
        }
    }

    /// Whether there are no measurements.
    pub(crate) fn is_empty(&self) -> bool {
        self.model.is_empty()
    }

    /// The number of measurements behind the predictions by class of device, the most often measured first.
    pub(crate) fn basis(&self) -> Vec<(String, usize)> {
        self.model.classes().into_iter().map(|(class, count)| (class.to_string(), count)).collect()
    }

    /// The error of past predictions by class of device, the most often measured first.
    pub(crate) fn accuracy(&self) -> Vec<Accuracy> {
        let of = |(class, kept): (&Class, &VecDeque<Kept>)| {
            let kept: Vec<Kept> = kept.iter().copied().collect();
            accuracy(&class.to_string(), &kept)
        };
        let mut found: Vec<Accuracy> = self.kept.iter().filter_map(of).collect();
        found.sort_by_key(|accuracy| std::cmp::Reverse(accuracy.trials));
        found
    }
}

#[cfg(test)]
mod tests {
    use sweep_spec::dataset::Source;
    use sweep_spec::{Classes, Cnn, Configuration};

    use super::*;
    use sweep_store::observed::Question;

    fn dataset(source: Source) -> Dataset {
        Dataset { source, image_size: 16, channels: 1, classes: Classes::Count(8), digest: None }
    }

    fn trial(dataset: Dataset, seconds: f64, run_seconds: f64) -> ObservedTrial {
        ObservedTrial {
            question: Question { dataset, protocol: Protocol::default() },
            configuration: Configuration::Cnn(Cnn::default()),
            outcome: Outcome::Converged,
            seconds,
            run_seconds,
            slot_seconds: run_seconds + 1.0,
            peak_memory_bytes: 1 << 28,
            device_name: "a processor".into(),
            instruction_set: "avx2".into(),
            threads: 1,
            predicted: Some((12.0, 8.0, 18.0)),
        }
    }

    #[test]
    fn whole_attempts_teach_and_halves_do_not() {
        let folder = dataset(Source::ImageFolder { path: "x".into(), test_split: None });
        let unknown = dataset(Source::Idx { path: "nobody has described this".into() });
        let sizes = [(key_of(&folder).unwrap(), (100, 20))].into();
        let half = trial(folder.clone(), 10.0, 4.0);
        let diverged = ObservedTrial { outcome: Outcome::Diverged, ..trial(folder.clone(), 10.0, 10.0) };
        let trials = vec![half, diverged, trial(unknown, 10.0, 10.0)];
        assert!(Costs::of(Observed { trials, sizes }).is_empty());
        let sizes = [(key_of(&folder).unwrap(), (100, 20))].into();
        let mut costs = Costs::of(Observed { trials: vec![trial(folder.clone(), 10.0, 10.5)], sizes });
        let counts = Counts::of(&Configuration::Cnn(Cnn::default()), Input::from(&folder)).unwrap();
        let work = costs.work(&counts, &Protocol::default(), &folder).unwrap();
        let on = |costs: &mut Costs, name: &str| costs.predict(&[(name.to_owned(), 2)], &work).unwrap();
        assert!((on(&mut costs, "a processor").seconds - 11.5).abs() < 1e-6, "epochs and what a slot needs besides");
        assert!(on(&mut costs, "another").shared > on(&mut costs, "a processor").shared);
        assert!(costs.predict(&[], &work).is_some(), "without a slot, by what was measured");
        let found = &costs.accuracy()[0];
        assert_eq!((found.trials, found.within), (1, 1.0));
        assert!((found.median - 0.5 / 11.5).abs() < 1e-9);
    }
}
