//! Converts one image, from a file's bytes or raw planes, to planes of the requested shape. A file is rotated by its
//! EXIF orientation. Grey is repeated for three channels, colour converted to grey (Rec. 709 luma), and the size
//! changed with a triangle filter that ignores the aspect ratio.

use std::borrow::Cow;
use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::{Shape, complete, memory};

/// The longest side of an image, in pixels. Resizing needs 16 bytes per pixel of a side times the new size, so without
/// a limit a long side could need any amount of memory, however few pixels the image has.
const MAX_SIDE: u32 = 16_384;
/// The most pixels of an image.
const MAX_PIXELS: u64 = 100_000_000;
/// The most memory that decoding may allocate, in bytes, including the pixels.
const MAX_ALLOCATED: u64 = 512 * MIB;
const MIB: u64 = 1 << 20;

/// Why a file cannot be used as an image.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the file is truncated: the end marker of a {0} file is missing")]
    CutOff(&'static str),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(
        "decoding its {width} x {height} pixels takes {} MiB of memory, but an image may take at most {} MiB: make it \
        smaller, or save a progressive JPEG as a baseline JPEG", needed.div_ceil(MIB), limit / MIB
    )]
    TooMuchMemory { width: u32, height: u32, needed: u64, limit: u64 },
    #[error(transparent)]
    Decoder(#[from] ImageError),
}

/// An image has too many pixels.
#[derive(Debug, thiserror::Error)]
#[error(
    "it has {width} x {height} pixels, but an image may have at most {MAX_SIDE} pixels on a side and {MAX_PIXELS} in \
    total: make it smaller"
)]
pub(super) struct TooLarge {
    width: u32,
    height: u32,
}

/// Rejects a size before anything of that size is allocated.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), TooLarge> {
    let fits = width.max(height) <= MAX_SIDE && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(TooLarge { width, height }) }
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        Self::Decoder(error.into())
    }
}

/// An image after its orientation was applied.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) picture: DynamicImage,
    /// Whether its file has an orientation that rotates or mirrors it.
    pub(super) turned: bool,
}

/// Decodes a JPEG or PNG file.
///
/// # Errors
/// It is truncated, or the decoder rejects it.
pub(super) fn decode(bytes: &[u8], shape: Shape) -> Result<Vec<u8>, Unreadable> {
    Ok(fit(open(bytes)?.picture, shape))
}

/// A JPEG or PNG file in its own size, rotated by its EXIF orientation.
pub(super) fn open(bytes: &[u8]) -> Result<Opened, Unreadable> {
    open_within(bytes, MAX_ALLOCATED)
}

/// Opens a file if decoding it takes at most so many bytes.
fn open_within(bytes: &[u8], limit: u64) -> Result<Opened, Unreadable> {
    let format = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.format();
    let bytes = match format {
        Some(ImageFormat::Jpeg) if !complete::jpeg(bytes) => return Err(Unreadable::CutOff("JPEG")),
        Some(ImageFormat::Png) if !complete::png(bytes) => return Err(Unreadable::CutOff("PNG")),
        Some(ImageFormat::Png) => complete::without_metadata(bytes),
        Some(_) | None => Cow::Borrowed(bytes),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes.as_ref())).with_guessed_format()?;
    reader.limits(limits());
    // This reads the header and no pixels.
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let orientation = decoder.orientation()?;
    let pixels = decoder.total_bytes();
    let beside = if format == Some(ImageFormat::Jpeg) { memory::of_jpeg(&bytes, (width, height)) } else { 0 };
    // A quarter turn makes a second picture, when the first one is decoded.
    let turned = if is_quarter_turn(orientation) { pixels } else { 0 };
    let needed = pixels.saturating_add(beside.max(turned));
    if needed > limit {
        return Err(Unreadable::TooMuchMemory { width, height, needed, limit });
    }
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(Opened { picture, turned: orientation != Orientation::NoTransforms })
}

fn is_quarter_turn(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

/// The decoder's own limits. The sides are checked here, so that the error names them.
fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATED);
    limits
}

/// Converts a decoded image to `shape`: one plane of bytes per channel.
pub(super) fn fit(picture: DynamicImage, shape: Shape) -> Vec<u8> {
    let (size, fits) = (shape.size, picture.width() == shape.size && picture.height() == shape.size);
    let grey = shape.channels == 1 || !picture.color().has_color();
    let mut planes = Vec::with_capacity(shape.bytes());
    if grey {
        let picture = picture.into_luma8();
        let picture: GrayImage = if fits { picture } else { resize(&picture, size, size, FilterType::Triangle) };
        for _ in 0..shape.channels {
            planes.extend_from_slice(picture.as_raw());
        }
    } else {
        let picture = picture.into_rgb8();
        let picture: RgbImage = if fits { picture } else { resize(&picture, size, size, FilterType::Triangle) };
        for channel in 0..3 {
            planes.extend(picture.as_raw().iter().skip(channel).step_by(3));
        }
    }
    planes
}

/// An image of raw planes, as in idx and CIFAR-10 files; `planes` is 1 or 3.
pub(super) fn from_planes(bytes: &[u8], width: u32, height: u32) -> Option<DynamicImage> {
    let area = width as usize * height as usize;
    if bytes.len() == area {
        return GrayImage::from_raw(width, height, bytes.to_vec()).map(DynamicImage::ImageLuma8);
    }
    if bytes.len() != 3 * area {
        return None;
    }
    let pixels = (0..area).flat_map(|at| [bytes[at], bytes[area + at], bytes[2 * area + at]]).collect();
    RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_repeated_and_colour_converted() {
        let grey = from_planes(&[10, 20, 30, 40], 2, 2).unwrap();
        let planes = fit(grey, Shape { channels: 3, size: 2 });
        assert_eq!(planes, [10, 20, 30, 40, 10, 20, 30, 40, 10, 20, 30, 40]);
        let colour = from_planes(&[255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255], 2, 2).unwrap();
        let planes = fit(colour.clone(), Shape { channels: 3, size: 2 });
        assert_eq!(planes, [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]);
        let luma = fit(colour, Shape { channels: 1, size: 2 });
        assert!(luma[1] > luma[0] && luma[0] > luma[2] && luma[3] == 255, "{luma:?}");
    }

    #[test]
    fn any_size_is_brought_to_the_shape() {
        let picture = from_planes(&[100; 7 * 5], 7, 5).unwrap();
        assert_eq!(fit(picture, Shape { channels: 1, size: 3 }), [100; 9]);
    }

    #[test]
    fn a_side_and_all_pixels_have_a_limit() {
        for (width, height) in [(1, 1), (MAX_SIDE, 1), (1, MAX_SIDE), (10_000, 10_000)] {
            assert!(check_size(width, height).is_ok(), "{width} x {height}");
        }
        for (width, height) in [(MAX_SIDE + 1, 1), (1, u32::MAX), (10_001, 10_000), (u32::MAX, u32::MAX)] {
            let reason = check_size(width, height).unwrap_err().to_string();
            assert!(reason.starts_with(&format!("it has {width} x {height} pixels")), "{reason}");
        }
    }

    /// The decoder keeps the coefficients of a progressive file, which take as much memory as the pixels or twice that.
    #[test]
    fn memory_is_bounded_before_a_pixel_is_decoded() {
        let progressive = include_bytes!("../../tests/data/pictures/progressive.jpg");
        let baseline = include_bytes!("../../tests/data/pictures/baseline.jpg");
        let pixels = 56 * 40 * 3;
        let needed = pixels + memory::of_jpeg(progressive, (56, 40));
        assert!(open_within(progressive, needed).is_ok());
        let reason = open_within(progressive, needed - 1).unwrap_err().to_string();
        assert!(reason.starts_with("decoding its 56 x 40 pixels takes 1 MiB of memory"), "{reason}");
        assert!(open_within(baseline, needed - 1).is_ok(), "it is decoded row by row");
        let mut large = progressive.to_vec();
        let frame = large.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
        let side = 10_000_u16.to_be_bytes();
        large[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
        let reason = open(&large).unwrap_err().to_string();
        assert!(reason.starts_with("decoding its 10000 x 10000 pixels takes 573 MiB of memory"), "{reason}");
    }

    #[test]
    fn a_quarter_turn_counts_as_a_second_picture() {
        let file = |orientation| {
            let mut png = Vec::new();
            oriented(image::codecs::png::PngEncoder::new(&mut png), orientation);
            png
        };
        let (limit, enough) = (2 * 32 * 24 - 1, 2 * 32 * 24);
        assert!(open_within(&file(3), limit).is_ok(), "half a turn needs no second one");
        assert!(matches!(open_within(&file(6), limit), Err(Unreadable::TooMuchMemory { .. })));
        assert!(open_within(&file(6), enough).is_ok());
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let shape = Shape { channels: 1, size: 3 };
        assert!(decode(b"", shape).is_err());
        assert!(decode(b"\xff\xd8\xff\xe0 not a picture", shape).is_err());
    }

    /// Twelve blocks of 8 × 8 pixels that every rotation and reflection changes.
    fn stored() -> GrayImage {
        GrayImage::from_fn(32, 24, |x, y| image::Luma([(20 * (x / 8 + 4 * (y / 8))) as u8]))
    }

    /// Where the pixel that is seen at `x`, `y` is stored, by the table of the EXIF standard.
    fn place(orientation: u8, (x, y): (u32, u32), (width, height): (u32, u32)) -> (u32, u32) {
        match orientation {
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            8 => (width - 1 - y, x),
            _ => (x, y),
        }
    }

    fn oriented(mut encoder: impl image::ImageEncoder, orientation: u8) {
        let exif = [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation, 0, 0, 0, 0, 0, 0]].concat();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(stored().as_raw(), 32, 24, image::ExtendedColorType::L8).unwrap();
    }

    #[test]
    fn all_orientations_are_applied() {
        for orientation in 0..=9 {
            let (mut png, mut jpeg) = (Vec::new(), Vec::new());
            oriented(image::codecs::png::PngEncoder::new(&mut png), orientation);
            oriented(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100), orientation);
            let seen = if (5..=8).contains(&orientation) { (24, 32) } else { (32, 24) };
            for file in [png, jpeg] {
                let Opened { picture, turned } = open(&file).unwrap();
                assert_eq!(turned, (2..=8).contains(&orientation), "{orientation}");
                let picture = picture.to_luma8();
                assert_eq!(picture.dimensions(), seen, "{orientation}");
                for (x, y, found) in picture.enumerate_pixels() {
                    let (column, row) = place(orientation, (x, y), (32, 24));
                    let expected = stored().get_pixel(column, row)[0];
                    assert!(found[0].abs_diff(expected) <= 2, "{orientation} at {x}, {y}: {} for {expected}", found[0]);
                }
            }
        }
    }
}
