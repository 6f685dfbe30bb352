//! The question, from the spec: the data, the baseline, and the factors that vary.

use std::collections::BTreeMap;

use sweep_analysis::study::GroupKind;
use sweep_analysis::tables::by_level;
use sweep_spec::dataset::{Dataset, Source};
use sweep_spec::levels::{Factor, Level};

use super::{list, plural};
use crate::tables::leaderboard::title;
use crate::view::View;

pub(crate) fn paragraphs(view: &View<'_>) -> Vec<String> {
    let spec = &view.study.spec;
    let levels = spec.baseline.levels().iter().map(|(factor, level)| format!("{factor} {level}")).collect::<Vec<_>>();
    let goal = format!("{} {}", spec.objective.goal.name(), title(view.analysis.metric));
    vec![
        format!(
            "Which change to a network helps, by how much, and at what cost? Is the difference larger than the \
             variation between seeds? The objective is to {goal} on {}.",
            data(&spec.dataset)
        ),
        format!(
            "The baseline is a network of family {}: {}. Every configuration is trained under {} and compared, seed \
             by seed, with the starting point of its stage. Two configurations under one seed see the same images in \
             the same order with the same augmentations.",
            spec.baseline.family().name(),
            list(&levels),
            plural(view.seeds(), "seed"),
        ),
    ]
}

/// The factors that vary, a line for each stage.
pub(crate) fn stages(view: &View<'_>) -> Vec<(String, String)> {
    let groups = view.study.groups.iter().enumerate();
    let lines = groups.filter_map(|(index, group)| {
        let name = match group.kind {
            GroupKind::Stage(_) => group.name.clone(),
            GroupKind::Extra => "outside the stages".to_owned(),
            GroupKind::Noise | GroupKind::MoreSeeds => return None,
        };
        let members: Vec<_> = view.study.subjects.iter().filter(|subject| subject.groups.contains(&index)).collect();
        let mut levels: BTreeMap<Factor, Vec<Level>> = BTreeMap::new();
        for (factor, level) in members.iter().flat_map(|subject| subject.configuration.levels()) {
            let seen = levels.entry(factor).or_default();
            if !seen.contains(&level) {
                seen.push(level);
            }
        }
        levels.values_mut().for_each(|levels| levels.sort_by(by_level));
        let varied = levels.iter().filter(|(_, levels)| levels.len() > 1).map(|(factor, levels)| {
            let levels: Vec<String> = levels.iter().map(ToString::to_string).collect();
            format!("{factor} ({})", levels.join(", "))
        });
        let varied: Vec<String> = varied.collect();
        let what = match (members.len(), varied.is_empty() || matches!(group.kind, GroupKind::Extra)) {
            (0, _) => "not started yet".to_owned(),
            (_, true) => list(&members.iter().map(|subject| view.name(subject.position)).collect::<Vec<_>>()),
            (_, false) => list(&varied),
        };
        let from = match group.start_label.as_str() {
            "" => String::new(),
            label => format!(", starting from {label}"),
        };
        Some((name, format!("{what}{from}; {}", plural(members.len(), "configuration"))))
    });
    lines.collect()
}

/// A description of the images.
fn data(dataset: &Dataset) -> String {
    let source = match &dataset.source {
        Source::ImageFolder { path, .. } => format!("the images in folder “{path}”"),
        Source::Idx { path } => format!("the idx files in folder “{path}”"),
        Source::Cifar10 { path } => format!("the CIFAR-10 files in folder “{path}”"),
        Source::SyntheticScenes { seed, train_images, test_images } => {
            format!("synthetic scenes (seed {seed}; {train_images} training images, {test_images} test images)")
        }
    };
    let size = dataset.image_size;
    format!(
        "{source}, {size}×{size} pixels, {}, {} classes",
        plural(dataset.channels as usize, "channel"),
        dataset.classes.count()
    )
}
