//! The file format of an attempt's journal: a sequence of records. Pure: bytes in, bytes out.
//!
//! ```text
//! file    = "SWEEPBX1" record*
//! record  = length: u32, digest of the payload: 8 bytes, digest of the preceding fields and of the record's position: 4 bytes,
//!           payload: `length` bytes
//! payload = kind: 1 byte, message of sweep.v1
//! ```
//! Numbers are little-endian; digests are the first bytes of BLAKE3. The digest includes the position, so a record that
//! was moved is damaged too.

use prost::Message;
use sweep_proto::v1;

/// The first bytes of every journal; the last one is the format's version.
pub(crate) const MAGIC: [u8; 8] = *b"SWEEPBX1";

/// Bytes before a record's payload.
const HEADER: usize = 16;

/// The largest payload. An ending contains one line of a trainer, whose limit is lower, in a shorter form.
const MAX_PAYLOAD: usize = 64 << 20;

/// A record of a journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Opened(v1::LiveAttempt),
    /// A completed epoch.
    Point(v1::Point),
    /// The worker stops the attempt.
    Stopping(v1::Stopped),
    /// A file to upload before the ending.
    Artifact(v1::ArtifactHeader),
    /// The attempt's ending. A later ending replaces it.
    Ending(Box<v1::FinishRequest>),
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Opened(_) => 1,
            Self::Point(_) => 2,
            Self::Stopping(_) => 3,
            Self::Artifact(_) => 4,
            Self::Ending(_) => 5,
        }
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, String> {
        let (kind, message) = payload.split_first().ok_or("a record is empty")?;
        let broken = |error: prost::DecodeError| format!("a record of kind {kind} is invalid: {error}");
        match kind {
            1 => v1::LiveAttempt::decode(message).map(Self::Opened).map_err(broken),
            2 => v1::Point::decode(message).map(Self::Point).map_err(broken),
            3 => v1::Stopped::decode(message).map(Self::Stopping).map_err(broken),
            4 => v1::ArtifactHeader::decode(message).map(Self::Artifact).map_err(broken),
            5 => v1::FinishRequest::decode(message).map(|ending| Self::Ending(Box::new(ending))).map_err(broken),
            kind => Err(format!("a record is of the unknown kind {kind}")),
        }
    }

    /// Appends the record to `bytes`, whose first byte is at position `begin` in the file.
    pub(crate) fn append(&self, bytes: &mut Vec<u8>, begin: u64) {
        let place = begin + bytes.len() as u64;
        let mut payload = vec![self.kind()];
        match self {
            Self::Opened(message) => payload.extend(message.encode_to_vec()),
            Self::Point(message) => payload.extend(message.encode_to_vec()),
            Self::Stopping(message) => payload.extend(message.encode_to_vec()),
            Self::Artifact(message) => payload.extend(message.encode_to_vec()),
            Self::Ending(message) => payload.extend(message.encode_to_vec()),
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[4..12].copy_from_slice(&digest::<8>(&[&payload]));
        let own = digest::<4>(&[&header[..12], &place.to_le_bytes()]);
        header[12..].copy_from_slice(&own);
        bytes.extend_from_slice(&header);
        bytes.append(&mut payload);
    }
}

/// The content of a journal.
#[derive(Debug, PartialEq)]
pub(crate) struct Journal {
    pub(crate) records: Vec<Record>,
    /// Bytes up to the end of the last complete record; the rest was incomplete when the writer died.
    pub(crate) whole: usize,
}

/// The journal is damaged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub(crate) struct Damaged {
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// Reads a journal. An incomplete last record is not damage; it is left out.
pub(crate) fn read(bytes: &[u8]) -> Result<Journal, Damaged> {
    let mut journal = Journal { records: Vec::new(), whole: 0 };
    if bytes.len() < MAGIC.len() {
        let begun = bytes == &MAGIC[..bytes.len()] || is_blank(bytes);
        return if begun { Ok(journal) } else { Err(Damaged { at: 0, what: "it is not a journal".into() }) };
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return match is_blank(bytes) {
            true => Ok(journal),
            false => Err(Damaged { at: 0, what: "it has another format version".into() }),
        };
    }
    journal.whole = MAGIC.len();
    while let Some((record, end)) = next(bytes, journal.whole)? {
        journal.records.push(record);
        journal.whole = end;
    }
    Ok(journal)
}

/// The record at `at` and its end, or `None` if no complete record follows.
fn next(bytes: &[u8], at: usize) -> Result<Option<(Record, usize)>, Damaged> {
    let damaged = |what: String| Damaged { at, what };
    let rest = &bytes[at..];
    // After a power loss a file may have its full length but contain zeros.
    if rest.len() < HEADER || is_blank(rest) {
        return Ok(None);
    }
    let (header, rest) = rest.split_at(HEADER);
    if header[12..] != digest::<4>(&[&header[..12], &(at as u64).to_le_bytes()]) {
        return Err(damaged("the header of a record does not match its digest".to_owned()));
    }
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if length > MAX_PAYLOAD {
        return Err(damaged(format!("a record has {length} bytes, more than any record can have")));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    if header[4..12] != digest::<8>(&[payload]) {
        return Err(damaged("a record does not match its digest".to_owned()));
    }
    let record = Record::parse(payload).map_err(damaged)?;
    Ok(Some((record, at + HEADER + length)))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn digest<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; N];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..N]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::Random;

    fn point(sequence: u64) -> Record {
        let metrics = Some(v1::EpochMetrics { epoch: sequence as u32, train_loss: 0.25, ..Default::default() });
        Record::Point(v1::Point { lease: None, sequence, metrics })
    }

    fn some() -> Vec<Record> {
        let ending = v1::FinishRequest { log_tail: "the end\n".repeat(9), ..Default::default() };
        vec![
            Record::Opened(v1::LiveAttempt { lease: None, slot: 3 }),
            point(1),
            point(2),
            Record::Stopping(v1::Stopped { reason: "leaving".into() }),
            Record::Artifact(v1::ArtifactHeader { kind: 3, ..Default::default() }),
            Record::Ending(Box::new(ending)),
        ]
    }

    /// The journal and the position after each record.
    fn written(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut ends = vec![bytes.len()];
        for record in records {
            record.append(&mut bytes, 0);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, _) = written(&some());
        assert_eq!(read(&bytes), Ok(Journal { records: some(), whole: bytes.len() }));
        // In two pieces, as an appender writes it.
        let mut second = Vec::new();
        point(7).append(&mut second, bytes.len() as u64);
        let journal = read(&[bytes, second].concat()).unwrap();
        assert_eq!(journal.records.last(), Some(&point(7)));
    }

    #[test]
    fn a_journal_that_ends_anywhere_is_cut_after_its_last_whole_record() {
        let (bytes, ends) = written(&some());
        for length in 0..bytes.len() {
            let journal = read(&bytes[..length]).unwrap();
            let whole = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
            assert_eq!(journal.records, some()[..whole], "{length}");
        }
        let (short, _) = written(&some()[..2]);
        let blank = [short.clone(), vec![0; 100]].concat();
        assert_eq!(read(&blank).unwrap().whole, short.len());
        assert_eq!(read(&[0; 50]).unwrap().whole, 0);
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let (bytes, _) = written(&some());
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                assert!(read(&changed).is_err(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn no_bytes_make_a_record_that_was_never_written() {
        let (bytes, _) = written(&some());
        for seed in 0..5000 {
            let mut random = Random::new(seed);
            let mut changed = bytes.clone();
            for _ in 0..=random.below(4) {
                let place = random.below(changed.len() as u64) as usize;
                let end = (place + 1 + random.below(40) as usize).min(changed.len());
                match random.below(5) {
                    0 => changed.truncate(place.max(1)),
                    1 => drop(changed.drain(place..end)),
                    2 => changed[place..end].fill(random.below(256) as u8),
                    3 => changed.extend((0..random.below(60)).map(|_| random.below(256) as u8)),
                    _ => changed.splice(place..place, bytes[place.min(bytes.len())..].to_vec()).for_each(drop),
                }
                if changed.is_empty() {
                    break;
                }
            }
            if let Ok(journal) = read(&changed) {
                assert!(some().starts_with(&journal.records), "seed {seed}");
            }
        }
    }
}
