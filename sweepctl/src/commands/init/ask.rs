//! Asks on a terminal the questions that no flag has answered.

use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use dialoguer::{Confirm, Input, Select};

use super::answers::{
    Answers, FACTORS, Given, USUAL, parse_factor, seeds_needed, usual_epochs, usual_path, usual_seeds, usual_size,
};
use super::{Design, Kind, Metric};
use crate::failure::Failure;
use crate::output::Output;

const KINDS: [(Kind, &str); 4] = [
    (Kind::SyntheticScenes, "generated scenes in eight classes: needs no file, good for a first try"),
    (Kind::ImageFolder, "a folder of images: train/CLASS/* and test/CLASS/*"),
    (Kind::Idx, "the four files of the MNIST family"),
    (Kind::Cifar10, "CIFAR-10's binary files"),
];
const DESIGNS: [(Design, &str); 4] = [
    (Design::OneAtATime, "one at a time: the baseline, then each level compared with it"),
    (Design::Greedy, "greedy: one factor after the other, each starting from the best so far"),
    (Design::Grid, "grid: every combination"),
    (Design::Pairwise, "pairwise: each level alone, and each pair of two factors"),
];

/// Asks every open question.
pub(super) fn all(given: &Given, output: &Output) -> Result<Answers, Failure> {
    let theme: Box<dyn Theme> =
        if output.stderr_is_coloured() { Box::new(ColorfulTheme::default()) } else { Box::new(SimpleTheme) };
    let asker = Asker { theme: &*theme };
    let name = asker.text("What is the name of the study?", given.name.clone(), "my-study")?;
    let kind = asker.choice("Which data set are the networks trained on?", given.kind, &KINDS)?;
    let path = match kind {
        Kind::SyntheticScenes => String::new(),
        _ => asker.text("In which folder below the data root is it?", given.path.clone(), usual_path(kind))?,
    };
    let image_size = match (kind, usual_size(kind)) {
        (Kind::ImageFolder, Some(usual)) => {
            Some(asker.number("What is the image size, in pixels per side?", given.image_size, usual)?)
        }
        (_, usual) => given.image_size.or(usual),
    };
    let classes = match kind {
        Kind::ImageFolder => Some(asker.number("How many classes are there?", given.classes, 8)?),
        _ => given.classes,
    };
    let factors = asker.factors(&given.factors)?;
    let design = asker.choice("How are the levels combined?", given.design, &DESIGNS)?;
    let question = match seeds_needed(&factors, design) {
        Some(enough) => {
            format!("How many seeds per configuration? (with fewer than {enough}, no change can be significant)")
        }
        None => "How many seeds per configuration? (with so many changes, no number makes one significant)".to_owned(),
    };
    let seeds = asker.number(&question, given.seeds, usual_seeds(&factors, design))?;
    let epochs = asker.number("How many epochs?", given.epochs, usual_epochs(kind))?;
    let metric = given.metric.unwrap_or(Metric::ValAccuracy);
    Ok(Answers { name, kind, path, image_size, classes, factors, design, seeds, epochs, metric })
}

struct Asker<'a> {
    theme: &'a dyn Theme,
}

/// Ctrl-C, or a closed terminal.
fn stopped(error: dialoguer::Error) -> Failure {
    Failure::failed("the questions were not answered")
        .because(error)
        .hint("answer the questions with flags instead; `sweepctl init --help` lists them")
}

impl Asker<'_> {
    fn text(&self, question: &str, given: Option<String>, usual: &str) -> Result<String, Failure> {
        match given {
            Some(given) => Ok(given),
            None => Input::with_theme(self.theme)
                .with_prompt(question)
                .default(usual.to_owned())
                .interact_text()
                .map_err(stopped),
        }
    }

    fn number(&self, question: &str, given: Option<u32>, usual: u32) -> Result<u32, Failure> {
        match given {
            Some(given) => Ok(given),
            None => Input::with_theme(self.theme).with_prompt(question).default(usual).interact_text().map_err(stopped),
        }
    }

    /// A choice from a list, whose first entry is the default.
    fn choice<T: Copy>(&self, question: &str, given: Option<T>, of: &[(T, &str)]) -> Result<T, Failure> {
        if let Some(given) = given {
            return Ok(given);
        }
        let items: Vec<&str> = of.iter().map(|(_, about)| *about).collect();
        let chosen = Select::with_theme(self.theme)
            .with_prompt(question)
            .items(&items)
            .default(0)
            .interact()
            .map_err(stopped)?;
        of.get(chosen).map(|(one, _)| *one).ok_or_else(|| Failure::internal("an item was chosen that was not offered"))
    }

    /// Factors with their levels, until the user adds no more.
    fn factors(&self, given: &[(String, Vec<String>)]) -> Result<Vec<(String, Vec<String>)>, Failure> {
        if !given.is_empty() {
            return Ok(given.to_vec());
        }
        let mut chosen: Vec<(String, Vec<String>)> = Vec::new();
        loop {
            let open: Vec<_> =
                FACTORS.iter().filter(|factor| chosen.iter().all(|(name, _)| name != factor.name)).collect();
            let more = if chosen.len() < 2 { Some(true) } else { None };
            let more = match more {
                Some(more) => more,
                None => Confirm::with_theme(self.theme)
                    .with_prompt("Another factor?")
                    .default(chosen.len() < USUAL.len())
                    .interact()
                    .map_err(stopped)?,
            };
            if !more || open.is_empty() {
                return Ok(chosen);
            }
            let question =
                if chosen.is_empty() { "Which factor is varied first?" } else { "Which factor is varied next?" };
            let items: Vec<String> = open.iter().map(|factor| format!("{}: {}", factor.name, factor.about)).collect();
            let picked = Select::with_theme(self.theme)
                .with_prompt(question)
                .items(&items)
                .default(0)
                .interact()
                .map_err(stopped)?;
            let Some(factor) = open.get(picked) else { continue };
            let levels: String = Input::with_theme(self.theme)
                .with_prompt(format!("Which levels of {}? (the baseline's first)", factor.name))
                .default(factor.levels.join(","))
                .validate_with(|levels: &String| parse_factor(&format!("{}={levels}", factor.name)).map(drop))
                .interact_text()
                .map_err(stopped)?;
            chosen.extend(parse_factor(&format!("{}={levels}", factor.name)).ok());
        }
    }
}
