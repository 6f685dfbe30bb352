//! Finds what belongs together in a study, its analysis and the material. A position that names nobody is not an error:
//! what is said of it is left out.

use std::collections::BTreeMap;

use sweep_analysis::result::{Analysis, Comparison, Estimate, Standing, Verdict};
use sweep_analysis::study::{Answer, GroupKind, Replicate, Study, Subject};
use sweep_spec::Outcome;
use sweep_spec::protocol::Report as Reported;
use sweep_spec::spec::Metric;
use sweep_spec::trainer::EpochMetrics;

use crate::Report;
use crate::material::Material;
use crate::words::number::Unit;

/// A report with its index.
pub(crate) struct View<'a> {
    pub(crate) study: &'a Study,
    pub(crate) analysis: &'a Analysis,
    pub(crate) material: &'a Material,
    /// How values of the metric are written.
    pub(crate) unit: Unit,
    subjects: BTreeMap<u32, &'a Subject>,
    standings: BTreeMap<u32, &'a Standing>,
}

impl<'a> View<'a> {
    pub(crate) fn new(report: &Report<'a>) -> Self {
        let subjects = report.study.subjects.iter().map(|subject| (subject.position, subject)).collect();
        let standings = report.analysis.standings.iter().map(|standing| (standing.position, standing)).collect();
        Self {
            study: report.study,
            analysis: report.analysis,
            material: report.material,
            unit: Unit::of(report.analysis.metric),
            subjects,
            standings,
        }
    }

    pub(crate) fn subject(&self, position: u32) -> Option<&'a Subject> {
        self.subjects.get(&position).copied()
    }

    pub(crate) fn standing(&self, position: u32) -> Option<&'a Standing> {
        self.standings.get(&position).copied()
    }

    /// The baseline, if it was trained.
    pub(crate) fn baseline(&self) -> Option<&'a Subject> {
        self.study.subjects.iter().find(|subject| subject.baseline)
    }

    /// The best configuration by rank, else by mean.
    pub(crate) fn best(&self) -> Option<&'a Subject> {
        let ranked = self.analysis.standings.iter().find(|standing| standing.rank.is_some());
        let first = ranked.or_else(|| self.analysis.standings.iter().find(|standing| standing.value.is_some()));
        self.subject(first?.position)
    }

    /// What a configuration is called.
    pub(crate) fn name(&self, position: u32) -> String {
        match self.subject(position) {
            Some(subject) if !subject.name.is_empty() => subject.name.clone(),
            Some(subject) => subject.label.clone(),
            None => format!("configuration {position}"),
        }
    }

    /// What a comparison is about: what differs between the two.
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

    /// Where a comparison stands: the stage and what it is measured against.
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

    /// The epoch that a converged replicate is judged by.
    pub(crate) fn epoch(&self, replicate: &'a Replicate) -> Option<&'a EpochMetrics> {
        let answer = converged(replicate)?;
        match self.study.spec.protocol.report {
            Reported::Best => answer.best.as_ref(),
            Reported::Last => answer.last.as_ref(),
        }
    }

    /// Mean and spread of any metric over a configuration's replicates.
    pub(crate) fn estimate(&self, subject: &'a Subject, metric: Metric) -> Option<Estimate> {
        let epochs = replicates(subject).filter_map(|replicate| self.epoch(replicate));
        let values: Vec<f64> = epochs.filter_map(|epoch| metric.value(epoch, subject.params)).collect();
        estimate(&values)
    }

    /// The most replicates that a configuration has.
    pub(crate) fn seeds(&self) -> usize {
        self.study.subjects.iter().map(|subject| replicates(subject).count()).max().unwrap_or(0)
    }
}

/// The replicates of a configuration that enter comparisons.
pub(crate) fn replicates(subject: &Subject) -> impl Iterator<Item = &Replicate> {
    subject.replicates.iter().filter(|replicate| !replicate.noise)
}

/// The answer of a replicate that converged.
pub(crate) fn converged(replicate: &Replicate) -> Option<&Answer> {
    replicate.answer.as_ref().filter(|answer| answer.outcome == Outcome::Converged)
}

/// Mean and spread; nothing of nothing. The sums do not depend on the order of the values.
pub(crate) fn estimate(values: &[f64]) -> Option<Estimate> {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let standard_deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
    Some(Estimate { mean, standard_deviation, count: values.len() as u32 })
}
