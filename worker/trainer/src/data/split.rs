//! Splits a data set into training and validation images. A random stream per class draws the held-out fraction, so it
//! is the same for every trial of a sweep, independent of the trials' seeds; or, if the protocol requests it, for every
//! trial of one seed. The test part and the holdout have separate streams: under one seed, the draw of one does not
//! depend on the draw of the other.

use sweep_spec::dataset::{Source, held_out};
use sweep_spec::{Digest, Trial};

use super::Images;
use crate::failure::Failure;
use crate::random::{Purpose, Stream};

/// Indices into a data set's images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    pub(crate) train: Vec<u32>,
    pub(crate) validation: Vec<u32>,
    /// The test part, if a holdout keeps it out of every choice; empty if the test part validates.
    pub(crate) test: Vec<u32>,
}

/// Parameters of a random draw of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw<'a> {
    /// Fraction of each class that is held out.
    pub(super) fraction: f64,
    pub(super) seed: u64,
    /// Distinguishes draws under one seed.
    place: &'a [u64],
}

impl Draw<'static> {
    /// The test part, by its own seed. It keeps the stream that it had before there were other draws.
    pub(super) fn test_part(fraction: f64, seed: u64) -> Self {
        Self { fraction, seed, place: &[] }
    }

    /// The test part, by a trial's seed.
    fn test_part_of_trial(fraction: f64, seed: u64) -> Self {
        Self { fraction, seed, place: &[1] }
    }

    /// The holdout, by any seed.
    fn holdout(fraction: f64, seed: u64) -> Self {
        Self { fraction, seed, place: &[2] }
    }
}

impl Split {
    /// The data set's own parts, or a held-out fraction of the training part. With a split per seed, the trial's seed
    /// draws both the test part and the holdout.
    pub(crate) fn new(images: &Images, trial: &Trial) -> Result<Self, Failure> {
        let (train, total) = (images.contents.train as u32, images.contents.labels.len() as u32);
        let fixed = trial.protocol.split.is_fixed();
        let mut split = Self { train: (0..train).collect(), validation: (train..total).collect(), test: Vec::new() };
        if let (false, Source::ImageFolder { test_split: Some(test), .. }) = (fixed, &trial.dataset.source) {
            let draw = Draw::test_part_of_trial(test.fraction, trial.seed);
            split = Self::drawn(images, (0..total).collect(), draw)?;
        }
        if let Some(holdout) = &trial.protocol.holdout {
            let draw = Draw::holdout(holdout.fraction, if fixed { holdout.seed } else { trial.seed });
            let test = split.validation;
            split = Self { test, ..Self::drawn(images, split.train, draw)? };
        }
        Ok(split)
    }

    /// Splits some images.
    fn drawn(images: &Images, of: Vec<u32>, draw: Draw<'_>) -> Result<Self, Failure> {
        let labels: Vec<u16> = of.iter().map(|index| images.contents.labels[*index as usize]).collect();
        let held = hold_out(&labels, &images.contents.classes, draw)?;
        let (validation, train): (Vec<_>, Vec<_>) = of.into_iter().zip(held).partition(|(_, held)| *held);
        let indices = |part: Vec<(u32, bool)>| part.into_iter().map(|(index, _)| index).collect();
        Ok(Self { train: indices(train), validation: indices(validation), test: Vec::new() })
    }

    /// Hash of the images that train and of those that validate. The remaining ones are only reported.
    pub(crate) fn digest(&self, images: &Images) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(images.digest.as_bytes());
        for side in [&self.train, &self.validation] {
            hasher.update(&(side.len() as u64).to_le_bytes());
            side.iter().for_each(|index| {
                hasher.update(&index.to_le_bytes());
            });
        }
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }
}

/// Marks the fraction of each class that is held out: at least one image, and never all.
pub(super) fn hold_out(labels: &[u16], classes: &[String], draw: Draw<'_>) -> Result<Vec<bool>, Failure> {
    let Draw { fraction, seed, place } = draw;
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Failure::spec(format!("the held-out fraction is {fraction}, but must be between 0 and 1")));
    }
    let mut held = vec![false; labels.len()];
    for (class, name) in classes.iter().enumerate() {
        let members: Vec<usize> =
            labels.iter().enumerate().filter(|(_, label)| usize::from(**label) == class).map(|(at, _)| at).collect();
        let Some(count) = held_out(members.len() as u64, fraction) else {
            let count = members.len();
            return Err(Failure::data(format!("class {name} has {count} images: too few to hold one out")));
        };
        let order = Stream::new(seed, Purpose::Split, name, place).order(members.len());
        for &chosen in &order[..count as usize] {
            held[members[chosen as usize]] = true;
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sweep_spec::dataset::TestSplit;
    use sweep_spec::protocol::{Holdout, SplitSeed};
    use sweep_spec::trainer::Folders;
    use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol};

    use super::*;

    fn draw(fraction: f64, seed: u64) -> Draw<'static> {
        Draw::test_part(fraction, seed)
    }

    const TEST_SEED: u64 = 9;

    #[test]
    fn the_share_is_of_each_class_and_depends_on_the_seed() {
        let labels: Vec<u16> = (0..300).map(|index| u16::from(index >= 100)).collect();
        let classes = ["a".to_owned(), "b".to_owned()];
        let held = hold_out(&labels, &classes, draw(0.1, 1)).unwrap();
        assert_eq!(held[..100].iter().filter(|held| **held).count(), 10);
        assert_eq!(held[100..].iter().filter(|held| **held).count(), 20);
        assert_eq!(held, hold_out(&labels, &classes, draw(0.1, 1)).unwrap());
        assert_ne!(held, hold_out(&labels, &classes, draw(0.1, 2)).unwrap());
    }

    #[test]
    fn under_one_seed_the_test_part_and_the_holdout_have_no_more_in_common_than_chance_has() {
        let (labels, classes) = ([0; 40], ["a".to_owned()]);
        let held = |draw: Draw<'_>| hold_out(&labels, &classes, draw).unwrap();
        let common = |one: &[bool], other: &[bool]| one.iter().zip(other).filter(|(a, b)| **a && **b).count();
        for test_part in [Draw::test_part, Draw::test_part_of_trial] {
            let seeds = 0..400;
            let draws = seeds.map(|seed| (held(test_part(0.5, seed)), held(Draw::holdout(0.5, seed))));
            let total: usize = draws.map(|(test, holdout)| common(&test, &holdout)).sum();
            // Twenty of forty and twenty of forty share ten, give or take 1.6; the mean of 400, give or take 0.08.
            let mean = total as f64 / 400.0;
            assert!((mean - 10.0).abs() < 0.5, "{mean} of 20 are in both");
        }
    }

    #[test]
    fn a_data_set_with_a_test_split_and_a_holdout_of_one_seed_is_parted_by_two_draws() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_string_lossy().into_owned();
        let folders = Folders { data_root: path.clone(), more_data_roots: Vec::new(), cache: path };
        let dataset = folder(root.path());
        let images = Images::open(&dataset, &folders).unwrap();
        let seed = TEST_SEED;
        let protocol = Protocol { holdout: Some(Holdout { fraction: 0.25, seed }), ..Protocol::default() };
        let trial = Trial::new(Configuration::Cnn(Cnn::default()), 1, protocol, dataset);
        let split = Split::new(&images, &trial).unwrap();
        // The images that the stream of the test part would hold out of the rest.
        let labels: Vec<u16> = images.contents.labels[..images.contents.train].to_vec();
        let same = hold_out(&labels, &images.contents.classes, Draw::test_part(0.25, seed)).unwrap();
        let same: Vec<u32> = (0..).zip(same).filter(|(_, held)| *held).map(|(index, _)| index).collect();
        assert_eq!(split.validation.len(), same.len());
        assert_ne!(split.validation, same);
    }

    #[test]
    fn what_cannot_be_held_out_is_said() {
        let classes = ["a".to_owned()];
        assert!(hold_out(&[0], &classes, draw(0.5, 1)).unwrap_err().reason.contains("class a"));
        for fraction in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(hold_out(&[0, 0], &classes, draw(fraction, 1)).is_err());
        }
    }

    /// A folder of two classes of twelve images each.
    fn folder(root: &Path) -> Dataset {
        for class in ["a", "b"] {
            fs::create_dir_all(root.join("set").join(class)).unwrap();
            for number in 0..12 {
                let path = root.join("set").join(class).join(format!("{number}.png"));
                image::GrayImage::from_pixel(4, 4, image::Luma([number])).save(path).unwrap();
            }
        }
        let test_split = Some(TestSplit { fraction: 0.25, seed: TEST_SEED });
        let source = Source::ImageFolder { path: "set".into(), test_split };
        Dataset { source, image_size: 4, channels: 1, classes: Classes::Count(2), digest: None }
    }

    #[test]
    fn a_split_for_each_seed_is_the_same_for_all_configurations_and_another_for_each_seed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_string_lossy().into_owned();
        let folders = Folders { data_root: path.clone(), more_data_roots: Vec::new(), cache: path };
        let dataset = folder(root.path());
        let images = Images::open(&dataset, &folders).unwrap();
        let holdout = Some(Holdout { fraction: 0.2, seed: 3 });
        for held in [None, holdout] {
            let of = |seed: u64, filters: u32, split: SplitSeed| {
                let protocol = Protocol { split, holdout: held.clone(), ..Protocol::default() };
                let configuration = Configuration::Cnn(Cnn { filters, ..Cnn::default() });
                let trial = Trial::new(configuration, seed, protocol, dataset.clone());
                Split::new(&images, &trial).unwrap()
            };
            let (fixed, each) = (SplitSeed::Fixed, SplitSeed::PerSeed);
            assert_eq!(of(1, 8, fixed), of(2, 8, fixed), "all seeds have the same parts");
            assert_eq!(of(1, 8, each).digest(&images), of(1, 16, each).digest(&images));
            let digests: Vec<Digest> = (0..8).map(|seed| of(seed, 8, each).digest(&images)).collect();
            assert!(digests.iter().enumerate().all(|(at, digest)| !digests[..at].contains(digest)));
            let sizes = |split: Split| (split.train.len(), split.validation.len());
            assert_eq!(sizes(of(1, 8, each)), sizes(of(1, 8, fixed)));
            let split = of(5, 8, each);
            assert!(split.train.iter().all(|index| !split.validation.contains(index)));
        }
        // Over many seeds every image is validated on at least once, because the test part is drawn from all of them.
        let protocol = Protocol { split: SplitSeed::PerSeed, ..Protocol::default() };
        let trial = |seed| Trial::new(Configuration::Cnn(Cnn::default()), seed, protocol.clone(), dataset.clone());
        let mut seen: Vec<u32> =
            (0..40).flat_map(|seed| Split::new(&images, &trial(seed)).unwrap().validation).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 24);
    }
}
