//! Writes the spec from the answers, with comments for beginners.

use std::fmt::Write;

use super::answers::{Answers, FACTORS, seeds_needed};
use super::{Design, Kind, Metric};

pub(super) fn spec(answers: &Answers) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    write(&mut text, answers).ok();
    text
}

fn write(text: &mut String, answers: &Answers) -> std::fmt::Result {
    writeln!(text, "# A study of Sweep, made by `sweepctl init`. sweeps/README.md describes every key.")?;
    writeln!(text, "# `sweepctl plan FILE` shows its configurations and trials before anything is trained.")?;
    writeln!(text, "version: 1")?;
    writeln!(text, "name: {}\n", quoted(&answers.name))?;
    dataset(text, answers)?;
    protocol(text, answers)?;
    seeds(text, answers)?;
    baseline(text, answers)?;
    stages(text, answers)?;
    let (metric, goal) = match answers.metric {
        Metric::ValAccuracy => ("val_accuracy", "maximize"),
        Metric::ValLoss => ("val_loss", "minimize"),
    };
    writeln!(text, "\n# The metric that ranks the leaderboard and decides stages.")?;
    writeln!(text, "objective: {{ metric: {metric}, goal: {goal} }}")
}

/// Quotes text for YAML if necessary.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    // YAML would read `true`, `null` and similar words as other types.
    let word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if begins && !word && text.chars().all(plain) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn dataset(text: &mut String, answers: &Answers) -> std::fmt::Result {
    let size = answers.image_size.map(|size| format!(", image_size: {size}")).unwrap_or_default();
    let classes = answers.classes.map(|classes| format!(", classes: {classes}")).unwrap_or_default();
    let path = quoted(&answers.path);
    match answers.kind {
        Kind::SyntheticScenes => {
            writeln!(text, "# Generated scenes: no files are needed.")?;
            writeln!(
                text,
                "dataset: {{ kind: synthetic_scenes{size}{classes}, train_images: 800, test_images: 400 }}"
            )?;
        }
        Kind::ImageFolder => {
            writeln!(
                text,
                "# A folder below the data root (--data-root of `submit --local` and of workers) with train/CLASS/*"
            )?;
            writeln!(text, "# and test/CLASS/*. For one folder of classes alone: test_split: {{ fraction: 0.2 }}")?;
            writeln!(text, "dataset: {{ kind: image_folder, path: {path}{size}, channels: 3{classes} }}")?;
        }
        Kind::Idx => {
            writeln!(
                text,
                "# train-images-idx3-ubyte and the other three, gzipped or not, in a folder below the data root."
            )?;
            writeln!(text, "dataset: {{ kind: idx, path: {path}{size}{classes} }}")?;
        }
        Kind::Cifar10 => {
            writeln!(
                text,
                "# data_batch_1.bin to data_batch_5.bin and test_batch.bin, in a folder below the data root."
            )?;
            writeln!(text, "dataset: {{ kind: cifar10, path: {path}{size}{classes} }}")?;
        }
    }
    writeln!(text)
}

fn protocol(text: &mut String, answers: &Answers) -> std::fmt::Result {
    let (batch, rate) = if answers.needs_files() { (32, "0.001") } else { (16, "0.003") };
    writeln!(
        text,
        "# How every network is trained: the same settings for all, so that differences come from the networks."
    )?;
    writeln!(text, "protocol:\n  epochs: {}\n  batch_size: {batch}", answers.epochs)?;
    writeln!(text, "  optimizer: {{ kind: adam, learning_rate: {rate} }}")?;
    writeln!(text, "  augment: {{ horizontal_flip: {}, shift: 0.1 }}", answers.kind != Kind::Idx)?;
    if answers.epochs < 20 {
        writeln!(
            text,
            "  # For short training: with the default of 0.99, the statistics need more steps to become accurate."
        )?;
        writeln!(text, "  batch_normalization: {{ momentum: 0.9 }}")?;
    }
    writeln!(text)
}

fn seeds(text: &mut String, answers: &Answers) -> std::fmt::Result {
    let seeds = answers.seeds;
    writeln!(text, "# Seeds per configuration. Each configuration is compared with its starting point seed by seed.")?;
    match seeds_needed(&answers.factors, answers.design) {
        Some(enough) if seeds >= enough => {}
        Some(enough) => writeln!(
            text,
            "# With fewer than {enough} seeds, no change can be significant at 5 %, corrected for the number of \
            changes."
        )?,
        None => writeln!(
            text,
            "# With so many changes, no number of seeds makes one significant at 5 %, corrected for the number of \
            changes."
        )?,
    }
    writeln!(text, "seeds: {seeds}\n")
}

fn baseline(text: &mut String, answers: &Answers) -> std::fmt::Result {
    writeln!(
        text,
        "# The configuration that every change is compared with. Factors that are not listed have the family's default."
    )?;
    writeln!(text, "baseline:\n  family: cnn")?;
    for factor in &FACTORS {
        let varied = answers.factors.iter().find(|(name, _)| name == factor.name);
        let level =
            varied.and_then(|(_, levels)| levels.first().map(String::as_str)).or(factor.levels.first().copied());
        if let Some(level) = level {
            writeln!(text, "  {}: {level}  # {}", factor.name, factor.about)?;
        }
    }
    writeln!(text)
}

fn stages(text: &mut String, answers: &Answers) -> std::fmt::Result {
    let list = |levels: &[String]| format!("[{}]", levels.join(", "));
    if answers.design == Design::Greedy {
        writeln!(text, "# One factor after the other; each stage starts from the winner of the previous one.")?;
        writeln!(text, "stages:")?;
        for (name, levels) in &answers.factors {
            writeln!(text, "  - {{ name: {name}, vary: {{ {name}: {} }}, keep: best }}", list(levels))?;
        }
        return Ok(());
    }
    let (design, about) = match answers.design {
        Design::OneAtATime | Design::Greedy => {
            ("one_at_a_time", "The baseline, then each level of each factor compared with it.")
        }
        Design::Grid => ("grid", "Every combination of these levels."),
        Design::Pairwise => ("pairwise", "Each level alone, and each pair of levels of two factors."),
    };
    writeln!(text, "# {about}")?;
    writeln!(text, "stages:\n  - name: changes\n    {design}:")?;
    for (name, levels) in &answers.factors {
        // Designs that begin with the baseline list only the levels that differ from it.
        let levels = if answers.design == Design::Grid { &levels[..] } else { levels.get(1..).unwrap_or_default() };
        writeln!(text, "      {name}: {}", list(levels))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use sweep_spec::spec::Limits;
    use sweep_spec::{Plan, Spec};

    use super::*;
    use crate::commands::init::answers::{Given, parse_factor};

    fn planned(answers: &Answers) -> Plan {
        let text = spec(answers);
        let read = Spec::parse(text.as_bytes(), &[], &Limits::default());
        Plan::new(&read.unwrap_or_else(|problems| panic!("{problems}\n{text}")))
    }

    #[test]
    fn whatever_is_answered_comes_to_a_spec_that_can_be_planned() {
        let factors = |names: &[&str]| names.iter().map(|name| parse_factor(name).unwrap()).collect::<Vec<_>>();
        let all: Vec<&str> = FACTORS.iter().map(|factor| factor.name).collect();
        let mut tried = 0;
        for kind in Kind::value_variants() {
            for design in Design::value_variants() {
                for metric in Metric::value_variants() {
                    for (seeds, epochs) in [(1, 1), (6, 100)] {
                        for names in [&["filters"][..], &["dropout", "max_pool"], &all] {
                            let given = Given {
                                kind: Some(*kind),
                                design: Some(*design),
                                metric: Some(*metric),
                                seeds: Some(seeds),
                                epochs: Some(epochs),
                                factors: factors(names),
                                ..Given::default()
                            };
                            let plan = planned(&given.with_defaults());
                            let summary = plan.summary(&[]);
                            assert!(summary.configurations > 1 && summary.trials >= summary.configurations);
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(tried, 4 * 4 * 2 * 2 * 3);
    }

    #[test]
    fn the_defaults_compare_every_level_with_the_baseline() {
        let plan = planned(&Given::default().with_defaults());
        let labels: Vec<String> = plan.released(&[]).configurations().map(|one| one.label(&plan)).collect();
        assert_eq!(labels, ["baseline", "conv_layers=2", "conv_layers=3", "filters=16", "batch_norm=true"]);
    }

    #[test]
    fn any_name_and_any_folder_survive() {
        for name in ["plain", "true", "1e3", "a: b", "# no", "é \"x\" \\", "- a", "null", "{a}", "' '"] {
            let given =
                Given { name: Some(name.into()), kind: Some(Kind::Idx), path: Some("a b".into()), ..Given::default() };
            let plan = planned(&given.with_defaults());
            assert_eq!(plan.spec().name, name);
        }
    }
}
