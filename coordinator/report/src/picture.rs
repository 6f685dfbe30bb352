//! Cuts single pictures out of a sheet. The sheet is decoded row by row and only the requested pictures are kept, so a
//! large sheet takes little memory. A sheet that is not a PNG of the expected form gives no pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

use crate::material::Sheet;

/// The largest side of a picture, in pixels. A sheet with larger pictures does not come from our trainer.
const MAX_SIDE: usize = 256;

/// Pictures by the index of their image.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    side: usize,
    channels: usize,
    pixels: BTreeMap<usize, Vec<u8>>,
}

impl Pictures {
    /// Cuts out the pictures of these images. Images that are not on the sheet are left out.
    pub(crate) fn cut(sheet: &Sheet, wanted: &BTreeSet<usize>) -> Self {
        Self::try_cut(sheet, wanted).unwrap_or_default()
    }

    fn try_cut(sheet: &Sheet, wanted: &BTreeSet<usize>) -> Option<Self> {
        let mut decoder = Decoder::new(Cursor::new(sheet.png.as_slice()));
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let mut reader = decoder.read_info().ok()?;
        let channels = match reader.output_color_type() {
            (ColorType::Rgb, BitDepth::Eight) => 3,
            (ColorType::Grayscale, BitDepth::Eight) => 1,
            _ => return None,
        };
        let columns = sheet.columns as usize;
        let width = reader.info().width as usize;
        let side = width.checked_div(columns)?;
        if side == 0 || side > MAX_SIDE || side * columns != width || reader.info().interlaced {
            return None;
        }
        let mut pictures = Self { side, channels, pixels: BTreeMap::new() };
        let last = wanted.last()? / columns * side + side;
        for y in 0..last {
            let Ok(Some(row)) = reader.next_row() else { break };
            let first = y / side * columns;
            for &index in wanted.range(first..first + columns) {
                let start = (index - first) * side * channels;
                let piece = row.data().get(start..start + side * channels)?;
                pictures.pixels.entry(index).or_default().extend_from_slice(piece);
            }
        }
        pictures.pixels.retain(|_, pixels| pixels.len() == side * side * channels);
        Some(pictures)
    }

    /// The number of pictures.
    pub(crate) fn len(&self) -> usize {
        self.pixels.len()
    }

    /// A picture as a `data:` URL of a PNG.
    pub(crate) fn data_url(&self, index: usize) -> Option<String> {
        let pixels = self.pixels.get(&index)?;
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.side as u32, self.side as u32);
        encoder.set_color(if self.channels == 3 { ColorType::Rgb } else { ColorType::Grayscale });
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().ok()?;
        writer.write_image_data(pixels).ok()?;
        writer.finish().ok()?;
        Some(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(columns: u32, rows: u32, side: u32) -> Sheet {
        let (width, height) = (columns * side, rows * side);
        let pixel = |x: u32, y: u32| [(y / side * columns + x / side) as u8, 7, 9];
        let data: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        let mut png = Vec::new();
        let mut encoder = Encoder::new(&mut png, width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&data).unwrap();
        Sheet { png, columns }
    }

    #[test]
    fn every_picture_is_its_own_part_of_the_sheet() {
        let pictures = Pictures::cut(&sheet(32, 3, 4), &BTreeSet::from([0, 33, 95, 96, 1000]));
        assert_eq!(pictures.len(), 3);
        for (index, pixels) in &pictures.pixels {
            assert!(pixels.chunks(3).all(|pixel| pixel == [*index as u8, 7, 9]), "{index}");
            let url = pictures.data_url(*index).unwrap();
            let bytes = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
            let mut reader = Decoder::new(Cursor::new(bytes)).read_info().unwrap();
            let mut read = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut read).unwrap();
            assert_eq!(&read, pixels);
        }
        assert!(pictures.data_url(96).is_none());
    }

    #[test]
    fn what_is_no_sheet_gives_no_pictures() {
        let wanted = BTreeSet::from([0, 40]);
        let good = sheet(32, 3, 4);
        for length in [0, 8, 60, good.png.len() / 2] {
            let cut = Sheet { png: good.png[..length].to_vec(), columns: 32 };
            assert!(Pictures::cut(&cut, &wanted).len() <= 1, "{length} bytes");
        }
        assert_eq!(Pictures::cut(&Sheet { columns: 31, ..good.clone() }, &wanted).len(), 0);
        assert_eq!(Pictures::cut(&Sheet { columns: 0, ..good.clone() }, &wanted).len(), 0);
        assert_eq!(Pictures::cut(&good, &BTreeSet::new()).len(), 0);
    }
}
