//! Small files that announce huge content: they are rejected by their headers, with a message that names the file and
//! the limit, and without the memory that they ask for. One test, because the allocator counts the whole process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stderr, reason = "what was measured is told to the person who reads it")]

use std::fs::File;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use peak_alloc::PeakAlloc;
use sweep_spec::dataset::Source;
use sweep_spec::{Classes, Dataset};
use sweep_trainer::data_check::{check, check_folder};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What may be allocated besides the content of the files.
const MAX_ALLOCATED: usize = 48 << 20;

/// Runs `work`, and panics if it uses more memory than the rejection of a small file needs.
#[track_caller]
fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    eprintln!("{what}: {} KiB at the highest", taken >> 10);
    assert!(taken < MAX_ALLOCATED, "{what} took {taken} bytes");
    result
}

/// Writes an image of this many pixels in a few thousand bytes.
fn picture(path: &Path, width: u32, height: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::new(width, height).save(path).unwrap();
}

/// A progressive JPEG file that is square and says how large.
fn progressive(path: &Path, side: u16) {
    let mut bytes = include_bytes!("data/pictures/progressive.jpg").to_vec();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
    std::fs::write(path, bytes).unwrap();
}

fn gzipped(path: &Path, header: &[u8], zeros: usize) {
    let mut out = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    out.write_all(header).unwrap();
    for _ in 0..zeros >> 16 {
        out.write_all(&[0; 1 << 16]).unwrap();
    }
    out.finish().unwrap();
}

fn idx_header(sides: &[u32]) -> Vec<u8> {
    let mut header = vec![0, 0, 8, sides.len() as u8];
    sides.iter().for_each(|side| header.extend(side.to_be_bytes()));
    header
}

/// An image with chunks between its header and its first pixel.
fn picture_with(path: &Path, chunks: impl FnOnce(&mut Vec<u8>)) {
    picture(path, 64, 48);
    let whole = std::fs::read(path).unwrap();
    let (head, rest) = whole.split_at(8 + 25);
    let mut with = head.to_vec();
    chunks(&mut with);
    with.extend_from_slice(rest);
    std::fs::write(path, with).unwrap();
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let begin = out.len() + 4;
    out.extend((content.len() as u32).to_be_bytes());
    out.extend_from_slice(kind);
    out.extend_from_slice(content);
    let mut sum = flate2::Crc::new();
    sum.update(&out[begin..]);
    out.extend(sum.sum().to_be_bytes());
}

/// These are read, and their metadata uses no memory: a colour profile of 256 MiB in 256 KiB, and a million texts.
fn pictures_with_remarks(folder: &Path) {
    let mut profile = ZlibEncoder::new(b"profile\0\0".to_vec(), Compression::best());
    profile.write_all(&vec![0; 1 << 28]).unwrap();
    let profile = profile.finish().unwrap();
    picture_with(&folder.join("train/a/profile.png"), |out| chunk(out, b"iCCP", &profile));
    picture_with(&folder.join("train/a/texts.png"), |out| (0..1_000_000).for_each(|_| chunk(out, b"tEXt", b"a\0")));
    let report = bounded("pictures with remarks", || check_folder(folder).unwrap());
    assert_eq!((report.train_images, report.unreadable.len()), (2, 0), "{:?}", report.unreadable);
}

#[test]
fn a_small_file_takes_little_memory_whatever_it_says() {
    let folder = tempfile::tempdir().unwrap();
    // A wide one, which is expensive to resize, and one that would be decoded to 200 MB.
    for (name, width, height) in [("wide.png", 1_500_000, 4), ("large.png", 15_000, 14_000)] {
        picture(&folder.path().join("set/train/a").join(name), width, height);
    }
    progressive(&folder.path().join("set/train/a/progressive.jpg"), 10_000);
    picture(&folder.path().join("set/train/a/good.png"), 64, 48);
    let report = bounded("three pictures", || check_folder(&folder.path().join("set")).unwrap());
    let reasons: Vec<_> = report.unreadable.iter().map(|file| (file.file.as_str(), file.reason.as_str())).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons.iter().any(|(file, why)| *file == "train/a/wide.png" && why.contains("1500000 x 4 pixels")));
    assert!(reasons.iter().any(|(_, why)| why.contains("10000 x 10000 pixels takes 573 MiB of memory")));
    assert!(reasons.iter().any(|(_, why)| why.contains("15000 x 14000") && why.contains("100000000 in total")));

    pictures_with_remarks(&folder.path().join("remarks"));
    let idx = folder.path().join("idx");
    std::fs::create_dir(&idx).unwrap();
    for part in ["train", "t10k"] {
        // 256 MiB of zeros after one image of six pixels.
        gzipped(&idx.join(format!("{part}-images-idx3-ubyte.gz")), &idx_header(&[1, 2, 3]), 1 << 28);
        std::fs::write(idx.join(format!("{part}-labels-idx1-ubyte")), [idx_header(&[1]), vec![0]].concat()).unwrap();
    }
    let dataset = Dataset {
        source: Source::Idx { path: "idx".into() },
        image_size: 8,
        channels: 1,
        classes: Classes::Count(2),
        digest: None,
    };
    let roots = [folder.path().to_owned()];
    let refused = bounded("a packed file", || check(&dataset, &roots).unwrap_err().reason);
    assert!(
        refused.contains("train-images-idx3-ubyte.gz") && refused.contains("1 x 2 x 3 = 6 values, but more"),
        "{refused}"
    );
    // As many images as the header announces: valid, and read one after the other.
    gzipped(&idx.join("train-images-idx3-ubyte.gz"), &idx_header(&[1 << 8, 1 << 10, 1 << 10]), 1 << 28);
    let labels = [idx_header(&[1 << 8]), vec![0; 1 << 8]].concat();
    std::fs::write(idx.join("train-labels-idx1-ubyte"), labels).unwrap();
    let refused = bounded("256 images of 1 MiB", || check(&dataset, &roots).unwrap_err().reason);
    assert!(refused.contains("t10k-images-idx3-ubyte.gz"), "the training part is sound: {refused}");
}
