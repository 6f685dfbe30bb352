//! A correct spec, and the problems that are reported when a part of it is replaced.

use sweep_spec::spec::Limits;
use sweep_spec::{Problem, Spec};

/// A spec without problems; each test replaces a part of it.
pub(crate) const WELL: &str = "\
version: 1
name: small
dataset: { kind: synthetic_scenes, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 2, optimizer: { kind: adam, learning_rate: 0.001 } }
seeds: [0, 1]
baseline: { family: cnn, conv_layers: 1, filters: 8 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2] }, keep: { conv_layers: 2 } }
  - { name: width, vary: { filters: [8, 16] } }
extra: [ { name: vgg19, family: vgg19 } ]
objective: { metric: val_accuracy, goal: maximize }
";

pub(crate) fn problems_of(text: &[u8]) -> Vec<Problem> {
    match Spec::parse(text, &[], &Limits::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    }
}

/// The problems of the good spec with one piece replaced, one a line.
pub(crate) fn with(piece: &str, replacement: &str) -> String {
    assert_eq!(WELL.matches(piece).count(), 1, "{piece}");
    let text = WELL.replace(piece, replacement);
    let lines: Vec<String> = problems_of(text.as_bytes())
        .iter()
        .map(|problem| format!("{}:{}: {problem}", problem.line, problem.column))
        .collect();
    lines.join("\n")
}
