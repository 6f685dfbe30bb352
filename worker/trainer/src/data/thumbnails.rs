//! A sheet of thumbnails of the validation images, for pages that show misclassified images: image `i` of the
//! validation data is in row `i / COLUMNS`, column `i % COLUMNS`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{RgbImage, imageops};

use super::Images;
use crate::failure::Failure;

const FILE: &str = "thumbnails.png";
const COLUMNS: usize = 32;
/// The largest height and width of a thumbnail, in pixels.
const MAX_SIDE: u32 = 64;

/// Writes the sheet to `folder`, unless it exists.
pub(crate) fn write(images: &Images, validation: &[u32], folder: &Path) -> Result<(), Failure> {
    let path = folder.join(FILE);
    if path.exists() || validation.is_empty() {
        return Ok(());
    }
    let size = images.shape.size;
    let side = size.min(MAX_SIDE);
    let rows = validation.len().div_ceil(COLUMNS) as u32;
    let mut sheet = RgbImage::new(side * COLUMNS as u32, side * rows);
    for (position, &index) in validation.iter().enumerate() {
        let planes = images.image(index);
        let area = (size * size) as usize;
        let channel = |channel: usize| if images.shape.channels == 3 { channel * area } else { 0 };
        let thumbnail = RgbImage::from_fn(size, size, |x, y| {
            let at = (y * size + x) as usize;
            image::Rgb([planes[channel(0) + at], planes[channel(1) + at], planes[channel(2) + at]])
        });
        let thumbnail = if side == size { thumbnail } else { resize(&thumbnail, side, side, FilterType::Triangle) };
        let (x, y) = ((position % COLUMNS) as u32 * side, (position / COLUMNS) as u32 * side);
        imageops::replace(&mut sheet, &thumbnail, i64::from(x), i64::from(y));
    }
    let unwritten = || Failure::machine(format!("cannot write {}", path.display()));
    let mut file = BufWriter::new(File::create(&path).map_err(|error| unwritten().because(error))?);
    sheet.write_to(&mut file, image::ImageFormat::Png).map_err(|error| unwritten().because(error))
}
