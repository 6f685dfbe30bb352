//! Reads little-endian numbers from a file. Allocations grow with the bytes that were read, and never follow a length
//! in the file alone.

use std::io::{self, Read, Write};

use super::refusal::Refusal;

/// Floats that are converted at a time.
const FLOATS: usize = 4096;

/// Reads numbers one after the other.
#[derive(Debug)]
pub(super) struct Bytes<R>(R);

impl<R: Read> Bytes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(reader)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut array = [0; N];
        self.0.read_exact(&mut array).map_err(unread)?;
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Refusal> {
        self.array().map(f64::from_le_bytes)
    }

    /// A time or a metric of an epoch, which must be finite.
    pub(super) fn finite(&mut self) -> Result<f64, Refusal> {
        let number = self.f64()?;
        if number.is_finite() { Ok(number) } else { Err(Refusal::Contents("a number in it is not finite")) }
    }

    /// `count` numbers of `N` bytes each.
    pub(super) fn list<T, const N: usize>(&mut self, count: usize, from: fn([u8; N]) -> T) -> Result<Vec<T>, Refusal> {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(from(self.array()?));
        }
        Ok(list)
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        self.0.by_ref().take(count).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 == count { Ok(bytes) } else { Err(Refusal::EndsEarly) }
    }

    /// Whether the end of the input is reached.
    pub(super) fn ended(&mut self) -> Result<bool, Refusal> {
        Ok(self.0.read(&mut [0]).map_err(unread)? == 0)
    }
}

fn unread(error: io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::UnexpectedEof { Refusal::EndsEarly } else { Refusal::Unreadable(error) }
}

/// `count` floats, where `count` is the size of an existing tensor.
pub(super) fn read_floats(count: usize, bytes: &mut Bytes<impl Read>) -> Result<Vec<f32>, Refusal> {
    let mut floats = Vec::with_capacity(count);
    let mut buffer = [0; 4 * FLOATS];
    while floats.len() < count {
        let part = &mut buffer[..4 * FLOATS.min(count - floats.len())];
        bytes.0.read_exact(part).map_err(unread)?;
        floats.extend(part.as_chunks().0.iter().copied().map(f32::from_le_bytes));
    }
    Ok(floats)
}

pub(super) fn write_floats(floats: &[f32], out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = [0; 4 * FLOATS];
    for part in floats.chunks(FLOATS) {
        let bytes = &mut buffer[..4 * part.len()];
        for (place, float) in bytes.as_chunks_mut().0.iter_mut().zip(part) {
            *place = float.to_le_bytes();
        }
        out.write_all(bytes)?;
    }
    Ok(())
}
