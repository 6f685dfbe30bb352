//! A sweep that the embedded worker cannot run. No other worker can join, so waiting would not end: the command ends
//! with the coordinator's reason.

use sweep_proto::v1::CancelSweepRequest;
use sweep_shapes::text::plural;
use sweep_shapes::{Sweep, Unplaceable};

use crate::client::{self, Client};
use crate::failure::Failure;

/// Ends the command with the reason. A sweep that this command created and that has not begun is cancelled, because it
/// would delay the next one.
pub(super) async fn give_up(client: &mut Client, sweep: &Sweep, why: &Unplaceable, made: bool) -> Failure {
    let counts = &sweep.counts;
    let untouched = counts.succeeded == counts.reused && counts.failed + counts.cancelled == 0;
    let what = match untouched {
        true => format!("no trial of sweep {} can be trained on this machine", sweep.id),
        false => {
            let waiting = plural(counts.queued, "trial");
            format!("{waiting} of sweep {} cannot be trained on this machine", sweep.id)
        }
    };
    let failure = Failure::failed(what).because(why.failure.reason.clone());
    let mend = match why.failure.class.as_str() {
        "out_of_memory" => "use `--slots 1` to give one slot all memory, or reduce batch_size or image_size",
        _ => "fix this and submit again; check with `sweepctl doctor SPEC --local`",
    };
    if !(made && untouched) {
        return failure.hint(format!("{mend}; sweep {} then continues", sweep.id));
    }
    let reference = client::reference(&sweep.id.to_string());
    let request = CancelSweepRequest { sweep: reference, user: client::user() };
    match client.cancel_sweep(request).await {
        Ok(_) => failure.hint(format!("{mend}; sweep {} is cancelled", sweep.id)),
        // The main point for the user is why nothing runs.
        Err(status) => failure.hint(format!("{mend}; sweep {} cannot be cancelled: {}", sweep.id, status.message())),
    }
}
