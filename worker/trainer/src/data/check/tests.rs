//! Tests with planted problems, and with the scene photographs next to the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use sweep_require::Part;
use sweep_spec::dataset::{Source, TestSplit};
use sweep_spec::{Classes, Dataset};

use super::*;
use crate::random::{Purpose, Stream};

/// An image of a hundred random rectangles: images of two seeds are not similar.
fn scene(seed: u64, side: u32) -> RgbImage {
    let mut stream = Stream::new(seed, Purpose::Order, "scene", &[]);
    let mut picture = RgbImage::from_pixel(64, 64, Rgb([128, 128, 128]));
    for _ in 0..100 {
        let (x, y) = (stream.below(60), stream.below(60));
        let (width, height) = (2 + stream.below(14), 2 + stream.below(14));
        let colour = Rgb(std::array::from_fn(|_| stream.below(256) as u8));
        for row in y..(y + height).min(64) {
            for column in x..(x + width).min(64) {
                picture.put_pixel(column, row, colour);
            }
        }
    }
    image::imageops::resize(&picture, side, side, image::imageops::FilterType::Triangle)
}

fn save(folder: &Path, name: &str, picture: impl Into<DynamicImage>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

/// Two classes of four images in each part.
fn clean() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, class) in [("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")].iter().enumerate() {
        let (part_name, class_name) = class;
        for number in 0..4 {
            let seed = part as u64 * 10 + number;
            save(folder.path(), &format!("{part_name}/{class_name}/{number}.png"), scene(seed, 64));
        }
    }
    folder
}

fn names(pairs: &Pairs) -> Vec<(&str, &str, bool)> {
    pairs.named.iter().map(|pair| (pair.first.as_str(), pair.second.as_str(), pair.exact)).collect()
}

#[test]
fn in_a_clean_folder_nothing_is_found() {
    let folder = clean();
    let report = check_folder(folder.path()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.train_images, report.test_images, report.passed_over.count), (8, 8, 0));
    assert_eq!((report.across.count, report.within.count), (0, 0), "{report:?}");
    assert_eq!(report.classes[0], ClassCount { name: "a".into(), train: 4, test: 4 });
    assert_eq!((report.imbalance, report.colour_images, report.grey_images), (Some(1.0), 16, 0));
    assert_eq!(report.sizes, [SizeCount { width: 64, height: 64, images: 16 }]);
}

#[test]
fn copies_are_found_across_the_parts_whatever_their_size_and_brightness() {
    let folder = clean();
    let path = folder.path();
    fs::copy(path.join("train/a/0.png"), path.join("test/a/copy.png")).unwrap();
    fs::copy(path.join("train/b/1.png"), path.join("train/a/mislabelled.png")).unwrap();
    save(path, "test/b/smaller.png", scene(11, 48));
    let mut darker = scene(12, 64);
    darker.iter_mut().for_each(|value| *value = (f32::from(*value) * 0.7) as u8);
    save(path, "test/b/darker.jpg", darker);
    let report = check_folder(path).unwrap();
    assert!(!report.is_sound());
    let across = names(&report.across);
    assert_eq!(across[0], ("train/a/0.png", "test/a/copy.png", true));
    // Of an image that occurs twice in one part, the first represents both.
    let near: Vec<_> = across[1..].iter().map(|(first, second, exact)| (*first, *second, *exact)).collect();
    assert!(near.contains(&("train/b/2.png", "test/b/darker.jpg", false)), "{near:?}");
    assert!(near.iter().any(|(_, second, exact)| *second == "test/b/smaller.png" && !exact), "{near:?}");
    assert_eq!(near.len(), 2);
    let within = &report.within.named[0];
    assert!(within.exact && within.two_classes && !within.across, "{within:?}");
    assert_eq!((within.first.as_str(), within.second.as_str()), ("train/a/mislabelled.png", "train/b/1.png"));
}

#[test]
fn everything_that_stands_in_the_way_is_told_at_once() {
    let folder = clean();
    let path = folder.path();
    fs::write(path.join("train/a/broken.jpg"), "no picture").unwrap();
    let whole = fs::read(path.join("test/b/3.png")).unwrap();
    fs::write(path.join("test/b/cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path.join("train/a/notes.txt"), "no image").unwrap();
    fs::write(path.join("train/.hidden"), "").unwrap();
    save(path, "train/c/0.png", scene(77, 64));
    fs::create_dir_all(path.join("test/d")).unwrap();
    save(path, "train/b/grey.png", GrayImage::from_fn(20, 30, |x, y| Luma([(x * y % 251) as u8])));
    let report = check_folder(path).unwrap();
    let unreadable: Vec<_> = report.unreadable.iter().map(|found| found.file.as_str()).collect();
    assert_eq!(unreadable, ["train/a/broken.jpg", "test/b/cut.png"]);
    assert!(report.unreadable.iter().all(|found| !found.reason.is_empty()));
    assert_eq!(
        report.problems,
        [
            "test/d contains no JPEG or PNG file",
            "class c is in train and not in test",
            "class d is in test and not in train"
        ]
    );
    assert_eq!((report.passed_over.files.as_slice(), report.grey_images), (&["train/a/notes.txt".to_owned()][..], 1));
    assert_eq!(report.imbalance, None, "a class without training images has no share");
    assert!(report.sizes.contains(&SizeCount { width: 20, height: 30, images: 1 }));
}

const BASELINE: &[u8] = include_bytes!("../../../tests/data/pictures/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../tests/data/pictures/progressive.jpg");

#[test]
fn every_cut_file_is_named() {
    let folder = clean();
    for (kind, whole) in [("baseline", BASELINE), ("progressive", PROGRESSIVE)] {
        for percent in 1..100 {
            let name = format!("train/a/{kind}_{percent:02}.jpg");
            fs::write(folder.path().join(name), &whole[..whole.len() * percent / 100]).unwrap();
        }
        fs::write(folder.path().join(format!("test/a/{kind}.jpg")), whole).unwrap();
    }
    let report = check_folder(folder.path()).unwrap();
    assert_eq!((report.unreadable.len(), report.test_images), (198, 10));
    assert!(report.unreadable.iter().all(|found| found.file.starts_with("train/a/")));
    let cut_off = report.unreadable.iter().filter(|found| found.reason.starts_with("the file is truncated")).count();
    assert!(cut_off > 190, "{:?}", report.unreadable);
}

#[test]
fn turned_pictures_are_counted_and_pictures_in_other_formats_named() {
    let folder = clean();
    let path = folder.path();
    let mut thumbnail = include_bytes!("../../../tests/data/pictures/thumbnail.jpg").to_vec();
    fs::write(path.join("train/a/upright.jpg"), &thumbnail).unwrap();
    // The orientation: a tag, a number type, a count of one, and a 1.
    let tag = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 1];
    let at = thumbnail.windows(10).position(|bytes| *bytes == tag).unwrap();
    thumbnail[at + 9] = 6;
    fs::write(path.join("train/a/turned.jfif"), &thumbnail).unwrap();
    for name in ["train/a/x.webp", "test/b/y.bmp", "test/b/z.txt"] {
        fs::write(path.join(name), "").unwrap();
    }
    let report = check_folder(path).unwrap();
    assert!(report.unreadable.is_empty());
    assert_eq!((report.turned_images, report.train_images), (1, 10));
    assert!(report.sizes.contains(&SizeCount { width: 40, height: 56, images: 1 }), "{:?}", report.sizes);
    assert_eq!(report.passed_over.to_string(), "1 .bmp, 1 .webp and 1 .txt");
    assert_eq!(report.passed_over.files, ["test/b/y.bmp", "train/a/x.webp", "test/b/z.txt"]);
}

#[test]
fn flat_pictures_are_compared_by_their_grey() {
    let folder = clean();
    for (name, value) in [("train/a/f0.png", 10), ("train/a/f1.png", 11), ("test/a/f2.png", 200)] {
        save(folder.path(), name, GrayImage::from_pixel(16, 16, Luma([value])));
    }
    let report = check_folder(folder.path()).unwrap();
    assert_eq!(names(&report.within), [("train/a/f0.png", "train/a/f1.png", false)]);
    assert_eq!(report.across.count, 0);
}

fn dataset(source: Source) -> Dataset {
    Dataset { source, image_size: 32, channels: 3, classes: Classes::Count(8), digest: None }
}

#[test]
fn the_data_of_a_spec_are_parted_as_the_trainer_does() {
    let folder = clean();
    let split = TestSplit { fraction: 0.25, seed: 3 };
    let source = Source::ImageFolder { path: "train".into(), test_split: Some(split) };
    let report = check(&dataset(source), &[folder.path().to_owned()]).unwrap();
    assert_eq!((report.train_images, report.test_images), (6, 2));
    assert_eq!(report.classes[1], ClassCount { name: "b".into(), train: 3, test: 1 });
    let absent = Source::ImageFolder { path: "absent".into(), test_split: None };
    assert!(check(&dataset(absent), &[folder.path().to_owned()]).unwrap_err().reason.contains("absent"));
}

#[test]
fn drawn_data_are_looked_at_too() {
    let source = Source::SyntheticScenes { seed: 1, train_images: 40, test_images: 24 };
    let report = check(&dataset(source), &["/".into()]).unwrap();
    assert_eq!((report.train_images, report.test_images, report.colour_images), (40, 24, 64));
    assert_eq!(report.classes.len(), 8);
}

/// The duplicates in the photographs of the reference study's scenes.
#[test]
fn the_scene_photographs_have_known_copies() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenes");
    if !folder.is_dir() {
        sweep_require::skip(Part::Photographs, format!("there is no folder {}", folder.display()));
        return;
    }
    let report = check_folder(&folder).unwrap();
    assert_eq!((report.train_images, report.test_images, report.classes.len()), (1881, 807, 8));
    assert!(report.unreadable.is_empty() && report.problems.is_empty() && report.passed_over.count == 0);
    assert_eq!(report.sizes, [SizeCount { width: 64, height: 64, images: 2688 }]);
    assert!(names(&report.within).contains(&("train/inside_city/207.jpg", "train/tall_building/054.jpg", true)));
    assert!(names(&report.within).contains(&("test/mountain/026.jpg", "test/mountain/047.jpg", true)));
    let across = names(&report.across);
    for (first, second) in [
        ("train/coast/137.jpg", "test/coast/092.jpg"),
        ("train/mountain/056.jpg", "test/mountain/043.jpg"),
        ("train/open_country/270.jpg", "test/open_country/066.jpg"),
        ("train/open_country/084.jpg", "test/open_country/013.jpg"),
        ("train/street/162.jpg", "test/street/024.jpg"),
    ] {
        assert!(across.contains(&(first, second, false)), "{first} {second}: {across:?}");
    }
    let within = names(&report.within);
    for (first, second) in [
        ("train/coast/138.jpg", "train/coast/214.jpg"),
        ("train/mountain/039.jpg", "train/mountain/190.jpg"),
        ("train/tall_building/012.jpg", "train/tall_building/103.jpg"),
    ] {
        assert!(within.contains(&(first, second, false)), "{first} {second}: {within:?}");
    }
    // Pairs of views from nearly the same point; a handful is close to the threshold.
    assert!((36..=50).contains(&(report.across.count + report.within.count)), "{across:?} {within:?}");
}
