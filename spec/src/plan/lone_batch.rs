//! Epochs that end in a batch of one image. Batch normalisation after a dense layer subtracts the batch's mean: of one image
//! nothing is left. Such a step has no gradient before that layer, and a variance of 0 that enters the running variance.
//! After a convolution an image is normalised over its many places, so there it does no harm.

use std::fmt;

use super::Plan;
use crate::configuration::Configuration;
use crate::dataset::{Dataset, SCENES, Source, held_out};
use crate::levels::{Factor, Level};
use crate::protocol::Protocol;

/// The last batch of every epoch has one image, and some network normalises after dense layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoneBatch {
    pub train_images: u64,
    /// Images per step.
    pub batch_size: u32,
}

impl fmt::Display for LoneBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { train_images, batch_size } = self;
        match batch_size {
            1 => write!(
                f,
                "batches of one image with batch normalisation after dense layers: the layers before them are never \
                 trained"
            ),
            _ => write!(
                f,
                "{train_images} images in batches of {batch_size} leave one image for the last batch of every epoch: \
                 with batch normalisation after dense layers, that step does not train the layers before them and \
                 lowers the running variance"
            ),
        }
    }
}

impl LoneBatch {
    /// The advice for users.
    pub const ADVICE: &'static str = "choose another protocol.batch_size";

    /// Whether this many images in such batches leave a batch of one, and batch normalisation of the network makes that
    /// harmful.
    pub fn of(configuration: &Configuration, train_images: u64, batch_size: u32) -> Option<Self> {
        Self::left(train_images, batch_size).filter(|_| normalizes_dense(configuration))
    }

    fn left(train_images: u64, batch_size: u32) -> Option<Self> {
        let last = train_images.checked_rem(u64::from(batch_size))?;
        (batch_size == 1 || last == 1).then_some(Self { train_images, batch_size })
    }
}

impl Plan {
    /// Whether epochs end in a harmful batch of one image, if the spec alone determines the number of training images.
    pub fn lone_batch(&self) -> Option<LoneBatch> {
        self.lone_batch_of(train_images(&self.spec.dataset, &self.spec.protocol)?)
    }

    /// The same for a number of images that train.
    pub fn lone_batch_of(&self, train_images: u64) -> Option<LoneBatch> {
        LoneBatch::left(train_images, self.spec.protocol.batch_size).filter(|_| self.may_normalize_dense())
    }

    /// Whether any configuration can have batch normalisation after a dense layer, whichever winners are chosen.
    fn may_normalize_dense(&self) -> bool {
        let extra = self.spec.extra.iter().map(|extra| &extra.configuration);
        let stages = (0..self.spec.stages.len()).filter_map(|stage| self.region(stage));
        extra.chain([&self.spec.baseline]).any(normalizes_dense)
            || stages.into_iter().any(|region| {
                // Factors are looked at one by one, so a warning may come where no configuration has both levels.
                let has = |factor: Factor, wanted: fn(&Level) -> bool| {
                    region.iter().any(|(other, levels)| *other == factor && levels.iter().any(wanted))
                };
                has(Factor::BatchNorm, |level| *level == Level::Bool(true))
                    && has(Factor::DenseLayers, |level| matches!(level, Level::Int(1..)))
            })
    }
}

fn normalizes_dense(configuration: &Configuration) -> bool {
    match configuration {
        Configuration::Cnn(cnn) => cnn.batch_norm && cnn.dense_layers > 0,
        Configuration::Vgg19(vgg) => vgg.batch_norm && vgg.dense_layers > 0,
    }
}

/// The number of training images, if it is known without reading the data.
fn train_images(dataset: &Dataset, protocol: &Protocol) -> Option<u64> {
    let Source::SyntheticScenes { train_images, .. } = dataset.source else { return None };
    let Some(holdout) = &protocol.holdout else { return Some(u64::from(train_images)) };
    // Classes take turns.
    let classes = SCENES.len() as u32;
    let members = (0..classes).map(|class| u64::from(train_images.saturating_sub(class).div_ceil(classes)));
    members.map(|members| Some(members - held_out(members, holdout.fraction)?)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Limits, Spec};

    fn parsed(text: &str) -> Plan {
        let width =
            if text.contains("stages:") { "" } else { "stages: [ { name: width, vary: { filters: [2, 4] } } ]" };
        Plan::new(&Spec::parse(format!("{text}\n{width}").as_bytes(), &[], &Limits::default()).unwrap())
    }

    fn plan(train_images: u32, rest: &str) -> Plan {
        parsed(&format!(
            "version: 1\nname: lone\nseeds: [0]\n\
             dataset: {{ kind: synthetic_scenes, train_images: {train_images}, test_images: 16, image_size: 8, channels: 1 }}\n\
             {rest}"
        ))
    }

    const NORMALIZED: &str = "protocol: { batch_size: 16 }\nbaseline: { family: cnn, batch_norm: true }";

    #[test]
    fn a_last_batch_of_one_image_is_found_where_dense_layers_are_normalised() {
        let found = plan(33, NORMALIZED).lone_batch().unwrap();
        assert_eq!(found, LoneBatch { train_images: 33, batch_size: 16 });
        assert!(found.to_string().starts_with("33 images in batches of 16 leave one image"), "{found}");
        for (images, rest) in [
            (32, NORMALIZED),
            (34, NORMALIZED),
            (33, "protocol: { batch_size: 16 }\nbaseline: { family: cnn }"),
            (33, "protocol: { batch_size: 16 }\nbaseline: { family: cnn, batch_norm: true, dense_layers: 0 }"),
        ] {
            assert_eq!(plan(images, rest).lone_batch(), None, "{images} {rest}");
        }
        let one = plan(32, "protocol: { batch_size: 1 }\nbaseline: { family: cnn, batch_norm: true }");
        assert!(one.lone_batch().unwrap().to_string().starts_with("batches of one image"));
    }

    #[test]
    fn a_stage_may_bring_batch_normalisation_or_the_dense_layer() {
        let stage = "protocol: { batch_size: 16 }\nbaseline: { family: cnn }\n\
                     stages: [ { name: norm, vary: { batch_norm: [false, true] } } ]";
        assert!(plan(33, stage).lone_batch().is_some());
        let waits = "protocol: { batch_size: 16 }\nbaseline: { family: cnn, dense_layers: 0 }\nstages:\n  \
                     - { name: depth, vary: { dense_layers: [0, 1] }, keep: best }\n  \
                     - { name: norm, vary: { batch_norm: [false, true] } }";
        assert!(plan(33, waits).lone_batch().is_some());
    }

    #[test]
    fn a_holdout_takes_its_share_of_each_class() {
        // Eight classes of ten images; two of each are held out: 64 train.
        let held = |batch: u32| {
            format!(
                "protocol: {{ batch_size: {batch}, holdout: {{ fraction: 0.2 }} }}\n\
                 baseline: {{ family: cnn, batch_norm: true }}"
            )
        };
        assert_eq!(plan(80, &held(21)).lone_batch(), Some(LoneBatch { train_images: 64, batch_size: 21 }));
        assert_eq!(plan(80, &held(16)).lone_batch(), None);
        // Of the class with an eleventh image two are held out as well.
        assert_eq!(plan(81, &held(16)).lone_batch(), Some(LoneBatch { train_images: 65, batch_size: 16 }));
    }

    #[test]
    fn of_data_that_are_not_known_nothing_is_said_before_they_are_counted() {
        let text = "version: 1\nname: files\nseeds: [0]\ndataset: { kind: idx, path: x }\n\
                    baseline: { family: cnn, batch_norm: true }";
        let plan = parsed(text);
        assert_eq!(plan.lone_batch(), None);
        assert!(plan.lone_batch_of(60_001).is_some() && plan.lone_batch_of(60_000).is_none());
    }
}
