//! Loads a data set into memory: sources read files or draw images, the cache stores the decoded images, and the rest
//! of the crate uses `Images`. Nothing here depends on training.

mod cache;
pub mod check;
mod cifar10;
mod complete;
mod folder;
mod idx;
mod ignored_files;
mod memory;
mod paths;
mod picture;
mod regular_file;
mod scenes;
mod split;
mod thumbnails;

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sweep_spec::dataset::Source as Kind;
use sweep_spec::trainer::{Described, Folders};
use sweep_spec::{Classes, Dataset, Digest};

use crate::failure::Failure;

pub(crate) use split::Split;
pub(crate) use thumbnails::write as write_thumbnails;

/// The target shape of every image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 1 or 3.
    pub(crate) channels: u32,
    /// Height and width, in pixels.
    pub(crate) size: u32,
}

impl Shape {
    /// Bytes of one image.
    pub(crate) fn bytes(self) -> usize {
        self.channels as usize * self.size as usize * self.size as usize
    }
}

/// Classes and labels of a data set: the training part first, then the test part.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Contents {
    /// Sorted names; a source without names numbers its classes.
    pub(crate) classes: Vec<String>,
    /// The class of every image.
    pub(crate) labels: Vec<u16>,
    /// The number of images in the training part.
    pub(crate) train: usize,
}

/// A source of images.
trait Source {
    /// Hash of everything that determines classes, labels and pixels before resizing.
    fn identity(&self) -> Result<Digest, Failure>;

    /// Converts every image to `shape`, one plane of bytes per channel, and passes them on in order.
    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure>;

    /// The names of the classes, if they are known before decoding.
    fn classes(&self) -> Option<&[String]> {
        None
    }
}

/// Receives one image after the other.
type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Failure> + 'a;

/// A data set in memory, shared with every other trainer of the machine.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) shape: Shape,
    pub(crate) contents: Contents,
    /// Hash of pixels, classes, labels and parts.
    pub(crate) digest: Digest,
    map: Mmap,
}

impl Images {
    /// Reads the data set, from the cache if it is there.
    ///
    /// # Errors
    /// `Data` if files are missing, damaged or contradict the reference; `Machine` if the cache cannot be written.
    pub(crate) fn open(dataset: &Dataset, folders: &Folders) -> Result<Self, Failure> {
        let shape = check_shape(dataset)?;
        let roots: Vec<PathBuf> = folders.data_roots().map(PathBuf::from).collect();
        let source = source(dataset, &roots)?;
        if let Some(found) = source.classes() {
            // Before hours of decoding, if the classes are known already.
            check_classes(dataset, found)?;
        }
        let images = cache::open(source.as_ref(), shape, Path::new(&folders.cache))?;
        images.check(dataset)?;
        Ok(images)
    }

    /// One plane of bytes per channel.
    pub(crate) fn image(&self, index: u32) -> &[u8] {
        let bytes = self.shape.bytes();
        let at = index as usize * bytes;
        &self.map[at..at + bytes]
    }

    pub(crate) fn describe(&self) -> Described {
        Described {
            digest: self.digest,
            classes: self.contents.classes.clone(),
            channels: self.shape.channels,
            train_images: self.contents.train as u32,
            test_images: (self.contents.labels.len() - self.contents.train) as u32,
        }
    }

    fn check(&self, dataset: &Dataset) -> Result<(), Failure> {
        check_classes(dataset, &self.contents.classes)?;
        match dataset.digest {
            Some(digest) if digest != self.digest => Err(Failure::data(format!(
                "the spec needs the data set with digest {}, but this one has {}",
                digest.short(),
                self.digest.short()
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the data set has the classes that the spec names.
fn check_classes(dataset: &Dataset, found: &[String]) -> Result<(), Failure> {
    let matches = match &dataset.classes {
        Classes::Count(count) => *count as usize == found.len(),
        Classes::Names(names) => names == found,
    };
    if matches {
        return Ok(());
    }
    let asked = match &dataset.classes {
        Classes::Count(count) => format!("{count} classes"),
        Classes::Names(names) => format!("the classes {}", names.join(", ")),
    };
    let found = format!("{}: {}", found.len(), found.join(", "));
    Err(Failure::data(format!("the spec declares {asked}, but the data set has {found}")))
}

/// Rejects values that a checked spec cannot have.
fn check_shape(dataset: &Dataset) -> Result<Shape, Failure> {
    let shape = Shape { channels: dataset.channels, size: dataset.image_size };
    if !matches!(shape.channels, 1 | 3) {
        return Err(Failure::spec(format!("dataset.channels is {}, but must be 1 or 3", shape.channels)));
    }
    if shape.size == 0 || shape.size > 4096 {
        return Err(Failure::spec(format!("dataset.image_size is {}, but must be 1 to 4096", shape.size)));
    }
    if dataset.classes.count() == 0 || dataset.classes.count() > u32::from(u16::MAX) {
        return Err(Failure::spec(format!("dataset.classes is {}", dataset.classes.count())));
    }
    Ok(shape)
}

/// `roots` are the data roots.
fn source(dataset: &Dataset, roots: &[PathBuf]) -> Result<Box<dyn Source>, Failure> {
    Ok(match &dataset.source {
        Kind::ImageFolder { path, test_split } => Box::new(folder::Folder::open(roots, path, test_split.as_ref())?),
        Kind::Idx { path } => Box::new(idx::Idx::open(roots, path, dataset.classes.count())?),
        Kind::Cifar10 { path } => Box::new(cifar10::Cifar10::open(roots, path)?),
        Kind::SyntheticScenes { seed, train_images, test_images } => {
            Box::new(scenes::Scenes::new(*seed, *train_images, *test_images)?)
        }
    })
}
