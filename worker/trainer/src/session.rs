//! The main loop of trainer protocol 1: hello, then commands and their answers. Every input line gets an answer; only
//! the end of the input and SIGTERM end the process.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sweep_spec::TRAINER_SEMANTICS;
use sweep_spec::trainer::{Command, Describe, Described, EXIT_LEFT, Event, Hello, PROTOCOL};

use crate::data::Images;
use crate::failure::{Failure, Stop};
use crate::input::{Input, Message};
use crate::training::Listener;
use crate::{crash, device, provenance, training};

/// A conversation with an agent.
pub struct Session {
    input: Input,
    events: EventWriter,
}

/// Writes events, one per line.
struct EventWriter {
    out: Box<dyn Write>,
    leave: Arc<AtomicBool>,
}

impl Session {
    /// Reads commands from `input` and writes events to `out`.
    pub fn new(input: Input, out: Box<dyn Write>) -> Self {
        let leave = input.leave();
        Self { input, events: EventWriter { out, leave } }
    }

    /// Runs until the input ends (success), or until the trainer is asked to exit or its stdout is closed (exit code
    /// 75).
    pub fn run(mut self) -> ExitCode {
        match self.talk() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(EXIT_LEFT as u8),
        }
    }

    fn talk(&mut self) -> Result<(), Stop> {
        let hello = Hello { protocol: PROTOCOL, semantics: TRAINER_SEMANTICS, trainer: provenance::trainer() };
        self.events.send(Event::Hello(hello))?;
        while let Some(message) = self.input.next() {
            let answer = match message {
                Message::Line(line) if line.trim_ascii().is_empty() => continue,
                Message::Line(line) => self.answer(&line),
                Message::TooLong => Err(Failure::spec("the command is longer than any command can be").into()),
                Message::Leave if self.events.wants_to_leave() => return Err(Stop::Left),
                Message::Leave => return Ok(()),
            };
            match answer {
                Ok(event) => self.events.send(event)?,
                Err(Stop::Failed(failure)) => self.events.send(Event::Failed(failure.into_event()))?,
                Err(Stop::Left) => return Err(Stop::Left),
            }
        }
        Ok(())
    }

    /// The last event of a command.
    fn answer(&mut self, line: &[u8]) -> Result<Event, Stop> {
        let command: Command = serde_json::from_slice(line)
            .map_err(|error| Failure::spec("the line is not a command of trainer protocol 1").because(error))?;
        crash::catch(|| match command {
            Command::Devices => Ok(Event::Devices(device::list())),
            Command::Describe(request) => Ok(Event::Described(describe(&request)?)),
            Command::Train(request) => {
                let (finished, phases) = training::train(&request, &mut self.events)?;
                tracing::debug!(?phases, "trial trained");
                Ok(Event::Finished(Box::new(finished)))
            }
        })
    }
}

fn describe(request: &Describe) -> Result<Described, Failure> {
    Ok(Images::open(&request.dataset, &request.folders)?.describe())
}

impl Listener for EventWriter {
    fn send(&mut self, event: Event) -> Result<(), Stop> {
        let write = |out: &mut dyn Write| {
            serde_json::to_writer(&mut *out, &event).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
            out.flush()
        };
        write(self.out.as_mut()).map_err(|error| {
            tracing::warn!(%error, "the reader of the output is gone");
            Stop::Left
        })
    }

    fn wants_to_leave(&self) -> bool {
        self.leave.load(Ordering::SeqCst)
    }
}
