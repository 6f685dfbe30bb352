//! Finds related parts of a study, its analysis and the material. A position without a configuration is not an error:
//! the report leaves it out.

use std::collections::BTreeMap;

use sweep_analysis::result::{Analysis, Comparison, Estimate, Standing, Verdict};
use sweep_analysis::study::{Answer, GroupKind, Replicate, Study, Subject};
use sweep_spec::Outcome;
use sweep_spec::spec::Metric;

use crate::Report;
use crate::material::Material;
use crate::words::number::Unit;

/// A report with its index.
pub(crate) struct View<'a> {
    pub(crate) study: &'a Study,
    pub(crate) analysis: &'a Analysis,
    pub(crate) material: &'a Material,
    /// The number format of the metric.
    pub(crate) unit: Unit,
    standings: BTreeMap<u32, &'a Standing>,
}

impl<'a> View<'a> {
    pub(crate) fn new(report: &Report<'a>) -> Self {
        let standings = report.analysis.standings.iter().map(|standing| (standing.position, standing)).collect();
        Self {
            study: report.study,
            analysis: report.analysis,
            material: report.material,
            unit: Unit::of(report.analysis.metric),
            standings,
        }
    }

    pub(crate) fn subject(&self, position: u32) -> Option<&'a Subject> {
        self.study.subject(position)
    }

    pub(crate) fn standing(&self, position: u32) -> Option<&'a Standing> {
        self.standings.get(&position).copied()
    }

    /// The baseline, if it was trained.
    pub(crate) fn baseline(&self) -> Option<&'a Subject> {
        self.study.baseline()
    }

    /// The best configuration by rank, else by mean.
    pub(crate) fn best(&self) -> Option<&'a Subject> {
        let ranked = self.analysis.standings.iter().find(|standing| standing.rank.is_some());
        let first = ranked.or_else(|| self.analysis.standings.iter().find(|standing| standing.value.is_some()));
        self.subject(first?.position)
    }

    /// The label of a configuration.
    pub(crate) fn name(&self, position: u32) -> String {
        self.subject(position).map_or_else(|| format!("configuration {position}"), |subject| subject.title().to_owned())
    }

    /// The difference between the two sides of a comparison.
    pub(crate) fn change(&self, comparison: &Comparison) -> String {
        let (Some(subject), Some(reference)) = (self.subject(comparison.position), self.subject(comparison.reference))
        else {
            return self.name(comparison.position);
        };
        if !subject.name.is_empty() {
            return subject.name.clone();
        }
        if reference.baseline {
            return subject.label.clone();
        }
        subject.configuration.difference(&reference.configuration).to_string()
    }

    /// The stage of a comparison, and its reference.
    pub(crate) fn place(&self, comparison: &Comparison) -> String {
        let reference = self.name(comparison.reference);
        match comparison.group.and_then(|group| self.study.groups.get(group)) {
            Some(group) if matches!(group.kind, GroupKind::Stage(_)) => format!("{}, against {reference}", group.name),
            Some(_) | None => format!("against {reference}"),
        }
    }

    /// The comparison of a configuration within a group.
    pub(crate) fn comparison(&self, group: usize, position: u32) -> Option<&'a Comparison> {
        let family = self.analysis.comparisons.iter();
        let mut found = family.filter(|comparison| comparison.position == position);
        found.find(|comparison| comparison.group == Some(group))
    }

    /// Comparisons with this verdict.
    pub(crate) fn with(&self, verdict: &Verdict) -> Vec<&'a Comparison> {
        self.analysis.comparisons.iter().filter(|comparison| comparison.verdict == *verdict).collect()
    }

    /// Mean and spread of any metric over a configuration's replicates.
    pub(crate) fn estimate(&self, subject: &'a Subject, metric: Metric) -> Option<Estimate> {
        estimate(subject.own().filter_map(|replicate| self.study.value(subject, replicate, metric)))
    }

    /// The largest number of replicates of a configuration.
    pub(crate) fn seeds(&self) -> usize {
        self.study.subjects.iter().map(|subject| subject.own().count()).max().unwrap_or(0)
    }
}

/// The result of a replicate that converged.
pub(crate) fn converged(replicate: &Replicate) -> Option<&Answer> {
    replicate.answer.as_ref().filter(|answer| answer.outcome == Outcome::Converged)
}

/// Mean and spread of the finite values.
pub(crate) fn estimate(values: impl Iterator<Item = f64>) -> Option<Estimate> {
    sweep_analysis::statistics::estimate(&values.filter(|value| value.is_finite()).collect::<Vec<f64>>())
}
