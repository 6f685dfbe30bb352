//! `synthetic_scenes`: eight classes of drawn landscapes and streets, named as in the reference study, for a first run
//! without files. Image number `n` of a part is the same for any counts.
//!
//! They are hard on purpose: colours vary, a part of every image comes from a scene of another class, bars hide parts
//! and noise covers all of it, so that different networks reach different accuracies.

mod canvas;
mod draw;

use sweep_spec::Digest;

use self::canvas::Canvas;
use super::{Contents, Shape, Sink, Source, picture};
use crate::failure::Failure;
use crate::random::{Purpose, Stream};

const CLASSES: [&str; 8] =
    ["coast", "forest", "highway", "inside_city", "mountain", "open_country", "street", "tall_building"];
/// Raised whenever the drawings change.
const VERSION: u32 = 1;
/// The largest share of another class's scene in an image.
const MAX_DISTRACTION: f64 = 0.45;
const MAX_NOISE: f64 = 0.14;

/// The scenes of one data set.
#[derive(Debug)]
pub(super) struct Scenes {
    seed: u64,
    train: u32,
    test: u32,
}

impl Scenes {
    pub(super) fn new(seed: u64, train: u32, test: u32) -> Result<Self, Failure> {
        let classes = CLASSES.len() as u32;
        if train < classes || test < classes || u64::from(train) + u64::from(test) > u64::from(u32::MAX) {
            return Err(Failure::spec(format!(
                "synthetic_scenes needs at least one training and one test image of each of its {classes} classes"
            )));
        }
        Ok(Self { seed, train, test })
    }

    fn picture(&self, part: u64, number: u32, size: u32) -> Canvas {
        let mut stream = Stream::new(self.seed, Purpose::Scene, "", &[part, u64::from(number)]);
        let class = class(number);
        let mut canvas = Canvas::new(size);
        draw::scene(&mut canvas, class, &mut stream);
        let other = (class + 1 + stream.below(CLASSES.len() as u32 - 1) as usize) % CLASSES.len();
        let mut distraction = Canvas::new(size);
        draw::scene(&mut distraction, other, &mut stream);
        canvas.blend(&distraction, stream.between(0.0, MAX_DISTRACTION));
        for _ in 0..stream.below(3) {
            canvas.bar(&mut stream);
        }
        canvas.tint(&mut stream);
        let noise = stream.between(0.04, MAX_NOISE);
        canvas.noise(noise, &mut stream);
        canvas
    }
}

/// Classes alternate, so that any count is balanced.
fn class(number: u32) -> usize {
    number as usize % CLASSES.len()
}

impl Source for Scenes {
    fn identity(&self) -> Result<Digest, Failure> {
        Ok(Digest::of(format!("synthetic_scenes {VERSION} {} {} {}", self.seed, self.train, self.test).as_bytes()))
    }

    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure> {
        for (part, count) in [(0, self.train), (1, self.test)] {
            for number in 0..count {
                let picture = self.picture(part, number, shape.size).into_picture();
                let picture = picture.ok_or_else(|| Failure::spec("cannot draw a scene of this size"))?;
                sink(&picture::fit(picture, shape))?;
            }
        }
        let labels = (0..self.train).chain(0..self.test).map(|number| class(number) as u16).collect();
        Ok(Contents { classes: CLASSES.map(str::to_owned).to_vec(), labels, train: self.train as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels: 3, size: 16 };

    fn drawn(scenes: &Scenes) -> (Contents, Vec<Vec<u8>>) {
        let mut images = Vec::new();
        let contents = scenes.decode(SHAPE, &mut |planes| {
            images.push(planes.to_vec());
            Ok(())
        });
        (contents.unwrap(), images)
    }

    #[test]
    fn a_picture_depends_on_seed_part_and_number_alone() {
        let (few, few_images) = drawn(&Scenes::new(1, 8, 8).unwrap());
        let (many, many_images) = drawn(&Scenes::new(1, 20, 9).unwrap());
        assert_eq!(few_images[..8], many_images[..8]);
        assert_eq!(few_images[8..16], many_images[20..28]);
        assert_ne!(drawn(&Scenes::new(2, 8, 8).unwrap()).1, few_images);
        assert_ne!(few_images[0], few_images[8], "the parts differ");
        assert_eq!((few.train, many.train), (8, 20));
        assert_eq!(few.classes.len(), 8);
    }

    #[test]
    fn classes_are_balanced_and_none_is_missing() {
        let (contents, _) = drawn(&Scenes::new(1, 17, 8).unwrap());
        for class in 0..8 {
            let count = contents.labels[..17].iter().filter(|label| **label == class).count();
            assert!((2..=3).contains(&count));
        }
        assert!(Scenes::new(1, 7, 8).is_err());
        assert!(Scenes::new(1, u32::MAX, 8).is_err());
    }
}
