//! Checks a data set before training: counts, balance, unreadable files, sizes, and duplicate images, those in both
//! parts first. Problems do not end the check: it reports all of them.

mod cells;
mod files;
mod fingerprint;
mod near;
mod pairs;
#[cfg(test)]
mod planted;
mod register;
#[cfg(test)]
mod tests;
mod thumbnail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sweep_spec::Dataset;
use sweep_spec::dataset::Source as Kind;

pub use super::ignored_files::{Extension, IgnoredFiles};
use super::regular_file::{self, MAX_PICTURE_BYTES};
use super::{Shape, check_shape, picture};
use crate::failure::Failure;
use files::{File, Listing};
use fingerprint::Fingerprint;
pub use pairs::{Pair, Pairs};

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The folder, or the kind of a data set without one.
    pub place: String,
    /// Every class, sorted by name.
    pub classes: Vec<ClassCount>,
    /// Images of the training part, or of the whole folder if it has no parts.
    pub train_images: u64,
    pub test_images: u64,
    /// Images of the largest class of the training part per image of the smallest class.
    pub imbalance: Option<f64>,
    /// Problems that prevent training: classes that are empty or in one part only.
    pub problems: Vec<String>,
    /// Files that are not images, or damaged ones.
    pub unreadable: Vec<Unreadable>,
    /// Images that were rotated or mirrored because of their EXIF orientation (2 to 8).
    pub turned_images: u64,
    /// Files that trainers do not read, because their extensions are not those of JPEG and PNG files.
    pub passed_over: IgnoredFiles,
    /// Images that are in the training part and in the test part.
    pub across: Pairs,
    /// Images that occur twice in one part.
    pub within: Pairs,
    /// Widths and heights, the most frequent first.
    pub sizes: Vec<SizeCount>,
    pub grey_images: u64,
    pub colour_images: u64,
}

/// A class with the number of its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    pub name: String,
    pub train: u64,
    pub test: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Path within the data set.
    pub file: String,
    pub reason: String,
}

/// A size with the number of its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeCount {
    pub width: u32,
    pub height: u32,
    pub images: u64,
}

impl Report {
    /// Whether there is no problem that makes training fail or its results too good: unreadable files, classes missing
    /// from a part, or images in both parts.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.unreadable.is_empty() && self.across.count == 0
    }
}

/// Checks the data of a spec, whose files are in one of `roots`.
///
/// # Errors
/// The folder is missing, or leads out of the data roots.
pub fn check(dataset: &Dataset, roots: &[PathBuf]) -> Result<Report, Failure> {
    let shape = check_shape(dataset)?;
    match &dataset.source {
        Kind::ImageFolder { path, test_split } => check_listing(files::of_spec(roots, path, test_split.as_ref())?),
        Kind::Idx { .. } | Kind::Cifar10 { .. } | Kind::SyntheticScenes { .. } => {
            let source = super::source(dataset, roots)?;
            check_planes(dataset.kind(), source.as_ref(), shape)
        }
    }
}

/// Checks a folder that contains `train` and `test`, or one folder per class.
///
/// # Errors
/// The folder is missing or has no classes.
pub fn check_folder(folder: &Path) -> Result<Report, Failure> {
    check_listing(files::of_folder(folder)?)
}

fn check_listing(listing: Listing) -> Result<Report, Failure> {
    let looked = look_at_all(&listing.files, |file| {
        let bytes = regular_file::read(&file.path, MAX_PICTURE_BYTES).map_err(|failure| failure.reason)?;
        let opened = picture::open(&bytes).map_err(|error| error.to_string())?;
        let mut fingerprint = Fingerprint::of(&opened.picture);
        fingerprint.turned = opened.turned;
        Ok(fingerprint)
    });
    let parts = (listing.place, listing.classes, listing.problems, listing.passed_over);
    Ok(report(parts, &listing.files, looked))
}

/// Checks data sets with many images in one file: each image is named by its part and its number.
fn check_planes(kind: &str, source: &dyn super::Source, shape: Shape) -> Result<Report, Failure> {
    let mut fingerprints = Vec::new();
    let contents = source.decode(shape, &mut |planes| {
        fingerprints.push(match picture::from_planes(planes, shape.size, shape.size) {
            Some(picture) => Ok(Fingerprint::of(&picture)),
            None => Err("its planes are not of the shape".to_owned()),
        });
        Ok(())
    })?;
    let file = |(index, label): (usize, &u16)| {
        let (part, number) = if index < contents.train { ("train", index) } else { ("test", index - contents.train) };
        let class = contents.classes.get(usize::from(*label)).cloned().unwrap_or_default();
        let name = format!("{part}/{class}#{number}");
        File { name, path: Default::default(), class, test: index >= contents.train }
    };
    let files: Vec<File> = contents.labels.iter().enumerate().map(file).collect();
    Ok(report((kind.to_owned(), contents.classes.clone(), Vec::new(), Vec::new()), &files, fingerprints))
}

/// Computes the fingerprint of every file, with one thread per core.
fn look_at_all(
    files: &[File],
    look: impl Fn(&File) -> Result<Fingerprint, String> + Sync,
) -> Vec<Result<Fingerprint, String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let share = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let look = &look;
        let threads: Vec<_> = files
            .chunks(share)
            .map(|files| (files.len(), scope.spawn(move || files.iter().map(look).collect::<Vec<_>>())))
            .collect();
        // If a decoder panics, its share of the files is reported as unreadable.
        let broken = |count| vec![Err("the decoder failed on another file".to_owned()); count];
        threads.into_iter().flat_map(|(count, thread)| thread.join().unwrap_or_else(|_| broken(count))).collect()
    })
}

type Parts = (String, Vec<String>, Vec<String>, Vec<String>);

fn report(parts: Parts, files: &[File], looked: Vec<Result<Fingerprint, String>>) -> Report {
    let (place, classes, problems, passed_over) = parts;
    let (mut fingerprints, mut unreadable) = (Vec::new(), Vec::new());
    for (file, fingerprint) in files.iter().zip(looked) {
        match fingerprint {
            Ok(fingerprint) => fingerprints.push((file, fingerprint)),
            Err(reason) => unreadable.push(Unreadable { file: file.name.clone(), reason }),
        }
    }
    let count =
        |class: &str, test: bool| files.iter().filter(|file| file.class == class && file.test == test).count() as u64;
    let classes: Vec<ClassCount> = classes
        .into_iter()
        .map(|name| ClassCount { train: count(&name, false), test: count(&name, true), name })
        .collect();
    let (least, most) = (classes.iter().map(|class| class.train).min(), classes.iter().map(|class| class.train).max());
    let mut sizes: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for (_, fingerprint) in &fingerprints {
        *sizes.entry((fingerprint.width, fingerprint.height)).or_default() += 1;
    }
    let mut sizes: Vec<SizeCount> =
        sizes.into_iter().map(|((width, height), images)| SizeCount { width, height, images }).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.images));
    let colour_images = fingerprints.iter().filter(|(_, fingerprint)| fingerprint.channels == 3).count() as u64;
    let grey_images = fingerprints.len() as u64 - colour_images;
    let (across, within) = pairs::find(&fingerprints);
    Report {
        place,
        train_images: files.iter().filter(|file| !file.test).count() as u64,
        test_images: files.iter().filter(|file| file.test).count() as u64,
        imbalance: least.zip(most).filter(|(least, _)| *least > 0).map(|(least, most)| most as f64 / least as f64),
        classes,
        problems,
        unreadable,
        turned_images: fingerprints.iter().filter(|(_, fingerprint)| fingerprint.turned).count() as u64,
        passed_over: IgnoredFiles::of(passed_over),
        across,
        within,
        sizes,
        grey_images,
        colour_images,
    }
}
