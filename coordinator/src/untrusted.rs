//! Untrusted input, for tests and fuzzers: one function for each kind of input, which reads it as the coordinator does. For
//! every sequence of bytes it returns a result or a reason, and never panics.

use prost::Message;
use sweep_proto::v1;
use sweep_store::sqlite;

use crate::engine::Error;
use crate::grpc::{upload, worker};
use crate::service::{analysis_messages, operations, requests};

/// How many methods `request` knows.
pub const METHODS: u8 = 22;

fn decoded<T: Message + Default>(bytes: &[u8]) -> Result<T, String> {
    T::decode(bytes).map_err(|error| error.to_string())
}

fn said<T>(result: Result<T, Error>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

/// A request: the first byte selects the method, the rest is the message. The message is decoded and validated into domain
/// types; a spec in it is parsed and planned.
///
/// # Errors
/// The request is refused.
pub fn request(bytes: &[u8]) -> Result<(), String> {
    let (method, message) = bytes.split_first().ok_or("nothing")?;
    let found = |reference: Option<v1::SweepReference>| said(requests::reference(reference).map_err(Error::from));
    let trial = |text: &str| said(requests::trial_digits(text).map_err(Error::from));
    match method % METHODS {
        0 => said(worker::register(decoded(message)?)),
        1 => said(worker::poll(decoded(message)?)),
        2 => said(worker::describe(decoded(message)?)),
        3 => said(worker::report(decoded(message)?)),
        4 => said(worker::finish(decoded(message)?)),
        5 => said(upload::piece(decoded(message)?)),
        6 => submit(decoded(message)?),
        7 => said(operations::service(decoded(message)?)),
        8 => said(operations::audit_page(&decoded(message)?)),
        9 => said(requests::page(decoded(message)?)),
        10 => found(decoded::<v1::GetSweepRequest>(message)?.sweep),
        11 => found(decoded::<v1::WatchSweepRequest>(message)?.sweep),
        12 => {
            let request: v1::GetLeaderboardRequest = decoded(message)?;
            said(analysis_messages::metric(&request.metric).map_err(Error::from))?;
            found(request.sweep)
        }
        13 => trial(&decoded::<v1::GetTrialRequest>(message)?.trial),
        14 => trial(&decoded::<v1::ExplainTrialRequest>(message)?.trial),
        15 => found(decoded::<v1::CancelSweepRequest>(message)?.sweep),
        16 => found(decoded::<v1::PauseSweepRequest>(message)?.sweep),
        17 => found(decoded::<v1::SetPriorityRequest>(message)?.sweep),
        18 => found(decoded::<v1::RetrySweepRequest>(message)?.sweep),
        19 => found(decoded::<v1::ExportPointsRequest>(message)?.sweep),
        20 => found(decoded::<v1::ListArtifactsRequest>(message)?.sweep),
        _ => said(
            crate::convert::digest("digest", &decoded::<v1::GetArtifactRequest>(message)?.digest).map_err(Error::from),
        ),
    }
}

fn submit(request: v1::SubmitRequest) -> Result<(), String> {
    let submit = requests::submission(request).map_err(|error| error.to_string())?;
    let limits = sweep_spec::spec::Limits { trials: submit.trial_limit.clamp(1, 1_000_000) };
    let spec = sweep_spec::Spec::parse(&submit.spec, &submit.overrides, &limits).map_err(|found| found.to_string())?;
    let plan = sweep_spec::Plan::new(&spec);
    plan.trial(&spec.baseline, 0).id().map(drop).map_err(|error| error.to_string())
}

/// An encoded column of the store: the first byte selects the column, the rest is its content.
///
/// # Errors
/// The content is damaged.
pub fn stored(bytes: &[u8]) -> Result<(), String> {
    let (kind, content) = bytes.split_first().ok_or("nothing")?;
    sqlite::content(*kind, content).map_err(|error| error.to_string())
}
