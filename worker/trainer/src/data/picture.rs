//! One picture: from a file's bytes or raw planes to planes of the shape that is asked for. Grey is repeated, colour
//! converted (Rec. 709 luma), the size changed with a triangle filter without regard to proportions.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageReader, RgbImage};

use super::Shape;

/// Decodes a JPEG or PNG file.
///
/// # Errors
/// What the decoder says of it.
pub(super) fn decode(bytes: &[u8], shape: Shape) -> Result<Vec<u8>, image::ImageError> {
    Ok(fit(open(bytes)?, shape))
}

/// A JPEG or PNG file as it is.
pub(super) fn open(bytes: &[u8]) -> Result<DynamicImage, image::ImageError> {
    ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.decode()
}

/// Brings a decoded picture to `shape`: one plane of bytes for each channel.
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

/// A picture of raw planes, as idx and CIFAR-10 files hold them; `planes` are 1 or 3.
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
    fn damaged_bytes_are_an_error() {
        let shape = Shape { channels: 1, size: 3 };
        assert!(decode(b"", shape).is_err());
        assert!(decode(b"\xff\xd8\xff\xe0 not a picture", shape).is_err());
    }
}
