//! A trainer that trains nothing and misbehaves by a script. It uses the real protocol. Its messages depend only on the
//! trial and the attempt, and `images_per_second` of every point is the attempt's number, so that points of two
//! attempts differ in the store.

mod attempt;
mod behaviour;

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Command, Described, Device, Devices, EXIT_LEFT, Event, Hello, PROTOCOL, Train};
use sweep_spec::{Classes, Configuration, Dataset, Digest, TRAINER_SEMANTICS};

pub use behaviour::{Behaviour, Script};

/// A trial with this many filters kills its worker every time.
pub const POISON_FILTERS: u32 = 997;

/// Images of one epoch of every trial, for the description of its data.
const IMAGES: u32 = 64;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pipe or the journal.
    #[error("the trainer cannot speak")]
    Io(#[from] io::Error),
    /// A command that is none.
    #[error("the trainer does not understand")]
    Json(#[from] serde_json::Error),
}

/// How it is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    script: Script,
    /// A file that gets a line for each attempt that begins, and for each that ends in an answer
    #[arg(long)]
    journal: Option<PathBuf>,
}

/// Answers commands until stdin ends.
///
/// # Errors
/// A pipe is closed, or a line is no command.
pub fn run(options: &Options) -> Result<(), Error> {
    let deaf = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&deaf);
    let mut signals = Signals::new([SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !heard.load(Ordering::SeqCst) {
                std::process::exit(EXIT_LEFT);
            }
        }
    });
    let hello = Hello { protocol: PROTOCOL, semantics: TRAINER_SEMANTICS, trainer: "scripted trainer".to_owned() };
    say(&Event::Hello(hello))?;
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Command::Devices => say(&Event::Devices(devices()))?,
            Command::Describe(describe) => say(&Event::Described(described_as(&describe.dataset)))?,
            Command::Train(train) => {
                note(options, "begun", &train)?;
                let poisoned = match &train.trial.configuration {
                    Configuration::Cnn(cnn) => cnn.filters == POISON_FILTERS,
                    Configuration::Vgg19(_) => false,
                };
                if poisoned {
                    attempt::kill_worker();
                }
                let behaviour = options.script.behaviour(&train.trial_id, train.attempt);
                deaf.store(behaviour.is_deaf(), Ordering::SeqCst);
                attempt::train(&train, behaviour, &options.script)?;
                deaf.store(false, Ordering::SeqCst);
                note(options, "ended", &train)?;
            }
        }
    }
    Ok(())
}

/// A short line is written completely to a file that is opened for appending, also when other processes write to it.
fn note(options: &Options, what: &str, train: &Train) -> io::Result<()> {
    let line = format!("{what} {} {}\n", train.trial_id, train.attempt);
    match &options.journal {
        Some(path) => File::options().create(true).append(true).open(path)?.write_all(line.as_bytes()),
        None => Ok(()),
    }
}

fn devices() -> Devices {
    let cpu = Device { name: "cpu".to_owned(), description: "scripted".to_owned(), memory_bytes: None };
    Devices { devices: vec![cpu], cuda_unavailable: Some("scripted".to_owned()) }
}

/// The data of every sweep, with `classes` classes.
pub(crate) fn described(classes: u32) -> Described {
    Described {
        digest: data_digest(),
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        channels: 3,
        train_images: IMAGES,
        test_images: IMAGES,
    }
}

/// The data of a sweep that asks for this data set.
fn described_as(dataset: &Dataset) -> Described {
    let (train_images, test_images) = match dataset.source {
        Source::SyntheticScenes { train_images, test_images, .. } => (train_images, test_images),
        Source::ImageFolder { .. } | Source::Idx { .. } | Source::Cifar10 { .. } => (IMAGES, IMAGES),
    };
    let named = described(dataset.classes.count());
    let classes = match &dataset.classes {
        Classes::Names(names) => names.clone(),
        Classes::Count(_) => named.classes,
    };
    Described { classes, channels: dataset.channels, train_images, test_images, ..named }
}

fn data_digest() -> Digest {
    Digest::of(b"scripted data")
}

fn say<T: Serialize>(event: &T) -> Result<(), Error> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    write(&line)
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}
