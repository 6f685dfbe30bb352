//! Changes of bytes, by a seed.

use super::wire;
use crate::random::Random;

/// The structure of bytes, as far as a mutation knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unknown.
    Bytes,
    /// Lines of text with words in them: YAML, JSON.
    Text,
    /// One byte, then a protobuf message.
    Message,
}

/// Words that parsers have stumbled over.
const WORDS: &[&str] = &[
    "null",
    "~",
    "true",
    "-1",
    "0",
    "1e999",
    "-1e308",
    "NaN",
    ".inf",
    "0x7fffffffffffffff",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "[",
    "]",
    "{",
    "}",
    "[[[[[[[[[[[[[[[[",
    "{a: {a: {a: {a: ",
    "&a",
    "*a",
    "<<: *a",
    "!!binary ",
    "!!python/object:os.system",
    "? ",
    "- - - -",
    "|",
    ">",
    "---",
    "...",
    "\"",
    "'",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{202e}",
    "\0",
    "\t",
    "\r",
    ",",
    ":",
    "=",
    "#",
    "%",
    "@",
    "99999999999",
    "2147483648",
    "1.5",
    "auto",
    "\"a\":",
    "epochs",
    "vary",
    "grid",
    "keep",
    "best",
    "from",
    "stages",
    "cartesian",
];

/// Numbers at the edges of their kinds.
const EDGES: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// No mutation is longer than this, in bytes.
const LONGEST: usize = 64 * 1024;

/// Mutations of a corpus.
#[derive(Debug)]
pub struct Mutator<'a> {
    random: Random,
    corpus: &'a [(String, Vec<u8>)],
    kind: Kind,
}

impl<'a> Mutator<'a> {
    pub fn new(corpus: &'a [(String, Vec<u8>)], kind: Kind, seed: u64) -> Self {
        Self { random: Random::new(seed), corpus, kind }
    }

    pub fn next_bytes(&mut self) -> Vec<u8> {
        let mut bytes = self.any();
        for _ in 0..=self.random.below(4) {
            match (self.kind, self.random.below(3)) {
                (Kind::Text, 0 | 1) => self.words(&mut bytes),
                (Kind::Message, 0 | 1) => self.fields(&mut bytes),
                _ => self.raw(&mut bytes),
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn any(&mut self) -> Vec<u8> {
        let at = self.random.below(self.corpus.len() as u64) as usize;
        self.corpus.get(at).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    fn place(&mut self, bytes: &[u8]) -> usize {
        self.random.below(bytes.len() as u64 + 1) as usize
    }

    /// A piece of `bytes`, not long.
    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let begin = self.place(bytes);
        begin..(begin + 1 + self.random.below(32) as usize).min(bytes.len()).max(begin)
    }

    fn raw(&mut self, bytes: &mut Vec<u8>) {
        let piece = self.piece(bytes);
        match self.random.below(9) {
            0 => bytes.truncate(piece.start),
            1 => drop(bytes.drain(piece)),
            2 => {
                let value = self.random.below(256) as u8;
                bytes[piece].fill(value);
            }
            3 => {
                if let Some(byte) = bytes.get_mut(piece.start) {
                    *byte ^= 1 << self.random.below(8);
                }
            }
            4 => {
                let copy = bytes[piece.clone()].repeat(1 + self.random.below(200) as usize);
                bytes.splice(piece.end..piece.end, copy);
            }
            5 => {
                let noise: Vec<u8> = (0..self.random.below(64)).map(|_| self.random.below(256) as u8).collect();
                bytes.splice(piece.start..piece.start, noise);
            }
            6 => {
                let other = self.any();
                let from = self.piece(&other);
                bytes.splice(piece, other[from.start..].iter().copied());
            }
            7 => {
                let edge = self.edge().to_le_bytes();
                let width = 1 << self.random.below(4);
                let end = (piece.start + width).min(bytes.len());
                bytes.splice(piece.start..end, edge[..width].iter().copied());
            }
            _ => bytes.reverse(),
        }
    }

    fn edge(&mut self) -> u64 {
        EDGES[self.random.below(EDGES.len() as u64) as usize]
    }

    /// Words for words, lines for lines.
    fn words(&mut self, bytes: &mut Vec<u8>) {
        let word = WORDS[self.random.below(WORDS.len() as u64) as usize].as_bytes();
        if self.random.below(3) == 0 {
            let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            let (one, other) = (self.random.below(lines.len() as u64), self.random.below(lines.len() as u64));
            match self.random.below(3) {
                0 => lines.swap(one as usize, other as usize),
                1 => drop(lines.remove(one as usize)),
                _ => lines.insert(one as usize, lines[other as usize]),
            }
            *bytes = lines.join(&b'\n');
            return;
        }
        let at = self.place(bytes);
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let begin = bytes[..at].iter().rposition(|byte| !is_word(byte)).map_or(0, |before| before + 1);
        let end = bytes[at..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |after| at + after);
        let gone = if self.random.below(2) == 0 { begin..end } else { at..at };
        bytes.splice(gone, word.iter().copied());
    }

    /// Fields of a message dropped, doubled, made larger, or given another value or kind.
    fn fields(&mut self, bytes: &mut Vec<u8>) {
        let Some((method, message)) = bytes.split_first() else { return };
        // Now and then a message goes to a method that it was not meant for.
        let method = if self.random.below(16) == 0 { self.random.below(256) as u8 } else { *method };
        let mut message = message.to_vec();
        self.change_fields(&mut message, 4);
        *bytes = [vec![method], message].concat();
    }

    fn change_fields(&mut self, message: &mut Vec<u8>, depth: u32) {
        let Some(mut fields) = wire::fields(message).filter(|fields| !fields.is_empty()) else {
            return self.raw(message);
        };
        let at = self.random.below(fields.len() as u64) as usize;
        match self.random.below(7) {
            0 => drop(fields.remove(at)),
            1 => {
                let copies = 1 + self.random.below(64) as usize;
                let field = fields[at].clone();
                fields.splice(at..at, vec![field; copies]);
            }
            2 => fields[at].number = 1 + self.random.below(40),
            3 => fields[at].value = wire::Value::Number(self.edge()),
            4 => {
                fields[at].value =
                    wire::Value::Bytes(vec![self.random.below(256) as u8; self.random.below(5000) as usize])
            }
            _ => match &mut fields[at].value {
                wire::Value::Bytes(inner) if depth > 0 => self.change_fields(inner, depth - 1),
                wire::Value::Bytes(inner) => self.raw(inner),
                wire::Value::Number(number) => *number = self.edge(),
                wire::Value::Eight(number) => {
                    *number =
                        [f64::NAN, f64::INFINITY, -0.0, f64::MAX, -1.0, 1.5][self.random.below(6) as usize].to_bits();
                }
                wire::Value::Four(number) => *number = self.edge() as u32,
            },
        }
        *message = wire::encode(&fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_another_gives_others() {
        let corpus = [("a".to_owned(), b"name: x\nepochs: 3\n".to_vec()), ("b".to_owned(), vec![1, 8, 3, 18, 2, 8, 7])];
        for kind in [Kind::Bytes, Kind::Text, Kind::Message] {
            let many = |seed| {
                let mut mutator = Mutator::new(&corpus, kind, seed);
                (0..500).map(|_| mutator.next_bytes()).collect::<Vec<_>>()
            };
            let (one, again, other) = (many(1), many(1), many(2));
            assert_eq!(one, again);
            assert_ne!(one, other);
            let distinct: std::collections::BTreeSet<_> = one.iter().collect();
            assert!(distinct.len() > 400, "{}", distinct.len());
        }
    }
}
