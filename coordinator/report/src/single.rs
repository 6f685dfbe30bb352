//! What networks said of single images, counted for pages: the same counts that a report shows.

use std::collections::BTreeSet;

use crate::Report;
use crate::picture::Pictures;
use crate::summary::{Confusion, Image, Images};
use crate::view::View;

/// How often classes were taken for each other, over the networks of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// How many networks were counted.
    pub networks: usize,
    /// Row by true class, column by predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// The images that most configurations get wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The hardest first.
    pub images: Vec<MissedImage>,
    /// How many there are, shown or not.
    pub missed: usize,
    /// Images that were looked at.
    pub all: usize,
    /// Configurations that were counted.
    pub configurations: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedImage {
    /// Its place in the validation data.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class that it was most often taken for.
    pub taken_for: usize,
    /// Networks that took it for another class.
    pub wrong: usize,
    /// Networks that saw it.
    pub networks: usize,
    /// Configurations of which more than half of the networks took it for another class.
    pub configurations: usize,
    /// As the address of an inline PNG; absent without a sheet of pictures.
    pub picture: Option<String>,
}

/// The matrix of a configuration; nothing where no network of it has said what it took images for.
pub fn matrix(report: &Report<'_>, position: u32) -> Option<Matrix> {
    let view = View::new(report);
    let found = Confusion::of(&view, view.subject(position)?)?;
    let row = |truth| (0..found.classes).map(|predicted| found.count(truth, predicted)).collect();
    Some(Matrix { networks: found.networks, counts: (0..found.classes).map(row).collect() })
}

/// The images that most configurations get wrong, at most `most`; nothing where trials were validated on different images.
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
