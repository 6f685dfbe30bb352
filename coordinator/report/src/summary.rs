//! Counts the predictions for single images: confusion matrices, pairs of classes that networks confuse, and the images
//! that most configurations get wrong. Predictions that do not match the classes or the other predictions are left out.

use std::collections::BTreeMap;

use sweep_analysis::study::Subject;
use sweep_spec::trainer::Validation;

use crate::view::{View, converged};

/// Counts of all networks of a configuration, row by true class, column by predicted class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confusion {
    pub(crate) classes: usize,
    counts: Vec<u64>,
    /// The number of networks that were counted.
    pub(crate) networks: usize,
}

impl Confusion {
    /// The matrix of one network; `None` if the counts do not fit the classes.
    pub(crate) fn new(classes: usize, counts: &[u32]) -> Option<Self> {
        let counts: Vec<u64> = counts.iter().map(|count| u64::from(*count)).collect();
        (classes > 0 && counts.len() == classes * classes).then_some(Self { classes, counts, networks: 1 })
    }

    /// The matrix of a configuration; `None` if it has no predictions.
    pub(crate) fn of(view: &View<'_>, subject: &Subject) -> Option<Self> {
        let classes = view.study.classes.len();
        let mut sum = Self { classes, counts: vec![0; classes * classes], networks: 0 };
        for validation in validations(view, subject) {
            if validation.confusion.len() != sum.counts.len() {
                continue;
            }
            sum.networks += 1;
            for (total, count) in sum.counts.iter_mut().zip(&validation.confusion) {
                *total += u64::from(*count);
            }
        }
        (sum.networks > 0 && classes > 0).then_some(sum)
    }

    pub(crate) fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(truth * self.classes + predicted).copied().unwrap_or(0)
    }

    /// The share of the images of class `truth` that were predicted as `predicted`; absent for a class without images.
    pub(crate) fn share(&self, truth: usize, predicted: usize) -> Option<f64> {
        let all: u64 = (0..self.classes).map(|column| self.count(truth, column)).sum();
        (all > 0).then(|| self.count(truth, predicted) as f64 / all as f64)
    }

    /// The pairs of different classes, the most confused first; at most `most`.
    pub(crate) fn pairs(&self, most: usize) -> Vec<(usize, usize)> {
        let all = (0..self.classes).flat_map(|truth| (0..self.classes).map(move |predicted| (truth, predicted)));
        let mut pairs: Vec<_> = all.filter(|&(truth, predicted)| truth != predicted).collect();
        pairs.retain(|&(truth, predicted)| self.count(truth, predicted) > 0);
        pairs.sort_by_key(|&(truth, predicted)| std::cmp::Reverse(self.count(truth, predicted)));
        pairs.truncate(most);
        pairs
    }
}

/// The predictions of a configuration's networks that converged, in the order of their seeds.
fn validations<'a>(view: &View<'a>, subject: &'a Subject) -> impl Iterator<Item = &'a Validation> {
    let study = view.study;
    let trials = subject.own().filter(|replicate| converged(replicate).is_some());
    trials.filter_map(move |replicate| study.validations.get(&replicate.trial))
}

/// A validation image, over all networks that saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    /// Its index in the validation data.
    pub(crate) index: usize,
    /// Its class.
    pub(crate) label: usize,
    /// Networks that took it for another class.
    pub(crate) wrong: usize,
    /// Networks that saw it.
    pub(crate) networks: usize,
    /// Configurations with a majority of networks that took it for another class.
    pub(crate) configurations: usize,
    /// The class that networks most often took it for.
    pub(crate) taken_for: usize,
}

/// For an image and a wrong class: the number of networks that predicted it, and the sum of their confidences.
type Mistakes = BTreeMap<(usize, usize), (usize, f64)>;

/// The predictions for every image.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// Images by index.
    pub(crate) all: Vec<Image>,
    /// The number of configurations that were counted.
    pub(crate) configurations: usize,
    /// By position of the configuration.
    mistakes: BTreeMap<u32, Mistakes>,
}

impl Images {
    /// `None` if the networks were validated on different images: then an index does not identify an image.
    pub(crate) fn of(view: &View<'_>) -> Option<Self> {
        let subjects = &view.study.subjects;
        let first = subjects.iter().find_map(|subject| validations(view, subject).next())?;
        // With another split, an index is another image, even if its class is the same.
        let replicates = || subjects.iter().flat_map(|subject| subject.own()).filter_map(converged);
        let split = replicates().next()?.made.split_digest;
        if replicates().any(|answer| answer.made.split_digest != split) {
            return None;
        }
        let mut images = Self {
            all: first.labels.iter().enumerate().map(|(index, &label)| Image::new(index, label.into())).collect(),
            ..Self::default()
        };
        let mut taken_for: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); images.all.len()];
        for subject in subjects {
            let mut wrong = vec![0_usize; images.all.len()];
            let mut networks = 0;
            let mistakes = images.mistakes.entry(subject.position).or_default();
            for validation in validations(view, subject) {
                if validation.labels != first.labels || validation.predicted.len() != first.labels.len() {
                    return None;
                }
                networks += 1;
                for (index, (&label, &predicted)) in validation.labels.iter().zip(&validation.predicted).enumerate() {
                    if label != predicted {
                        wrong[index] += 1;
                        *taken_for[index].entry(predicted.into()).or_default() += 1;
                        let confidence = validation.confidence.get(index).copied().unwrap_or(0.0);
                        let mistake = mistakes.entry((index, predicted.into())).or_default();
                        *mistake = (mistake.0 + 1, mistake.1 + f64::from(confidence));
                    }
                }
            }
            images.configurations += usize::from(networks > 0);
            for (image, wrong) in images.all.iter_mut().zip(wrong) {
                image.wrong += wrong;
                image.networks += networks;
                image.configurations += usize::from(2 * wrong > networks);
            }
        }
        for (image, taken_for) in images.all.iter_mut().zip(taken_for) {
            let most = taken_for.into_iter().max_by_key(|&(class, count)| (count, std::cmp::Reverse(class)));
            image.taken_for = most.map_or(image.label, |(class, _)| class);
        }
        Some(images)
    }

    /// Images that more than half of the configurations get wrong, the hardest first, and their number.
    pub(crate) fn hardest(&self, most: usize) -> (Vec<&Image>, usize) {
        let mut hard: Vec<&Image> =
            self.all.iter().filter(|image| 2 * image.configurations > self.configurations).collect();
        let count = hard.len();
        hard.sort_by_key(|image| (std::cmp::Reverse((image.configurations, image.wrong)), image.index));
        hard.truncate(most);
        (hard, count)
    }

    /// Images of one class that a configuration took for another: the most often confused first, then the most
    /// confident.
    pub(crate) fn examples(&self, position: u32, truth: usize, predicted: usize, most: usize) -> Vec<&Image> {
        let Some(mistakes) = self.mistakes.get(&position) else { return Vec::new() };
        let mut found: Vec<(&Image, (usize, f64))> = mistakes
            .iter()
            .filter(|((_, class), _)| *class == predicted)
            .filter_map(|((index, _), mistake)| Some((self.all.get(*index)?, *mistake)))
            .filter(|(image, _)| image.label == truth)
            .collect();
        found.sort_by(|(a, (times_a, sure_a)), (b, (times_b, sure_b))| {
            times_b.cmp(times_a).then(sure_b.total_cmp(sure_a)).then(a.index.cmp(&b.index))
        });
        found.truncate(most);
        found.into_iter().map(|(image, _)| image).collect()
    }
}

impl Image {
    fn new(index: usize, label: usize) -> Self {
        Self { index, label, wrong: 0, networks: 0, configurations: 0, taken_for: label }
    }
}
