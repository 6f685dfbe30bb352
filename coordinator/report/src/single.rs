//! Predictions for single images, counted for pages: the same counts that a report shows.

use std::collections::BTreeSet;

use crate::Report;
use crate::picture::Pictures;
use crate::summary::{Confusion, Image, Images};
use crate::view::View;

/// How often classes were taken for each other, over the networks of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The number of networks that were counted.
    pub networks: usize,
    /// Row by true class, column by predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// The images that most configurations get wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The hardest first.
    pub images: Vec<MissedImage>,
    /// The number of such images, including those that are not in `images`.
    pub missed: usize,
    /// The number of validation images.
    pub all: usize,
    /// The number of configurations that were counted.
    pub configurations: usize,
}

/// One image that most configurations get wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedImage {
    /// Its index in the validation data.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class that networks most often took it for.
    pub taken_for: usize,
    /// Networks that took it for another class.
    pub wrong: usize,
    /// Networks that saw it.
    pub networks: usize,
    /// Configurations with a majority of networks that took it for another class.
    pub configurations: usize,
    /// The picture as a `data:` URL of a PNG; absent without a sheet of pictures.
    pub picture: Option<String>,
}

/// The confusion matrix of a configuration; `None` if none of its networks has predictions.
pub fn matrix(report: &Report<'_>, position: u32) -> Option<Matrix> {
    let view = View::new(report);
    let found = Confusion::of(&view, view.subject(position)?)?;
    let row = |truth| (0..found.classes).map(|predicted| found.count(truth, predicted)).collect();
    Some(Matrix { networks: found.networks, counts: (0..found.classes).map(row).collect() })
}

/// The images that most configurations get wrong, at most `most`; `None` if trials were validated on different images.
pub fn missed(report: &Report<'_>, most: usize) -> Option<Missed> {
    let view = View::new(report);
    let images = Images::of(&view)?;
    let (hardest, count) = images.hardest(most);
    let wanted: BTreeSet<usize> = hardest.iter().map(|image| image.index).collect();
    let sheet = report.material.sheet.as_ref();
    let pictures = sheet.map(|sheet| Pictures::cut(sheet, &wanted)).unwrap_or_default();
    let shown = |image: &&Image| MissedImage {
        index: image.index,
        label: image.label,
        taken_for: image.taken_for,
        wrong: image.wrong,
        networks: image.networks,
        configurations: image.configurations,
        picture: pictures.data_url(image.index),
    };
    Some(Missed {
        images: hardest.iter().map(shown).collect(),
        missed: count,
        all: images.all.len(),
        configurations: images.configurations,
    })
}
