//! Detects truncated image files. Decoders fill missing parts with grey without an error, so this follows the structure
//! of the file, segment by segment, to its end marker. Bytes after that marker are ignored; markers inside a segment,
//! such as those of a thumbnail, are skipped with it.

use std::borrow::Cow;

/// Bytes before the first chunk of a PNG file.
const PNG_SIGNATURE: usize = 8;

/// Chunks of a PNG file with metadata that does not change pixels here.
const METADATA_CHUNKS: [&[u8]; 4] = [b"iCCP", b"iTXt", b"tEXt", b"zTXt"];

/// Whether a JPEG file reaches its end-of-image marker.
///
/// Between two markers there may be image data, in which only restart markers occur, and stray bytes, which decoders
/// skip too.
pub(super) fn jpeg(bytes: &[u8]) -> bool {
    const START_OF_IMAGE: u8 = 0xD8;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut at = 0;
    while let Some(&[first, second]) = bytes.get(at..at + 2) {
        at += match (first, second) {
            (0xFF, END_OF_IMAGE) => return true,
            // A fill byte: the marker's code comes later.
            (0xFF, 0xFF) => 1,
            // A stuffed byte, and the markers without a length, restarts among them.
            (0xFF, 0x00 | 0x01 | 0xD0..=START_OF_IMAGE) => 2,
            (0xFF, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                Some(_) | None => return false,
            },
            _ => 1,
        };
    }
    false
}

/// Whether a PNG file contains its last chunk.
pub(super) fn png(bytes: &[u8]) -> bool {
    chunks(bytes).any(|(kind, _)| kind == b"IEND")
}

/// Removes the texts and the colour profile of a PNG file, which do not change a pixel here. A decoder keeps all of
/// them and decompresses the profile: a small file could fill the memory.
pub(super) fn without_metadata(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_remark = |kind: &[u8]| METADATA_CHUNKS.contains(&kind);
    if !chunks(bytes).any(|(kind, _)| is_remark(kind)) {
        return Cow::Borrowed(bytes);
    }
    let mut kept = bytes.get(..PNG_SIGNATURE).unwrap_or_default().to_vec();
    chunks(bytes).filter(|(kind, _)| !is_remark(kind)).for_each(|(_, whole)| kept.extend_from_slice(whole));
    Cow::Owned(kept)
}

/// Kind and bytes of each complete chunk of a PNG file, up to the end chunk.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(PNG_SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        // Length, kind, content, checksum.
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (whole, behind) = rest.split_at_checked(length.checked_add(12)?)?;
        let kind = whole.get(4..8)?;
        rest = if kind == b"IEND" { &[] } else { behind };
        Some((kind, whole))
    })
}

#[cfg(test)]
mod tests {
    use super::super::picture::open;

    /// Random images that another library wrote: with one scan and with several, grey and in colour, with restarts.
    const FILES: [(&str, &[u8]); 5] = [
        ("baseline", include_bytes!("../../tests/data/pictures/baseline.jpg")),
        ("progressive", include_bytes!("../../tests/data/pictures/progressive.jpg")),
        ("grey baseline", include_bytes!("../../tests/data/pictures/grey_restarts.jpg")),
        ("grey progressive", include_bytes!("../../tests/data/pictures/grey_progressive.jpg")),
        ("with a thumbnail", include_bytes!("../../tests/data/pictures/thumbnail.jpg")),
    ];

    const END: [u8; 2] = [0xFF, 0xD9];

    fn drawn_png() -> Vec<u8> {
        let picture =
            image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * y) as u8, (x + y) as u8, (x ^ y) as u8]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let png = drawn_png();
        for (name, whole) in FILES.into_iter().chain([("png", png.as_slice())]) {
            assert!(open(whole).is_ok(), "{name}");
            for percent in 1..100 {
                let reason = open(&whole[..whole.len() * percent / 100]).map(drop).unwrap_err().to_string();
                assert!(!reason.is_empty(), "{name} at {percent} %");
            }
            for length in 0..whole.len() {
                assert!(open(&whole[..length]).is_err(), "{name} cut to {length} of {} bytes", whole.len());
            }
        }
    }

    #[test]
    fn a_cut_file_is_called_one() {
        let png = drawn_png();
        for (name, whole) in FILES.into_iter().chain([("png", png.as_slice())]) {
            let reason = open(&whole[..whole.len() - 20]).map(drop).unwrap_err().to_string();
            assert!(reason.starts_with("the file is truncated"), "{name}: {reason}");
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let (_, whole) = FILES[4];
        let ends: Vec<_> = whole.windows(2).enumerate().filter(|(_, pair)| *pair == END).map(|(at, _)| at).collect();
        assert_eq!(ends.len(), 2, "one of the thumbnail and one of the picture");
        assert!(!super::jpeg(&whole[..ends[0] + 400]));
    }

    #[test]
    fn what_stands_behind_the_end_or_between_segments_does_no_harm() {
        for (name, whole) in FILES {
            let expected = open(whole).unwrap().picture.to_rgb8();
            let followed = [whole, b"\0\0", whole, b"more bytes \xff\xd8"].concat();
            assert_eq!(open(&followed).unwrap().picture.to_rgb8(), expected, "{name}");
            let first = 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]])) - 2 + 2;
            let between = [&whole[..first], b"stray bytes", &whole[first..]].concat();
            assert_eq!(open(&between).unwrap().picture.to_rgb8(), expected, "{name}");
            let filled = [&whole[..first], &[0xFF; 5], &whole[first..]].concat();
            assert_eq!(open(&filled).unwrap().picture.to_rgb8(), expected, "{name}");
        }
        let png = drawn_png();
        let followed = [png.as_slice(), b"more bytes"].concat();
        assert_eq!(open(&followed).unwrap().picture, open(&png).unwrap().picture);
    }

    fn chunk(kind: &[u8], content: &[u8]) -> Vec<u8> {
        let body = [kind, content].concat();
        let mut sum = flate2::Crc::new();
        sum.update(&body);
        [&(content.len() as u32).to_be_bytes(), &body[..], &sum.sum().to_be_bytes()].concat()
    }

    #[test]
    fn remarks_are_left_out_and_change_no_pixel() {
        let whole = drawn_png();
        assert!(matches!(super::without_metadata(&whole), std::borrow::Cow::Borrowed(_)));
        // Signature and header.
        let (head, rest) = whole.split_at(super::PNG_SIGNATURE + 25);
        let remarks =
            [chunk(b"tEXt", b"a\0b"), chunk(b"zTXt", b"a\0\0?"), chunk(b"iTXt", b"?"), chunk(b"iCCP", b"p\0\0?")];
        let full = [head, &remarks.concat(), &chunk(b"pHYs", &[0; 9]), &remarks[0], rest].concat();
        let kept = [head, &chunk(b"pHYs", &[0; 9]), rest].concat();
        assert!(super::png(&full));
        assert_eq!(super::without_metadata(&full), kept);
        assert_eq!(open(&full).unwrap().picture, open(&whole).unwrap().picture);
    }

    #[test]
    fn lengths_that_lead_nowhere_end_the_walk() {
        for bytes in [&b"\xff\xd8\xff\xe0\0\0\xff\xd9"[..], b"\xff\xd8\xff\xe0\xff\xff\xff\xd9", b"\xff", b""] {
            let _ = super::jpeg(bytes);
        }
        assert!(!super::jpeg(b"\xff\xd8\xff\xe0\xff\xff\xff\xd9"));
        assert!(!super::png(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT"));
        assert!(!super::png(b""));
    }
}
