//! The fingerprint of an image: a hash of its pixels for exact copies, and a grey thumbnail for near ones.

use image::DynamicImage;
use sweep_spec::Digest;

use super::thumbnail::Thumbnail;

/// The fingerprint of an image.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint {
    /// Hash of its size and its pixels as colours, independent of the file format.
    pub(super) content: Digest,
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1 or 3; transparency is not a channel.
    pub(super) channels: u32,
    /// Whether its file has an EXIF orientation, which was applied.
    pub(super) turned: bool,
    pub(super) thumbnail: Thumbnail,
    /// The mean colour of an image without contrast.
    pub(super) flat: Option<[u8; 3]>,
}

impl Fingerprint {
    pub(super) fn of(picture: &DynamicImage) -> Self {
        let channels = if picture.color().has_color() { 3 } else { 1 };
        let (width, height) = (picture.width(), picture.height());
        let colours = picture.to_rgb8();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&width.to_le_bytes()).update(&height.to_le_bytes());
        hasher.update(colours.as_raw());
        let content = Digest::from_bytes(*hasher.finalize().as_bytes());
        let thumbnail = Thumbnail::of(picture);
        let flat = thumbnail.is_flat().then(|| mean(colours.as_raw()));
        Self { content, width, height, channels, turned: false, thumbnail, flat }
    }
}

fn mean(colours: &[u8]) -> [u8; 3] {
    let count = (colours.len() as u64 / 3).max(1);
    std::array::from_fn(|channel| {
        let sum: u64 = colours.iter().skip(channel).step_by(3).map(|&value| u64::from(value)).sum();
        (sum / count) as u8
    })
}
