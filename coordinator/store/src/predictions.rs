//! The answers of a network to single images as the bytes of a row: the protobuf encoding of `sweep.v1.Validation`, which
//! tables have had from the first release on.

use prost::Message;
use sweep_spec::trainer::Validation;

use super::Error;

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    predicted: Vec<u32>,
    #[prost(float, repeated, tag = "3")]
    confidence: Vec<f32>,
    #[prost(uint32, repeated, tag = "4")]
    confusion: Vec<u32>,
}

/// The bytes of a row.
pub(super) fn encode(answers: &Validation) -> Vec<u8> {
    let wide = |classes: &[u16]| classes.iter().copied().map(u32::from).collect();
    let stored = Stored {
        labels: wide(&answers.labels),
        predicted: wide(&answers.predicted),
        confidence: answers.confidence.clone(),
        confusion: answers.confusion.clone(),
    };
    stored.encode_to_vec()
}

/// The answers in the bytes of a row.
///
/// # Errors
/// The bytes are damaged.
pub(super) fn decode(body: &[u8]) -> Result<Validation, Error> {
    let stored = Stored::decode(body).map_err(|error| Error::damaged(error.to_string()))?;
    let class = |class: u32| u16::try_from(class).map_err(|_| Error::damaged(format!("class {class} of an image")));
    let classes = |classes: Vec<u32>| classes.into_iter().map(class).collect::<Result<Vec<u16>, Error>>();
    Ok(Validation {
        labels: classes(stored.labels)?,
        predicted: classes(stored.predicted)?,
        confidence: stored.confidence,
        confusion: stored.confusion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `labels: [1, 300], predicted: [0, 1], confidence: [0.5, 1.0], confusion: [0, 1]` as the first release wrote it.
    const FIRST_RELEASE: &[u8] =
        &[0x0a, 3, 1, 0xac, 0x02, 0x12, 2, 0, 1, 0x1a, 8, 0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f, 0x22, 2, 0, 1];

    #[test]
    fn rows_of_the_first_release_are_read_and_written() {
        let answers = Validation {
            labels: vec![1, 300],
            predicted: vec![0, 1],
            confidence: vec![0.5, 1.0],
            confusion: vec![0, 1],
        };
        assert_eq!(decode(FIRST_RELEASE).unwrap(), answers);
        assert_eq!(encode(&answers), FIRST_RELEASE);
    }

    #[test]
    fn a_class_that_is_too_large_and_bytes_that_are_cut_are_damage() {
        let large = Stored { labels: vec![70_000], ..Stored::default() }.encode_to_vec();
        assert!(decode(&large).unwrap_err().to_string().contains("class 70000"));
        assert!(decode(&FIRST_RELEASE[..10]).is_err());
    }
}
