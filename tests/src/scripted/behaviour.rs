//! The behaviours of a scripted trainer in an attempt.

use std::path::PathBuf;

use clap::ValueEnum;
use sweep_spec::{Digest, TrialId};

use crate::random::Random;

/// A way to behave. All but the first five end the attempt in a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Behaviour {
    /// Correct.
    Well,
    /// As it should, but slowly.
    Slow,
    /// As it should, but SIGTERM is nothing to it.
    Deaf,
    /// As it should, with a megabyte of talk on stderr.
    Talkative,
    /// As it should, in pieces: every line is written half, and half again a moment later.
    Halting,
    /// Ends in the middle with an unusual status.
    Crash,
    /// Is killed in the middle.
    Killed,
    /// Ends before `started`.
    Early,
    /// Falls silent, and leaves when it is asked to.
    Hang,
    /// Falls silent, and ignores SIGTERM.
    DeafHang,
    /// Reports a number that is not finite.
    NotANumber,
    /// Writes lines to stdout that are not events.
    Spam,
    /// Writes half a line and dies.
    HalfLine,
    /// Reports a failure.
    Failed,
}

impl Behaviour {
    /// Behaviours that fail no attempt.
    pub const HARMLESS: [Self; 4] = [Self::Slow, Self::Deaf, Self::Talkative, Self::Halting];

    /// Behaviours that fail every attempt.
    pub const FAULTS: [Self; 9] = [
        Self::Crash,
        Self::Killed,
        Self::Early,
        Self::Hang,
        Self::DeafHang,
        Self::NotANumber,
        Self::Spam,
        Self::HalfLine,
        Self::Failed,
    ];

    /// Whether SIGTERM does not end it.
    pub fn is_deaf(self) -> bool {
        matches!(self, Self::Deaf | Self::DeafHang)
    }
}

/// Which attempts misbehave, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Script {
    /// The share of first attempts that misbehave; second ones do half as often, later ones never.
    #[arg(long, default_value_t = 0.0)]
    pub faults: f64,
    /// How they misbehave; any way if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub ways: Vec<Behaviour>,
    /// Milliseconds of an epoch, on average.
    #[arg(long, default_value_t = 10)]
    pub epoch_ms: u64,
    /// A file for which first attempts wait after their first epoch.
    #[arg(long)]
    pub gate: Option<PathBuf>,
}

impl Default for Script {
    fn default() -> Self {
        Self { faults: 0.0, ways: Vec::new(), epoch_ms: 10, gate: None }
    }
}

impl Script {
    /// The same words for a command line.
    pub fn words(&self) -> Vec<String> {
        let names = self.ways.iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
        let mut words = vec![format!("--faults={}", self.faults), format!("--epoch-ms={}", self.epoch_ms)];
        if !names.is_empty() {
            words.push(format!("--ways={}", names.join(",")));
        }
        words.extend(self.gate.iter().map(|path| format!("--gate={}", path.display())));
        words
    }

    /// The behaviour of this attempt; always the same.
    pub fn behaviour(&self, trial: &TrialId, attempt: u32) -> Behaviour {
        let mut random = random(trial, attempt, "behaviour");
        let share = match attempt {
            0 | 1 => self.faults,
            2 => self.faults / 2.0,
            _ => 0.0,
        };
        let pick = |random: &mut Random, ways: &[Behaviour]| {
            ways.get(random.below(ways.len() as u64) as usize).copied().unwrap_or(Behaviour::Well)
        };
        let struck = random.share();
        if struck < share {
            let ways = if self.ways.is_empty() { &Behaviour::FAULTS[..] } else { &self.ways[..] };
            return pick(&mut random, ways);
        }
        if self.ways.is_empty() && struck < 2.0 * share {
            pick(&mut random, &Behaviour::HARMLESS)
        } else {
            Behaviour::Well
        }
    }
}

/// Numbers about an attempt, apart for each purpose.
pub(super) fn random(trial: &TrialId, attempt: u32, purpose: &str) -> Random {
    let text = format!("{trial} {attempt} {purpose}");
    let digest = Digest::of(text.as_bytes());
    let mut seed = [0; 8];
    seed.copy_from_slice(&digest.as_bytes()[..8]);
    Random::new(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(faults: f64, ways: &[Behaviour]) -> Script {
        Script { faults, ways: ways.to_vec(), epoch_ms: 1, gate: Some("a gate".into()) }
    }

    #[test]
    fn about_the_asked_share_of_first_attempts_misbehaves_and_no_third() {
        let script = script(0.2, &[]);
        let trials: Vec<TrialId> = (0..2000_u32).map(|n| TrialId::of(&n.to_le_bytes())).collect();
        let struck = |attempt| {
            let faulty = |trial: &&TrialId| Behaviour::FAULTS.contains(&script.behaviour(trial, attempt));
            trials.iter().filter(faulty).count()
        };
        assert!((300..500).contains(&struck(1)), "{}", struck(1));
        assert!((120..280).contains(&struck(2)), "{}", struck(2));
        assert_eq!(struck(3), 0);
        for way in Behaviour::FAULTS.into_iter().chain(Behaviour::HARMLESS) {
            assert!(trials.iter().any(|trial| script.behaviour(trial, 1) == way), "{way:?} never comes");
        }
    }

    #[test]
    fn a_script_survives_its_command_line() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            script: Script,
        }
        let words = script(0.25, &[Behaviour::DeafHang, Behaviour::HalfLine]).words();
        let read = <Program as clap::Parser>::try_parse_from(std::iter::once("x".to_owned()).chain(words)).unwrap();
        assert_eq!(read.script.ways, [Behaviour::DeafHang, Behaviour::HalfLine]);
        assert_eq!((read.script.faults, read.script.epoch_ms), (0.25, 1));
        assert_eq!(read.script.gate, Some("a gate".into()));
    }
}
