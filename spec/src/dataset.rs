//! The reference to a data set: all that a spec states about it, without reading the data.

use serde::{Deserialize, Serialize};

use crate::id::Digest;

/// The classes of `synthetic_scenes`, named as in the reference, in sorted order.
pub const SCENES: [&str; 8] =
    ["coast", "forest", "highway", "inside_city", "mountain", "open_country", "street", "tall_building"];

/// The source of the images, and the shape that they are converted to. Images are square, with sides of `image_size`
/// pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    #[serde(flatten)]
    pub source: Source,
    /// Height and width that every image is resized to, in pixels.
    pub image_size: u32,
    /// 1 or 3. Grey images are repeated into three channels, colour ones converted to one.
    pub channels: u32,
    /// Their number, or their names in sorted order.
    pub classes: Classes,
    /// The digest of the content that the spec pins, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The kinds of data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// `train/<class>/*` and `test/<class>/*`, or `<class>/*` with a held-out fraction. JPEG and PNG.
    ImageFolder {
        /// Folder, relative to the worker's data root.
        path: String,
        /// For one folder without `train` and `test`: the share of each class that becomes the test part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_split: Option<TestSplit>,
    },
    /// The MNIST family's idx files (`train-images-idx3-ubyte`, ...), gzipped or not.
    Idx {
        /// Folder, relative to the worker's data root.
        path: String,
    },
    /// CIFAR-10's binary version (`data_batch_1.bin`, ..., `test_batch.bin`).
    Cifar10 {
        /// Folder, relative to the worker's data root.
        path: String,
    },
    /// Drawn scenes of the reference's eight classes; needs no file.
    SyntheticScenes {
        /// Seed of the drawings.
        seed: u64,
        /// Images in the training part, over all classes.
        train_images: u32,
        /// Images in the test part, over all classes.
        test_images: u32,
    },
}

/// The split of one folder into training and test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSplit {
    /// The share of each class that is held out, in (0, 1).
    pub fraction: f64,
    /// Seed of the choice; independent of the trials' seeds.
    pub seed: u64,
}

/// The number of held-out images of a class: at least one, and never all. `None` if the class is too small.
pub fn held_out(images: u64, fraction: f64) -> Option<u64> {
    let share = (images as f64 * fraction).round() as u64;
    (images >= 2).then(|| share.clamp(1, images - 1))
}

/// The classes: a count, or names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Classes {
    Count(u32),
    /// In sorted order.
    Names(Vec<String>),
}

impl Classes {
    pub fn count(&self) -> u32 {
        match self {
            Self::Count(count) => *count,
            Self::Names(names) => names.len() as u32,
        }
    }
}

impl Dataset {
    /// The name of the kind, as the spec writes it.
    pub fn kind(&self) -> &'static str {
        match self.source {
            Source::ImageFolder { .. } => "image_folder",
            Source::Idx { .. } => "idx",
            Source::Cifar10 { .. } => "cifar10",
            Source::SyntheticScenes { .. } => "synthetic_scenes",
        }
    }
}
