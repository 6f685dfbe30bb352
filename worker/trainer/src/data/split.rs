//! Which images train and which validate. A held-out share is taken from each class by its own stream, so it is the
//! same for every trial of a sweep, whatever the trials' seeds.

use sweep_spec::Digest;
use sweep_spec::protocol::Holdout;

use super::Images;
use crate::failure::Failure;
use crate::random::{Purpose, Stream};

/// Indices into a data set's images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    pub(crate) train: Vec<u32>,
    pub(crate) validation: Vec<u32>,
    /// The test part where a holdout keeps it out of every choice; empty where the test part validates.
    pub(crate) test: Vec<u32>,
}

impl Split {
    /// The data set's own parts, or a held-out share of the training part.
    pub(crate) fn new(images: &Images, holdout: Option<&Holdout>) -> Result<Self, Failure> {
        let (train, total) = (images.contents.train as u32, images.contents.labels.len() as u32);
        let Some(holdout) = holdout else {
            return Ok(Self { train: (0..train).collect(), validation: (train..total).collect(), test: Vec::new() });
        };
        let labels = &images.contents.labels[..images.contents.train];
        let held = hold_out(labels, &images.contents.classes, holdout.fraction, holdout.seed)?;
        let (validation, train) = (0..train).partition(|&index| held[index as usize]);
        Ok(Self { train, validation, test: (images.contents.train as u32..total).collect() })
    }

    /// Of the images that train and of those that choose. Those that only report are the rest of the data.
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

/// Marks the share of each class that is held out: at least one image, and never all.
pub(super) fn hold_out(labels: &[u16], classes: &[String], fraction: f64, seed: u64) -> Result<Vec<bool>, Failure> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Failure::spec(format!("the held-out fraction is {fraction}, and has to be between 0 and 1")));
    }
    let mut held = vec![false; labels.len()];
    for (class, name) in classes.iter().enumerate() {
        let members: Vec<usize> =
            labels.iter().enumerate().filter(|(_, label)| usize::from(**label) == class).map(|(at, _)| at).collect();
        if members.len() < 2 {
            let count = members.len();
            return Err(Failure::data(format!("class {name} has {count} images: too few to hold one out")));
        }
        let count = ((members.len() as f64 * fraction).round() as usize).clamp(1, members.len() - 1);
        let order = Stream::new(seed, Purpose::Split, name, &[]).order(members.len());
        for &chosen in &order[..count] {
            held[members[chosen as usize]] = true;
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_each_class_and_depends_on_the_seed() {
        let labels: Vec<u16> = (0..300).map(|index| u16::from(index >= 100)).collect();
        let classes = ["a".to_owned(), "b".to_owned()];
        let held = hold_out(&labels, &classes, 0.1, 1).unwrap();
        assert_eq!(held[..100].iter().filter(|held| **held).count(), 10);
        assert_eq!(held[100..].iter().filter(|held| **held).count(), 20);
        assert_eq!(held, hold_out(&labels, &classes, 0.1, 1).unwrap());
        assert_ne!(held, hold_out(&labels, &classes, 0.1, 2).unwrap());
    }

    #[test]
    fn what_cannot_be_held_out_is_said() {
        let classes = ["a".to_owned()];
        assert!(hold_out(&[0], &classes, 0.5, 1).unwrap_err().reason.contains("class a"));
        for fraction in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(hold_out(&[0, 0], &classes, fraction, 1).is_err());
        }
    }
}
