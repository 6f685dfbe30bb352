//! The parts of a report one by one, for pages that show a study while it runs. Their text is the same as in the
//! document. Their style is [`STYLE`], whose colours are the page's custom properties. No part contains a style or a
//! script, so the page may have a strict content policy.

use maud::{Markup, html};
use sweep_analysis::result::Comparison;
use sweep_spec::spec::Metric;
use sweep_spec::trainer::EpochMetrics;

use crate::chart::curves::{self, Axes, Curves};
use crate::chart::{overlay, parallel};
use crate::html::{images, matrix, sections};
use crate::summary::Confusion;
use crate::tables::leaderboard;
use crate::view::View;
use crate::words::answer;
use crate::words::number::Unit;
use crate::{Error, Report};

pub use crate::chart::overlay::{MOST_SERIES, Which};
pub use crate::chart::parallel::Links;
pub use crate::words::number;
pub use crate::words::{capital, list, plural};

/// The stylesheet of the parts.
pub const STYLE: &str = crate::html::PARTS;

/// A report, part by part.
pub struct Parts<'a> {
    view: View<'a>,
}

impl<'a> Parts<'a> {
    pub fn new(report: &Report<'a>) -> Self {
        Self { view: View::new(report) }
    }

    /// The question of the study, in paragraphs.
    pub fn question(&self) -> Markup {
        sections::question(&self.view)
    }

    /// The training protocol.
    pub fn protocol(&self) -> Markup {
        sections::protocol(&self.view)
    }

    /// The answer in sentences.
    pub fn answer(&self) -> Markup {
        sections::answer(&self.view)
    }

    /// The answer in its shortest form.
    pub fn lead(&self) -> String {
        answer::answer(&self.view).lead
    }

    /// The delta chart, of at most `most` changes.
    pub fn deltas(&self, most: usize) -> Option<Markup> {
        sections::deltas(&self.view, Some(most))
    }

    /// The metric of the sweep against parameters, of about `most` configurations.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub fn pareto(&self, most: usize) -> Result<Option<Markup>, Error> {
        sections::pareto(&self.view, Some(most))
    }

    /// Parallel coordinates of at most `most` configurations.
    pub fn parallel(&self, most: usize, links: &Links<'_>) -> Option<Markup> {
        parallel::draw(&self.view, most, links)
    }

    /// The tables factor by factor.
    pub fn factors(&self) -> Option<Markup> {
        sections::factors(&self.view)
    }

    /// Effects of factorial stages.
    pub fn effects(&self) -> Option<Markup> {
        sections::effects(&self.view)
    }

    /// The choice of each stage.
    pub fn path(&self) -> Option<Markup> {
        sections::path(&self.view)
    }

    /// The comparisons that could not be decided.
    pub fn undecided(&self) -> Markup {
        sections::undecided(&self.view)
    }

    /// Which classes a change helps or hurts.
    pub fn classes(&self) -> Option<Markup> {
        sections::classes(&self.view)
    }

    /// The configurations and trials that were excluded, and why.
    pub fn excluded(&self) -> Markup {
        sections::excluded(&self.view)
    }

    /// Notes that apply to the whole report.
    pub fn notes(&self) -> Markup {
        sections::notes(&self.view)
    }

    /// Where the numbers come from, with the spec.
    pub fn provenance(&self) -> Markup {
        sections::provenance(&self.view)
    }

    /// The curves of the report's material, each configuration by itself.
    ///
    /// # Errors
    /// A chart cannot be drawn.
    pub fn curves(&self) -> Result<Option<Markup>, Error> {
        sections::curves(&self.view)
    }

    /// One curve of each of these configurations on one chart.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub fn overlay(&self, positions: &[u32], which: Which) -> Result<Option<Markup>, Error> {
        overlay::draw(&self.view, positions, which)
    }

    /// Confusion matrices beside each other; with `difference`, their differences from the baseline's.
    pub fn confusion(&self, positions: &[u32], difference: bool) -> Option<Markup> {
        matrix::beside(&self.view, positions, difference)
    }

    /// Whether there are more classes than a matrix can show.
    pub fn too_many_classes(&self) -> bool {
        matrix::too_many_classes(&self.view)
    }

    /// The most confused pairs of classes, and the images that most configurations get wrong.
    pub fn images(&self) -> (Option<Markup>, Option<Markup>) {
        let shown = images::Shown::of(&self.view);
        (shown.pairs(&self.view), shown.hardest(&self.view))
    }

    /// The stage of a comparison, and its reference.
    pub fn place(&self, comparison: &Comparison) -> String {
        self.view.place(comparison)
    }
}

/// The name of a metric in prose.
pub const fn title(metric: Metric) -> &'static str {
    leaderboard::title(metric)
}

/// The name of a metric in the header of a column.
pub const fn short(metric: Metric) -> &'static str {
    leaderboard::short(metric)
}

/// The number format of a metric.
pub const fn unit(metric: Metric) -> Unit {
    Unit::of(metric)
}

/// The curves of one trial: accuracy and loss. `None` if no number is finite.
///
/// # Errors
/// A chart cannot be drawn.
pub fn trial_curves(epochs: &[EpochMetrics], name: &str) -> Result<Option<Markup>, Error> {
    if epochs.is_empty() {
        return Ok(None);
    }
    let curves = [Curves::of(0, &[epochs])];
    let Some(axes) = Axes::of(&curves) else { return Ok(None) };
    let [curves] = &curves;
    let drawn = curves::draw(&axes, curves, None, name)?;
    Ok(Some(html! {
        p.legend aria-hidden="true" { span.train { "training" } span.validation { "validation" } }
        (drawn)
    }))
}

/// The confusion matrix of one network: counts row by true class, column by predicted class. `None` if the counts do
/// not fit the classes, or if there are too many classes for a matrix.
pub fn trial_confusion(classes: &[String], counts: &[u32], name: &str) -> Option<Markup> {
    let confusion = Confusion::new(classes.len(), counts)?;
    matrix::one(classes, &confusion, name)
}
