//! Reads lines of bounded length from an untrusted stream.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A complete line, without its line end.
    Whole(Vec<u8>),
    /// The stream ended after a complete line.
    End,
    /// The stream ended in the middle of this line.
    Half(Vec<u8>),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The line is longer than the limit.
    #[error("a line is longer than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// The stream cannot be read.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
}

/// Reads line by line. Cancelling a read loses nothing: the next one continues.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    begun: Vec<u8>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(stream: R, limit: usize) -> Self {
        Self { reader: BufReader::new(stream), begun: Vec::new(), limit }
    }

    pub(crate) async fn next(&mut self) -> Result<Line, Error> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                let half = std::mem::take(&mut self.begun);
                return Ok(if half.is_empty() { Line::End } else { Line::Half(half) });
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = end.unwrap_or(available.len());
            if self.begun.len() + part > self.limit {
                return Err(Error::TooLong { limit: self.limit });
            }
            self.begun.extend_from_slice(&available[..part]);
            self.reader.consume(end.map_or(part, |end| end + 1));
            if end.is_some() {
                return Ok(Line::Whole(std::mem::take(&mut self.begun)));
            }
        }
    }
}

/// The beginning of `line` for an error message.
pub(crate) fn excerpt(line: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN * 4)]);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_the_half_one_is_told_apart() {
        let mut lines = Lines::new(&b"one\n\ntwo\nthr"[..], 10);
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(Vec::new()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"two".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Half(b"thr".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn a_line_up_to_the_limit_is_read_and_a_longer_one_refused() {
        let mut lines = Lines::new(&b"0123456789\n"[..], 10);
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"0123456789".to_vec()));
        let mut lines = Lines::new(&b"0123456789x\n"[..], 10);
        assert!(matches!(lines.next().await, Err(Error::TooLong { limit: 10 })));
        let endless = tokio::io::repeat(b'x');
        assert!(matches!(Lines::new(endless, 1000).next().await, Err(Error::TooLong { .. })));
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_loses_nothing() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 100);
        writer.write_all(b"ha").await.unwrap();
        {
            let given_up = std::pin::pin!(lines.next());
            assert!(futures::poll!(given_up).is_pending());
        }
        writer.write_all(b"lf\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"half".to_vec()));
    }

    #[tokio::test]
    async fn any_bytes_in_any_pieces_come_as_the_lines_that_they_are() {
        use tokio::io::AsyncWriteExt;
        const LIMIT: usize = 50;
        for seed in 0..300 {
            let mut random = crate::machine::testing::Random::new(seed);
            let count = random.below(600);
            // Few kinds of bytes, so that line ends occur often.
            let bytes: Vec<u8> = (0..count).map(|_| [b'\n', b'{', 0xff, 0, b'x'][random.below(5) as usize]).collect();
            let (mut writer, reader) = tokio::io::duplex(1 + random.below(64) as usize);
            let sent = bytes.clone();
            let writing = async move {
                let mut rest = sent.as_slice();
                while !rest.is_empty() {
                    let (piece, next) = rest.split_at(1 + random.below(rest.len() as u64) as usize);
                    if writer.write_all(piece).await.is_err() {
                        return;
                    }
                    rest = next;
                }
            };
            let reading = async move {
                let mut lines = Lines::new(reader, LIMIT);
                let mut joined = Vec::new();
                loop {
                    match lines.next().await {
                        Ok(Line::Whole(line)) => joined.extend(line.into_iter().chain([b'\n'])),
                        Ok(Line::Half(half)) => joined.extend(half),
                        Ok(Line::End) => return Ok(joined),
                        Err(Error::TooLong { .. }) => return Err(joined),
                        Err(Error::Read(error)) => panic!("{error}"),
                    }
                }
            };
            let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            match futures::join!(reading, writing).0 {
                Ok(joined) => assert!(joined == bytes && longest <= LIMIT, "seed {seed}"),
                Err(before) => assert!(bytes.starts_with(&before) && longest > LIMIT, "seed {seed}"),
            }
        }
    }

    #[test]
    fn an_excerpt_is_short_and_never_splits_a_letter() {
        assert_eq!(excerpt(b"short"), "short");
        assert_eq!(excerpt("é".repeat(5000).as_bytes()).chars().count(), 121);
        assert!(excerpt(&[0xff; 10]).starts_with('\u{fffd}'));
    }
}
