//! Specs as the store keeps them: packed (zlib). A spec is mostly words that come again, and a list of sweeps must not pay
//! for them.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::Error;

/// No spec is longer than this: what is submitted has at most 1 MiB, and a damaged row must not fill the memory.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Packs a text.
///
/// # Errors
/// The text is longer than a spec may be.
pub(crate) fn pack(text: &[u8]) -> Result<Vec<u8>, Error> {
    if text.len() as u64 > LONGEST {
        return Err(Error::damaged(format!("a spec of {} bytes is longer than {LONGEST}", text.len())));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = encoder.write_all(text).and_then(|()| encoder.finish());
    packed.map_err(|error| Error::damaged(format!("a spec cannot be packed: {error}")))
}

/// The text of what `pack` made.
///
/// # Errors
/// It is something else, or its text is longer than a spec may be.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let read = ZlibDecoder::new(packed).take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Error::damaged(format!("a spec cannot be unpacked: {error}")))?;
    if text.len() as u64 > LONGEST {
        return Err(Error::damaged(format!("a spec is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_and_takes_little_room() {
        let text = "# a comment of a person who writes much\n".repeat(25_000).into_bytes();
        let packed = pack(&text).unwrap();
        assert!(packed.len() * 50 < text.len(), "{} of {} bytes", packed.len(), text.len());
        assert_eq!(unpack(&packed).unwrap(), text);
        assert_eq!(unpack(&pack(b"").unwrap()).unwrap(), b"");
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        (0..=LONGEST / 1024).for_each(|_| encoder.write_all(&[0; 1024]).unwrap());
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 100_000 && unpack(&bomb).unwrap_err().is_damage());
        assert!(unpack(b"version: 1").unwrap_err().is_damage());
        assert!(pack(&vec![0; LONGEST as usize + 1]).is_err());
    }
}
