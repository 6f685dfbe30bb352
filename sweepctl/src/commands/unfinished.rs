//! The other unfinished sweeps of a local store. They are paused before this command trains, so that its own sweep gets
//! the slots; `--resume-others` or an answer on a terminal decides otherwise.

use dialoguer::Select;
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use sweep_proto::v1::{CancelSweepRequest, GetSweepRequest, PauseSweepRequest, SweepState, SweepStatus};
use sweep_shapes::Sweep;
use sweep_shapes::text::{count, escape};
use sweep_spec::Digest;

use super::Context;
use crate::client::{self, Client};
use crate::failure::Failure;

/// The most sweeps that are listed.
const MOST: usize = 5;

/// The sweep that this command trains.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// The newest unfinished sweep with this spec, if there is one.
    Spec(Digest),
    /// The sweep with this name or number.
    Sweep(String),
    /// A sweep that does not exist yet.
    New,
}

/// What to do with an unfinished sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Leave,
    Resume,
    Cancel,
}

const CHOICES: [(Choice, &str); 3] = [
    (Choice::Leave, "leave it paused"),
    (Choice::Resume, "resume it, and train it too"),
    (Choice::Cancel, "cancel it, and keep its results"),
];

/// Decides about every unfinished sweep except the one to train. Nothing may train at the same time.
pub(crate) async fn settle(
    context: &Context,
    client: &mut Client,
    own: &Own,
    resume_others: bool,
) -> Result<(), Failure> {
    let others = others(client, own).await?;
    let asks = context.output.stderr_is_terminal() && context.output.is_interactive();
    let mut left = Vec::new();
    for other in others {
        let choice = match (resume_others, other.paused) {
            (true, _) => Choice::Resume,
            // Paused by a user before.
            (false, true) => Choice::Leave,
            (false, false) if asks => asked(context, &other).await?,
            (false, false) => Choice::Leave,
        };
        carry_out(client, &other, choice).await?;
        if choice == Choice::Leave {
            left.push(other);
        }
    }
    for other in left.iter().take(MOST) {
        let (id, named) = (other.id, named(other));
        context.output.say(&format!(
            "{named} and stays paused; `sweepctl resume {id} --local` trains it, `sweepctl cancel {id}` cancels it"
        ));
    }
    if left.len() > MOST {
        context
            .output
            .say(&format!("{} more unfinished sweeps stay paused; `sweepctl list` lists them", left.len() - MOST));
    }
    Ok(())
}

/// The unfinished sweeps, oldest first, without the one to train.
async fn others(client: &mut Client, own: &Own) -> Result<Vec<SweepStatus>, Failure> {
    let sweeps = client::sweeps(client).await?;
    let mut open: Vec<SweepStatus> = sweeps.into_iter().filter(|sweep| sweep.state() == SweepState::Running).collect();
    open.sort_by_key(|sweep| sweep.id);
    let own = match own {
        Own::New => None,
        Own::Spec(digest) => {
            open.iter().rfind(|sweep| sweep.spec_digest == digest.as_bytes().as_slice()).map(|sweep| sweep.id)
        }
        Own::Sweep(text) => {
            let request = GetSweepRequest { sweep: client::reference(text) };
            client.get_sweep(request).await?.into_inner().sweep.map(|sweep| sweep.id)
        }
    };
    open.retain(|sweep| Some(sweep.id) != own);
    Ok(open)
}

/// For example `sweep 1 some is unfinished (3 of 16 ended)`.
fn named(sweep: &SweepStatus) -> String {
    let counts = Sweep::from(sweep.clone()).counts;
    let (ended, total) = (count(counts.ended()), count(counts.total()));
    format!("sweep {} {} is unfinished ({ended} of {total} ended)", sweep.id, escape(&sweep.name))
}

async fn asked(context: &Context, sweep: &SweepStatus) -> Result<Choice, Failure> {
    let question = format!("{}: what should happen to it?", named(sweep));
    let coloured = context.output.stderr_is_coloured();
    // Waits for a key on another thread, so that other tasks continue.
    let chosen = tokio::task::spawn_blocking(move || {
        let theme: Box<dyn Theme> = if coloured { Box::new(ColorfulTheme::default()) } else { Box::new(SimpleTheme) };
        let items = CHOICES.map(|(_, about)| about);
        Select::with_theme(&*theme).with_prompt(question).items(items).default(0).interact()
    });
    let chosen = chosen.await.map_err(|error| Failure::internal("the question failed").because(error))?;
    let chosen = chosen.map_err(|error| {
        let failure = Failure::failed("the question about an unfinished sweep was not answered").because(error);
        failure.hint("add --resume-others to train the unfinished sweeps too; without a terminal they stay paused")
    })?;
    CHOICES.get(chosen).map(|(choice, _)| *choice).ok_or_else(|| Failure::internal("the chosen item was not offered"))
}

async fn carry_out(client: &mut Client, sweep: &SweepStatus, choice: Choice) -> Result<(), Failure> {
    let reference = client::reference(&sweep.id.to_string());
    let pause = |paused| PauseSweepRequest { sweep: reference.clone(), paused, user: client::user() };
    match choice {
        Choice::Leave if !sweep.paused => drop(client.pause_sweep(pause(true)).await?),
        Choice::Resume if sweep.paused => drop(client.pause_sweep(pause(false)).await?),
        Choice::Leave | Choice::Resume => {}
        Choice::Cancel => {
            let request = CancelSweepRequest { sweep: reference, user: client::user() };
            client.cancel_sweep(request).await?;
        }
    }
    Ok(())
}

/// Resumes a sweep that is to be trained here.
pub(crate) async fn let_go_on(client: &mut Client, sweep: u64) -> Result<Sweep, Failure> {
    let reference = client::reference(&sweep.to_string());
    let request = PauseSweepRequest { sweep: reference, paused: false, user: client::user() };
    let answer = client.pause_sweep(request).await?.into_inner();
    Ok(sweep_shapes::expect(answer.sweep, "sweep")?.into())
}
