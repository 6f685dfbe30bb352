//! Measures the detection of planted copies among images that are only similar: how many are found, and how many false
//! pairs.

use std::io::Cursor;
use std::path::PathBuf;

use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageFormat, RgbImage};
use sweep_require::Part;

use super::files::File;
use super::{Fingerprint, pairs, picture};
use crate::random::{Purpose, Stream};

type Change<'a> = (&'a str, &'a dyn Fn(&RgbImage) -> RgbImage);

/// Per kind of copy, how many were found and planted; and how many other pairs were found.
struct Outcome {
    found: Vec<(String, usize)>,
    planted: usize,
    others: u64,
}

fn changed(picture: &RgbImage, change: impl Fn(f32, u64) -> f32) -> RgbImage {
    let mut copy = picture.clone();
    for (place, value) in copy.iter_mut().enumerate() {
        *value = change(f32::from(*value), place as u64).clamp(0.0, 255.0) as u8;
    }
    copy
}

fn compressed(picture: &RgbImage, quality: u8) -> RgbImage {
    let mut file = Cursor::new(Vec::new());
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    picture.write_with_encoder(encoder).unwrap();
    image::load_from_memory_with_format(file.get_ref(), ImageFormat::Jpeg).unwrap().to_rgb8()
}

fn resized(picture: &RgbImage, percent: u32) -> RgbImage {
    let side = |side: u32| (side * percent + 50) / 100;
    resize(picture, side(picture.width()), side(picture.height()), FilterType::Triangle)
}

fn cropped(picture: &RgbImage, (left, above, right, below): (u32, u32, u32, u32)) -> RgbImage {
    let (width, height) = (picture.width() - left - right, picture.height() - above - below);
    crop_imm(picture, left, above, width, height).to_image()
}

fn noisy(picture: &RgbImage) -> RgbImage {
    let noise = |place: u64| Stream::new(3, Purpose::Order, "noise", &[place / 3]).below(17) as f32 - 8.0;
    changed(picture, |value, place| value + noise(place))
}

const CHANGES: [Change<'static>; 10] = [
    ("quality 60", &|picture| compressed(picture, 60)),
    ("quality 75", &|picture| compressed(picture, 75)),
    ("quality 90", &|picture| compressed(picture, 90)),
    ("larger", &|picture| resized(picture, 110)),
    ("darker", &|picture| changed(picture, |value, _| value * 0.8)),
    ("brighter", &|picture| changed(picture, |value, _| value + 15.0)),
    ("noise", &noisy),
    ("crop of 1", &|picture| cropped(picture, (1, 1, 1, 1))),
    ("smaller", &|picture| resized(picture, 90)),
    ("crop of 2 at one corner", &|picture| cropped(picture, (2, 2, 0, 0))),
];

/// Adds changed copies of some of these images to the test part, and searches for pairs.
fn plant(originals: &[RgbImage], each: usize, changes: &[Change<'_>]) -> Outcome {
    let fingerprint = |picture: &RgbImage| Fingerprint::of(&DynamicImage::ImageRgb8(picture.clone()));
    let file = |name: String, test: bool| File { name, path: PathBuf::new(), class: String::new(), test };
    let mut files: Vec<_> = (0..originals.len()).map(|number| file(number.to_string(), false)).collect();
    let mut fingerprints: Vec<_> = originals.iter().map(fingerprint).collect();
    for (kind, (name, change)) in changes.iter().enumerate() {
        for copy in 0..each {
            let number = (copy * changes.len() + kind) * originals.len() / (each * changes.len());
            files.push(file(format!("{number} {name}"), true));
            fingerprints.push(fingerprint(&change(&originals[number])));
        }
    }
    let all: Vec<_> = files.iter().zip(fingerprints).collect();
    let (across, within) = pairs::find(&all);
    let planted = |first: &str, second: &str| second.split_once(' ').is_some_and(|(number, _)| number == first);
    let right = across.named.iter().filter(|pair| planted(&pair.first, &pair.second));
    let kinds: Vec<_> = right.map(|pair| pair.second.split_once(' ').unwrap().1.to_owned()).collect();
    let found = changes.iter().map(|(name, _)| ((*name).to_owned(), kinds.iter().filter(|kind| kind == name).count()));
    Outcome { found: found.collect(), planted: each, others: across.count + within.count - kinds.len() as u64 }
}

/// Ten kinds of glyphs with four strokes, white on black, with variations like handwriting: those of one kind are
/// similar.
fn glyphs(count: u64) -> Vec<RgbImage> {
    let corner = |kind: u64, end: u64| {
        let mut stream = Stream::new(1, Purpose::Order, "corner", &[kind, end]);
        (6.0 + stream.below(17) as f32, 6.0 + stream.below(17) as f32)
    };
    let glyph = |number: u64| {
        let mut hand = Stream::new(2, Purpose::Order, "hand", &[number]);
        let mut near =
            |(x, y): (f32, f32)| (x + hand.below(61) as f32 / 10.0 - 3.0, y + hand.below(61) as f32 / 10.0 - 3.0);
        let ends: Vec<_> = (0..5).map(|end| near(corner(number % 10, end))).collect();
        let thick = 1.2 + hand.below(10) as f32 / 10.0;
        RgbImage::from_fn(28, 28, |x, y| {
            let away = ends.windows(2).map(|ends| away((x as f32, y as f32), (ends[0], ends[1])));
            let grey = (255.0 * (thick + 0.5 - away.fold(f32::MAX, f32::min))).clamp(0.0, 255.0);
            image::Rgb([grey as u8; 3])
        })
    };
    (0..count).map(glyph).collect()
}

/// The distance of a point from a stroke.
fn away((x, y): (f32, f32), ((x0, y0), (x1, y1)): ((f32, f32), (f32, f32))) -> f32 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let along = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy).max(1e-6)).clamp(0.0, 1.0);
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

#[test]
fn copies_of_simple_flat_pictures_are_found_and_pictures_that_look_alike_are_not() {
    let outcome = plant(&glyphs(1200), 20, &CHANGES);
    assert!(outcome.others <= 6, "{} pairs that were not planted", outcome.others);
    for (kind, found) in &outcome.found {
        assert!(found * 10 >= outcome.planted * 9, "{kind}: {found} of {}", outcome.planted);
    }
}

#[test]
fn a_set_of_copies_of_one_picture_is_one_group_and_the_answer_is_bounded() {
    let one = &glyphs(1)[0];
    let noise = |number: u64, place: u64| Stream::new(number, Purpose::Order, "noise", &[place]).below(7) as f32;
    let copy = |number| changed(one, |value, place| value * 0.9 + noise(number, place));
    let copies: Vec<_> = (0..400).map(copy).collect();
    let outcome = plant(&copies, 1, &CHANGES[..1]);
    assert!((200..10 * 400).contains(&outcome.others), "{}", outcome.others);
}

#[test]
fn copies_of_the_scene_photographs_are_found() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenes");
    if !folder.is_dir() {
        sweep_require::skip(Part::Photographs, format!("there is no folder {}", folder.display()));
        return;
    }
    let listing = super::files::of_folder(&folder).unwrap();
    let open = |file: &File| picture::open(&std::fs::read(&file.path).unwrap()).unwrap().picture.to_rgb8();
    let photographs: Vec<_> = listing.files.iter().map(open).collect();
    let outcome = plant(&photographs, 20, &CHANGES);
    for (kind, found) in &outcome.found {
        assert!(found * 100 >= outcome.planted * 95, "{kind}: {found} of {}", outcome.planted);
    }
    // Some forty pairs of the photographs themselves show one view, and a copy may be paired with the twin of its
    // original.
    assert!((30..80).contains(&outcome.others), "{}", outcome.others);
}
