//! A small colour image to draw on. Positions are fractions of its side, so a scene looks alike at any size. Colours
//! are fractions of full brightness, and may exceed it until the image is finished.

use image::{DynamicImage, RgbImage};

use crate::random::Stream;

pub(super) type Colour = [f64; 3];

#[derive(Debug, Clone)]
pub(super) struct Canvas {
    size: u32,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(size: u32) -> Self {
        Self { size, pixels: vec![[0.0; 3]; size as usize * size as usize] }
    }

    /// Sets every pixel to the colour that `paint` returns for its position (across, down), if it returns one.
    pub(super) fn paint(&mut self, mut paint: impl FnMut(f64, f64) -> Option<Colour>) {
        let side = f64::from(self.size);
        for (index, pixel) in self.pixels.iter_mut().enumerate() {
            let (row, column) = (index as u32 / self.size, index as u32 % self.size);
            if let Some(colour) = paint((f64::from(column) + 0.5) / side, (f64::from(row) + 0.5) / side) {
                *pixel = colour;
            }
        }
    }

    /// Mixes in `share` of another image of the same size.
    pub(super) fn blend(&mut self, other: &Self, share: f64) {
        for (pixel, other) in self.pixels.iter_mut().zip(&other.pixels) {
            *pixel = mix(*pixel, *other, share);
        }
    }

    /// Draws a bar of one colour from edge to edge.
    pub(super) fn bar(&mut self, stream: &mut Stream) {
        let colour = [stream.unit(), stream.unit(), stream.unit()];
        let (place, width) = (stream.unit(), stream.between(0.02, 0.10));
        let upright = stream.below(2) == 0;
        self.paint(|x, y| ((if upright { x } else { y }) - place).abs().le(&(width / 2.0)).then_some(colour));
    }

    /// Changes brightness, contrast and each channel's weight.
    pub(super) fn tint(&mut self, stream: &mut Stream) {
        let (contrast, brightness) = (stream.between(0.5, 1.1), stream.between(-0.15, 0.15));
        let weights = [stream.between(0.7, 1.3), stream.between(0.7, 1.3), stream.between(0.7, 1.3)];
        for pixel in &mut self.pixels {
            for (value, weight) in pixel.iter_mut().zip(weights) {
                *value = ((*value - 0.5) * contrast + 0.5 + brightness) * weight;
            }
        }
    }

    /// Adds noise of this standard deviation to every value.
    pub(super) fn noise(&mut self, deviation: f64, stream: &mut Stream) {
        for value in self.pixels.iter_mut().flatten() {
            // Uniform noise of the same deviation: far cheaper than normal noise, and as disturbing.
            *value += (stream.unit() - 0.5) * 12.0_f64.sqrt() * deviation;
        }
    }

    pub(super) fn into_picture(self) -> Option<DynamicImage> {
        let bytes = self.pixels.into_iter().flatten().map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8);
        RgbImage::from_raw(self.size, self.size, bytes.collect()).map(DynamicImage::ImageRgb8)
    }
}

/// `share` of the second colour, the rest of the first.
pub(super) fn mix(first: Colour, second: Colour, share: f64) -> Colour {
    std::array::from_fn(|channel| first[channel] * (1.0 - share) + second[channel] * share)
}
