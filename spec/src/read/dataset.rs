//! Reading of `dataset`: the source and the shape that images are brought to.

use std::ops::RangeInclusive;

use super::value::Bounds;
use super::{At, Reader, Section};
use crate::dataset::{Classes, Dataset, SCENES, Source, TestSplit};
use crate::id::Digest;
use crate::yaml::Value;

/// Height and width of an image, in pixels.
pub(super) const IMAGE_SIZES: RangeInclusive<u32> = 4..=1024;
pub(super) const CLASSES: RangeInclusive<u32> = 2..=1000;
/// How many images may be drawn for one part of `synthetic_scenes`.
pub(super) const DRAWN_IMAGES: RangeInclusive<u32> = 8..=100_000;
/// Seeds: whole numbers that every JSON reader keeps.
pub(super) const SEEDS: RangeInclusive<u64> = 0..=9_007_199_254_740_991;
#[derive(Clone, Copy)]
enum Kind {
    ImageFolder,
    Idx,
    Cifar10,
    SyntheticScenes,
}

const KINDS: [(&str, Kind); 4] = [
    ("image_folder", Kind::ImageFolder),
    ("idx", Kind::Idx),
    ("cifar10", Kind::Cifar10),
    ("synthetic_scenes", Kind::SyntheticScenes),
];

/// The image size, channels and classes that the files of a kind have.
fn natural(kind: Kind) -> (Option<u32>, u32, Option<u32>) {
    match kind {
        Kind::ImageFolder => (None, 3, None),
        Kind::Idx => (Some(28), 1, Some(10)),
        Kind::Cifar10 => (Some(32), 3, Some(10)),
        Kind::SyntheticScenes => (Some(32), 3, Some(SCENES.len() as u32)),
    }
}

pub(super) fn dataset(at: &At<'_>, reader: &mut Reader) -> Option<Dataset> {
    let mut section = at.section(reader, "a data set: `{ kind: ..., ... }`")?;
    let kind = section.required(reader, "kind").and_then(|at| at.choice(reader, &KINDS));
    // Of an unknown kind, what is there is still checked; what is missing may not be needed.
    let (natural_size, natural_channels, natural_classes) = kind.map_or((Some(32), 3, Some(8)), natural);
    let source = match kind {
        Some(kind) => source(kind, &mut section, reader),
        None => section.get("path").and_then(|at| at.path(reader)).and(None),
    };
    let image_size = match (section.get("image_size"), natural_size) {
        (Some(at), _) => at.small(reader, IMAGE_SIZES),
        (None, Some(size)) => Some(size),
        (None, None) => {
            section.required(reader, "image_size");
            None
        }
    };
    let channels = match section.get("channels") {
        Some(at) => channels(&at, reader),
        None => Some(natural_channels),
    };
    let classes = match (section.get("classes"), natural_classes) {
        (Some(at), _) => classes(&at, kind, reader),
        (None, Some(count)) => Some(Classes::Count(count)),
        (None, None) => {
            section.required(reader, "classes");
            None
        }
    };
    let digest = match section.get("digest") {
        Some(at) => digest(&at, reader).map(Some),
        None => Some(None),
    };
    if kind.is_some() {
        section.finish(reader, "key");
    }
    Some(Dataset { source: source?, image_size: image_size?, channels: channels?, classes: classes?, digest: digest? })
}

fn source(kind: Kind, section: &mut Section<'_>, reader: &mut Reader) -> Option<Source> {
    let path = |section: &mut Section<'_>, reader: &mut Reader| {
        section.required(reader, "path").and_then(|at| at.path(reader))
    };
    match kind {
        Kind::ImageFolder => {
            let path = path(section, reader);
            // Given but wrong is not the same as not given.
            let test_split = match section.get("test_split") {
                Some(at) => part(&at, reader).map(|(fraction, seed)| Some(TestSplit { fraction, seed })),
                None => Some(None),
            };
            Some(Source::ImageFolder { path: path?, test_split: test_split? })
        }
        Kind::Idx => Some(Source::Idx { path: path(section, reader)? }),
        Kind::Cifar10 => Some(Source::Cifar10 { path: path(section, reader)? }),
        Kind::SyntheticScenes => {
            let seed = section.get("seed").map_or(Some(0), |at| at.integer(reader, SEEDS));
            let train_images = section.get("train_images").map_or(Some(512), |at| at.small(reader, DRAWN_IMAGES));
            let test_images = section.get("test_images").map_or(Some(256), |at| at.small(reader, DRAWN_IMAGES));
            Some(Source::SyntheticScenes { seed: seed?, train_images: train_images?, test_images: test_images? })
        }
    }
}

/// `{ fraction, seed }`: a part of each class that is set aside.
pub(super) fn part(at: &At<'_>, reader: &mut Reader) -> Option<(f64, u64)> {
    let mut section = at.section(reader, "a part: `{ fraction: ..., seed: ... }`")?;
    let fraction = section.required(reader, "fraction").and_then(|at| at.number(reader, &Bounds::INNER));
    let seed = section.get("seed").map_or(Some(0), |at| at.integer(reader, SEEDS));
    section.finish(reader, "key");
    Some((fraction?, seed?))
}

fn channels(at: &At<'_>, reader: &mut Reader) -> Option<u32> {
    match at.node.value {
        Value::Int(1) => Some(1),
        Value::Int(3) => Some(3),
        _ => {
            at.expected(reader, "1 (grey) or 3 (colour)");
            None
        }
    }
}

fn classes(at: &At<'_>, kind: Option<Kind>, reader: &mut Reader) -> Option<Classes> {
    let classes = match at.node.value {
        Value::List(_) => Classes::Names(class_names(at, reader)?),
        _ => Classes::Count(at.small(reader, CLASSES)?),
    };
    let fixed = match kind {
        None | Some(Kind::ImageFolder | Kind::Idx) => None,
        Some(Kind::Cifar10) => Some(10),
        Some(Kind::SyntheticScenes) => Some(SCENES.len() as u32),
    };
    if let Some(fixed) = fixed.filter(|&fixed| fixed != classes.count()) {
        at.report(
            reader,
            format!("expected the {fixed} classes of this kind of data set, found {}", classes.count()),
            None,
        );
        return None;
    }
    if let (Some(Kind::SyntheticScenes), Classes::Names(names)) = (kind, &classes)
        && names.iter().zip(SCENES).any(|(name, scene)| name != scene)
    {
        at.report(
            reader,
            format!("expected the classes that this kind of data set draws: {}", SCENES.join(", ")),
            None,
        );
        return None;
    }
    Some(classes)
}

/// Class names in sorted order, which is their order everywhere.
fn class_names(at: &At<'_>, reader: &mut Reader) -> Option<Vec<String>> {
    let items = at.list(reader, "class names")?;
    let (least, most) = (*CLASSES.start() as usize, *CLASSES.end() as usize);
    if !(least..=most).contains(&items.len()) {
        at.report(reader, format!("expected {least} to {most} class names, found {}", items.len()), None);
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    let mut complete = true;
    for item in items {
        match item.name(reader) {
            Some(name) if names.contains(&name) => {
                item.report(reader, "this class appears twice", None);
                complete = false;
            }
            Some(name) => names.push(name),
            None => complete = false,
        }
    }
    names.sort();
    complete.then_some(names)
}

fn digest(at: &At<'_>, reader: &mut Reader) -> Option<Digest> {
    let digest = at.text(reader, "64 hexadecimal digits")?.parse();
    if digest.is_err() {
        at.expected(reader, "64 hexadecimal digits");
    }
    digest.ok()
}
