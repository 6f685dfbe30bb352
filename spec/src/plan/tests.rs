//! Plans of small specs, looked at point by point.

use super::*;
use crate::spec::Limits;

fn plan(text: &str) -> Plan {
    match Spec::parse(text.as_bytes(), &[], &Limits::default()) {
        Ok(spec) => Plan::new(&spec),
        Err(problems) => panic!("{problems}"),
    }
}

const STUDY: &str = "
version: 1
name: scene-cnn
dataset: { kind: image_folder, path: scenes, image_size: 64, channels: 3, classes: 8 }
protocol: { epochs: 100, schedule: { min_learning_rate: 1.0e-6 }, augment: { horizontal_flip: true, shift: 0.1 } }
seeds: [0, 1]
baseline: { family: cnn, conv_layers: 1, filters: 64, kernel_size: 5, dense_layers: 1, dense_units: 1024 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2, 4, 8] }, keep: { conv_layers: 4 } }
  - { name: head,  vary: { dense_layers: [1, 2, 4] },   keep: { dense_layers: 2 } }
  - { name: width, vary: { filters: [32, 64, 128, 256] }, keep: { filters: 256 } }
  - { name: regularization, grid: { max_pool: [false, true], batch_norm: [false, true], dropout: [0.0, 0.2] } }
  - { name: kernel, from: width, set: { dropout: 0.2 }, vary: { kernel_size: [3, 5, 7, 9] } }
extra: [ { name: vgg19, family: vgg19 } ]
objective: { metric: val_accuracy, goal: maximize }
";

#[test]
fn the_study_has_twenty_configurations_and_shares_what_occurs_twice() {
    let plan = plan(STUDY);
    let summary = plan.summary(&[]);
    assert_eq!((summary.configurations, summary.trials, summary.merged), (20, 40, 4));
    assert!(!summary.at_most);
    let merged: Vec<u64> = summary.groups.iter().map(|group| group.merged).collect();
    assert_eq!(merged, [0, 1, 1, 1, 1, 0]);
    let released = plan.released(&[]);
    let all: Vec<_> = released.configurations().collect();
    assert_eq!(all[0].label(&plan), "baseline");
    assert_eq!(all[19].label(&plan), "vgg19");
    let shared = all.iter().find(|planned| planned.groups == [2, 3]).unwrap();
    assert_eq!(shared.label(&plan), "conv_layers=4 filters=256 dense_layers=2");
    let again = plan.expand(3, &[]).unwrap();
    assert_eq!(again[0], *shared, "a group shows what it shares under the ordinal of its first release");
}
