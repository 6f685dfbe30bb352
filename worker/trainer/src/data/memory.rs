//! How much memory the decoder of a JPEG file takes beside the pixels, computed from the file's headers. The headers are
//! read as the decoder reads them: whatever follows 0xFF and is neither 0xFF nor 0 is a marker with a length.

/// Bytes of a coefficient as the decoder keeps it.
const COEFFICIENT_BYTES: u64 = 2;
/// Pixels on a side of a block.
const BLOCK: u64 = 8;
/// The most components, the most blocks of one of them on a side of a unit, for a file whose headers are not understood.
const MOST_COMPONENTS: u64 = 4;
const MOST_SAMPLES: u64 = 4;

/// The start of a frame, up to the first scan.
struct Frame<'a> {
    progressive: bool,
    width: u32,
    height: u32,
    /// Three bytes for each: its number, its samples across and down, its table.
    components: &'a [[u8; 3]],
    /// How many of them the first scan has.
    scanned: u8,
}

/// Bytes beside the pixels of a JPEG file with this width and height: a copy of the file, and the coefficients of the whole
/// picture if it is put together from several scans. Others are decoded row by row.
pub(super) fn of_jpeg(bytes: &[u8], (width, height): (u32, u32)) -> u64 {
    let frame = headers(bytes).filter(|frame| (frame.width, frame.height) == (width, height));
    let coefficients = match frame {
        Some(frame) if frame.is_kept_whole() => frame.coefficients(),
        Some(_) => 0,
        None => MOST_COMPONENTS * blocks(width, MOST_SAMPLES) * blocks(height, MOST_SAMPLES) * BLOCK * BLOCK,
    };
    bytes.len() as u64 + COEFFICIENT_BYTES * coefficients
}

impl Frame<'_> {
    fn is_kept_whole(&self) -> bool {
        self.progressive || usize::from(self.scanned) != self.components.len()
    }

    /// Of all components. Each is padded to whole units, of as many blocks as the component with most samples has.
    fn coefficients(&self) -> u64 {
        let samples = || self.components.iter().map(|[_, both, _]| (u64::from(both >> 4), u64::from(both & 0xF)));
        let across = samples().map(|(across, _)| across).max().unwrap_or(1).max(1);
        let down = samples().map(|(_, down)| down).max().unwrap_or(1).max(1);
        let units = (blocks(self.width, across) / across) * (blocks(self.height, down) / down);
        samples().map(|(across, down)| units * across * down * BLOCK * BLOCK).sum()
    }
}

/// Blocks along a side, padded to a multiple of `samples`.
fn blocks(side: u32, samples: u64) -> u64 {
    u64::from(side).div_ceil(BLOCK * samples) * samples
}

/// Reads the headers up to the first scan; nothing if they lead nowhere.
fn headers(bytes: &[u8]) -> Option<Frame<'_>> {
    let mut rest = bytes.get(2..)?;
    let (mut before, mut frame) = (0, None);
    loop {
        let (&code, behind) = rest.split_first()?;
        rest = behind;
        let is_marker = before == 0xFF && !matches!(code, 0 | 0xFF);
        before = code;
        if !is_marker {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let content = rest.get(2..length)?;
        match (code, content) {
            (0xC0..=0xC2, [_, top, bottom, left, right, _, components @ ..]) => {
                frame = Some(Frame {
                    progressive: code == 0xC2,
                    width: u16::from_be_bytes([*left, *right]).into(),
                    height: u16::from_be_bytes([*top, *bottom]).into(),
                    components: components.as_chunks().0,
                    scanned: 0,
                });
            }
            (0xDA, [scanned, ..]) => return Some(Frame { scanned: *scanned, ..frame? }),
            _ => {}
        }
        rest = rest.get(length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/pictures/progressive.jpg");
    const BASELINE: &[u8] = include_bytes!("../../tests/data/pictures/baseline.jpg");
    const GREY: &[u8] = include_bytes!("../../tests/data/pictures/grey_progressive.jpg");
    /// Of all three.
    const SIZE: (u32, u32) = (56, 40);

    fn beside(bytes: &[u8]) -> u64 {
        of_jpeg(bytes, SIZE) - bytes.len() as u64
    }

    #[test]
    fn coefficients_count_for_files_of_several_scans() {
        // Four by three units, each of four blocks of brightness and two of colour.
        assert_eq!(beside(PROGRESSIVE), 4 * 3 * (4 + 1 + 1) * 64 * 2);
        assert_eq!(beside(GREY), 7 * 5 * 64 * 2);
        assert_eq!(beside(BASELINE), 0);
        // A baseline file whose first scan has one component of three.
        let scan = BASELINE.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        let mut planes = BASELINE.to_vec();
        planes[scan + 4] = 1;
        assert_eq!(beside(&planes), beside(PROGRESSIVE));
        // Bytes that fill, and stray bytes, as decoders skip them.
        let filled = [&PROGRESSIVE[..2], b"\xff\0\xc0stray\xff\xff", &PROGRESSIVE[3..]].concat();
        assert_eq!(beside(&filled), beside(PROGRESSIVE));
    }

    #[test]
    fn headers_that_say_nothing_or_another_size_count_as_the_most() {
        // 56 x 40 pixels in units of 32 x 32.
        let most = 4 * 64 * 64 * 2;
        for bytes in [&b""[..], b"\xff\xd8", b"\xff\xd8\xff\xc2\0\x01", &PROGRESSIVE[..100]] {
            assert_eq!(beside(bytes), most, "{bytes:?}");
        }
        assert_eq!(of_jpeg(BASELINE, (57, 40)), BASELINE.len() as u64 + most);
    }
}
