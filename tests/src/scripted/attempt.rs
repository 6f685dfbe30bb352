//! One attempt, from `started` to the end of the script.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use sweep_spec::count::{Counts, Input};
use sweep_spec::protocol::Optimizer;
use sweep_spec::trainer::{Epoch, EpochMetrics, Event, Failed, Finished, Provenance, Started, Train};
use sweep_spec::{FailureClass, Outcome};

use super::behaviour::{Behaviour, Script, random};
use super::{Error, IMAGES, data_digest, described_as, say, write};

/// The factor by which an epoch of a slow attempt takes longer.
const SLOWNESS: u32 = 10;

/// Bytes of an attempt that talks on stderr.
const TALK_BYTES: usize = 1 << 20;

/// Lines of an attempt that talks on stdout.
const SPAM_LINES: usize = 2000;

/// One trial in this many diverges.
const DIVERGING: u64 = 32;

/// Kills the worker that started this trainer, and with it the trainer.
pub(super) fn kill_worker() {
    if let Some(parent) = getppid() {
        die_by(parent);
    }
    hang();
}

/// Pretends to train, with this behaviour.
pub(super) fn train(train: &Train, behaviour: Behaviour, script: &Script) -> Result<(), Error> {
    if behaviour == Behaviour::Early {
        complain("scripted: cannot find libnothing");
        std::process::exit(4);
    }
    let epochs = train.trial.protocol.epochs;
    let mut chance = random(&train.trial_id, train.attempt, "course");
    let (outcome, last) = answer(train);
    let strikes_after = chance.below(u64::from(last)) as u32;
    let slowness = if behaviour == Behaviour::Slow { SLOWNESS } else { 1 };
    started(train)?;
    for epoch in 1..=last {
        let milliseconds = chance.below(2 * script.epoch_ms + 1);
        std::thread::sleep(Duration::from_millis(milliseconds) * slowness);
        if epoch > strikes_after {
            strike(train, behaviour, epoch)?;
        }
        let said =
            Event::Epoch(Epoch { trial_id: train.trial_id, attempt: train.attempt, metrics: metrics(train, epoch) });
        if let Some(gate) = script.gate.as_ref().filter(|_| epoch == 2 && train.attempt == 1) {
            wait_for(gate);
        }
        if behaviour == Behaviour::Halting {
            say_haltingly(&said)?
        } else {
            say(&said)?
        }
        if behaviour == Behaviour::Failed && epoch > strikes_after {
            let reason = format!("scripted: gave up after epoch {epoch} of {epochs}");
            return say(&Event::Failed(Failed { class: FailureClass::Trainer, reason }));
        }
    }
    say(&Event::Finished(Box::new(finished(train, outcome, last))))
}

/// The outcome of a trial, and the epoch after which it is known: a property of the trial, whichever worker runs it.
fn answer(train: &Train) -> (Outcome, u32) {
    let epochs = train.trial.protocol.epochs;
    let mut chance = random(&train.trial_id, 0, "answer");
    if chance.below(DIVERGING) == 0 && epochs > 1 {
        (Outcome::Diverged, 1 + chance.below(u64::from(epochs - 1)) as u32)
    } else {
        (Outcome::Converged, epochs)
    }
}

fn started(train: &Train) -> Result<(), Error> {
    say(&Event::Started(Started {
        trial_id: train.trial_id,
        attempt: train.attempt,
        device: "cpu".to_owned(),
        params: params(train),
        data: described_as(&train.trial.dataset),
        first_epoch: 1,
    }))
}

/// The moment at which a script goes wrong.
fn strike(train: &Train, behaviour: Behaviour, epoch: u32) -> Result<(), Error> {
    match behaviour {
        Behaviour::Crash => {
            complain("scripted: segmentation fault");
            std::process::exit(3);
        }
        Behaviour::Killed => {
            die_by(getpid());
            hang();
        }
        Behaviour::Hang | Behaviour::DeafHang => hang(),
        Behaviour::NotANumber => {
            let (trial, attempt) = (train.trial_id, train.attempt);
            write(
                format!(
                    r#"{{"event":"epoch","trial_id":"{trial}","attempt":{attempt},"epoch":{epoch},"train_loss":NaN"#
                )
                .as_bytes(),
            )?;
            write(b"}\n")
        }
        Behaviour::Spam => {
            let line = format!("Epoch {epoch}/100 [=====>....] 37%\n");
            write(line.repeat(SPAM_LINES).as_bytes())
        }
        Behaviour::HalfLine => {
            write(br#"{"event":"epo"#)?;
            std::process::exit(1);
        }
        Behaviour::Talkative => {
            complain(&"scripted: this line is one of very many\n".repeat(TALK_BYTES / 40));
            Ok(())
        }
        // It fails a moment later, with words.
        Behaviour::Failed => Ok(()),
        // These never go wrong, or have done so already.
        Behaviour::Well | Behaviour::Slow | Behaviour::Deaf | Behaviour::Halting | Behaviour::Early => Ok(()),
    }
}

fn say_haltingly(event: &Event) -> Result<(), Error> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let (first, second) = line.split_at(line.len() / 2);
    write(first)?;
    std::thread::sleep(Duration::from_millis(20));
    write(second)
}

/// Numbers that depend on the trial and the epoch; `images_per_second` names the attempt.
fn metrics(train: &Train, epoch: u32) -> EpochMetrics {
    let mut numbers = random(&train.trial_id, epoch, "metrics");
    EpochMetrics {
        epoch,
        train_loss: numbers.share(),
        train_accuracy: numbers.share(),
        val_loss: numbers.share(),
        val_accuracy: numbers.share(),
        learning_rate: learning_rate(train),
        seconds: 0.01,
        images_per_second: f64::from(train.attempt),
    }
}

fn finished(train: &Train, outcome: Outcome, last: u32) -> Finished {
    let all = (1..=last).map(|epoch| metrics(train, epoch));
    let best = all.reduce(|best, next| if next.val_accuracy > best.val_accuracy { next } else { best });
    Finished {
        trial_id: train.trial_id,
        attempt: train.attempt,
        outcome,
        last: Some(metrics(train, last)),
        best,
        validation: None,
        test: None,
        paused_seconds: 0.0,
        provenance: Provenance {
            params: params(train),
            images_per_second: f64::from(IMAGES),
            seconds: 0.01,
            peak_memory_bytes: 1,
            data_digest: data_digest(),
            split_digest: data_digest(),
            device: "cpu".to_owned(),
            device_name: "scripted".to_owned(),
            instruction_set: "none".to_owned(),
            trainer: "scripted trainer".to_owned(),
            threads: 1,
            origin: Default::default(),
        },
    }
}

/// Parameters of the requested network.
fn params(train: &Train) -> u64 {
    let counts = Counts::of(&train.trial.configuration, Input::from(&train.trial.dataset));
    counts.map_or(1, |counts| counts.params)
}

fn learning_rate(train: &Train) -> f64 {
    let Optimizer::Adam { learning_rate, .. } = train.trial.protocol.optimizer;
    learning_rate
}

fn die_by(process: Pid) {
    // Where it fails the process is gone already, which is what was wanted.
    let _ = kill_process(process, Signal::KILL);
}

/// A file cannot be awaited.
fn wait_for(gate: &Path) {
    while !gate.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

fn complain(text: &str) {
    // Who does not read stderr misses nothing that counts.
    drop(writeln!(std::io::stderr(), "{text}"));
}
