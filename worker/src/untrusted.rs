//! The parsers of untrusted input, one function per kind, as the agent calls them: for tests and fuzzers. Each returns
//! the parsed content or an error, for any bytes.

use futures::FutureExt;
use prost::Message;
use sweep_proto::v1;
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Event, Folders, MAX_LINE_BYTES, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, Trial};

use crate::agent::unflatten;
use crate::lines::{Line, Lines};
use crate::outbox;
use crate::protocol::{Checker, Step};
use crate::wire::Lease;

/// Epochs of the trial in `trainer_output`.
pub const EPOCHS: u32 = 3;

/// The trial in `trainer_output`.
///
/// # Errors
/// The trial has no id; it has one.
pub fn asked() -> Result<Train, String> {
    let dataset = Dataset {
        source: Source::SyntheticScenes { seed: 1, train_images: 8, test_images: 4 },
        image_size: 8,
        channels: 1,
        classes: Classes::Count(2),
        digest: None,
    };
    let protocol = Protocol { epochs: EPOCHS, ..Protocol::default() };
    let trial = Trial::new(Configuration::Cnn(Cnn::default()), 0, protocol, dataset);
    Ok(Train {
        trial_id: trial.id().map_err(|error| error.to_string())?,
        attempt: 1,
        trial,
        device: "cpu".to_owned(),
        folders: Folders { data_root: "/".to_owned(), more_data_roots: Vec::new(), cache: "/".to_owned() },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: None,
    })
}

/// Parses a trainer's stdout in answer to `asked()`; returns how many epochs were accepted.
///
/// # Errors
/// It breaks the protocol.
pub fn trainer_output(bytes: &[u8]) -> Result<usize, String> {
    let train = asked()?;
    let mut checker = Checker::new(&train);
    let mut lines = Lines::new(bytes, MAX_LINE_BYTES);
    let mut epochs = 0;
    loop {
        // A slice is always ready.
        let next = lines.next().now_or_never().ok_or("nothing came")?;
        let line = match next.map_err(|error| error.to_string())? {
            Line::Whole(line) => line,
            Line::End => return Ok(epochs),
            Line::Half(_) => return Err("it ends in the middle of a line".to_owned()),
        };
        let event: Event = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
        match checker.take(event)? {
            Step::Point(_) => epochs += 1,
            Step::Started | Step::Checkpoint => {}
            Step::Finished(_) | Step::Failed(_) => return Ok(epochs),
        }
    }
}

/// Parses an attempt's journal; returns how many of its points would be reported.
///
/// # Errors
/// It is damaged, or belongs to another attempt.
pub fn journal(bytes: &[u8]) -> Result<usize, String> {
    let lease = Lease { trial_id: asked()?.trial_id, round: 1, attempt: 1 };
    outbox::points_of(bytes, lease)
}

/// Parses the records of a journal whose digests are valid: each is a length in two bytes, little-endian, and its
/// payload. Returns how many points would be reported.
///
/// # Errors
/// A record is invalid, or they contradict each other.
pub fn records(mut bytes: &[u8]) -> Result<usize, String> {
    let lease = Lease { trial_id: asked()?.trial_id, round: 1, attempt: 1 };
    let mut payloads = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        payloads.push(payload);
        bytes = rest;
    }
    outbox::points_of_records(&payloads, lease)
}

/// Parses a coordinator's answer: the first byte selects the message, the rest is its content.
///
/// # Errors
/// It is not such a message, or requests something impossible.
pub fn answer(bytes: &[u8]) -> Result<(), String> {
    let (kind, message) = bytes.split_first().ok_or("nothing")?;
    let broken = |error: prost::DecodeError| error.to_string();
    match kind % 4 {
        0 => v1::RegisterResponse::decode(message).map_err(broken).and_then(|answer| {
            crate::version::check(env!("CARGO_PKG_VERSION"), &answer.coordinator_version)?;
            leases(&answer.stop)
        }),
        1 => poll_response(v1::PollResponse::decode(message).map_err(broken)?),
        2 => v1::ReportResponse::decode(message).map_err(broken).and_then(|answer| leases(&answer.stop)),
        _ => v1::FinishResponse::decode(message).map(drop).map_err(broken),
    }
}

fn leases(list: &[v1::Lease]) -> Result<(), String> {
    list.iter().try_for_each(|lease| Lease::from_wire(lease).map(drop).ok_or_else(|| "no trial".to_owned()))
}

fn poll_response(answer: v1::PollResponse) -> Result<(), String> {
    leases(&answer.stop)?;
    for start in answer.start {
        leases(start.lease.as_slice())?;
        let trial: Trial = unflatten(start.settings)?;
        trial.id().map_err(|error| error.to_string())?;
    }
    answer.describe.into_iter().try_for_each(|task| unflatten::<Dataset>(task.settings).map(drop))
}
