//! A study prepared for its analysis: the values of each configuration by seed, and why a configuration is not tested.

use std::collections::{BTreeSet, HashMap};

use sweep_spec::Outcome;
use sweep_spec::spec::{Goal, Metric};

use super::Request;
use crate::leaderboard;
use crate::result::{Correction, Exclusion};
use crate::study::{GroupKind, Replicate, State, Study, Subject};

/// A study and the request for its analysis.
pub(super) struct Context<'a> {
    pub(super) study: &'a Study,
    pub(super) metric: Metric,
    pub(super) goal: Goal,
    pub(super) correction: Correction,
    series: Vec<Series<'a>>,
    places: HashMap<u32, usize>,
    /// For each winner the stages that it won and the seeds that chose it.
    selected: HashMap<u32, (Vec<&'a str>, BTreeSet<u64>)>,
}

/// A configuration's values by seed.
pub(super) struct Series<'a> {
    pub(super) subject: &'a Subject,
    /// Replicates that converged with a value, in the order of their seeds.
    pub(super) values: Vec<(u64, f64, &'a Replicate)>,
    /// Why it is not tested, if it is not.
    pub(super) obstacle: Option<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(study: &'a Study, request: &Request) -> Self {
        let metric = request.metric.unwrap_or(study.spec.objective.metric);
        let series: Vec<Series<'a>> =
            study.subjects.iter().map(|subject| Series::new(study, subject, metric)).collect();
        let places = series.iter().enumerate().map(|(place, series)| (series.subject.position, place)).collect();
        let mut selected: HashMap<u32, (Vec<&str>, BTreeSet<u64>)> = HashMap::new();
        for group in &study.groups {
            if let Some(winner) = group.winner.filter(|_| !group.chose_on.is_empty()) {
                let (stages, seeds) = selected.entry(winner).or_default();
                stages.push(&group.name);
                seeds.extend(&group.chose_on);
            }
        }
        let (goal, correction) = (study.goal(metric), request.correction);
        Self { study, metric, goal, correction, series, places, selected }
    }

    /// The values of the configuration at this position.
    pub(super) fn series(&self, position: u32) -> Option<&Series<'a>> {
        self.series.get(*self.places.get(&position)?)
    }

    /// All configurations, in the order of the plan.
    pub(super) fn all(&self) -> &[Series<'a>] {
        &self.series
    }

    /// The seeds that chose one of the two, and which stage each won, if one is a winner.
    pub(super) fn chose(&self, position: u32, reference: u32) -> Option<(String, BTreeSet<u64>)> {
        let mut seeds = BTreeSet::new();
        let mut said = Vec::new();
        for side in [position, reference] {
            let Some((stages, chose)) = self.selected.get(&side) else { continue };
            seeds.extend(chose);
            let title = self.series(side).map_or("?", |series| series.subject.title());
            let stages: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
            said.push(format!("`{title}` won {}", stages.join(", ")));
        }
        (!said.is_empty()).then(|| (said.join(" and "), seeds))
    }

    /// Whether every group has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.study.groups.iter().all(|group| group.ended)
    }

    /// The pairs to compare: each configuration of a group with the group's starting point, each pair once.
    pub(super) fn pairs(&self, notes: &mut Vec<String>) -> Vec<(u32, u32, Option<usize>)> {
        let mut pairs = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, group) in self.study.groups.iter().enumerate() {
            let start = match group.kind {
                GroupKind::Stage(_) | GroupKind::Extra => group.start,
                // They only add replicates.
                GroupKind::Noise | GroupKind::MoreSeeds => continue,
            };
            let members = || self.series.iter().filter(|series| series.subject.groups.contains(&index));
            let Some(start) = start.filter(|start| self.places.contains_key(start)) else {
                if members().next().is_some() {
                    let label = if group.start_label.is_empty() { "baseline" } else { &group.start_label };
                    notes.push(format!(
                        "`{}`: the starting point ({label}) was not trained, so the stage has no comparisons",
                        group.name
                    ));
                }
                continue;
            };
            for member in members().map(|series| series.subject.position).filter(|position| *position != start) {
                if seen.insert((member, start)) {
                    pairs.push((member, start, Some(index)));
                }
            }
        }
        pairs
    }

    /// Configurations and replicates that are not tested, with reasons.
    pub(super) fn exclusions(&self) -> Vec<Exclusion> {
        let mut exclusions = Vec::new();
        for series in &self.series {
            let position = series.subject.position;
            let mut waiting = 0;
            for replicate in series.subject.own() {
                let reason = match &replicate.state {
                    State::Queued | State::Running => {
                        waiting += 1;
                        continue;
                    }
                    State::Failed(reason) if reason.is_empty() => "failed".to_owned(),
                    State::Failed(reason) => format!("failed: {reason}"),
                    State::Cancelled => "cancelled".to_owned(),
                    State::Succeeded if has_diverged(replicate) => "diverged".to_owned(),
                    State::Succeeded => continue,
                };
                exclusions.push(Exclusion { position, seed: Some(replicate.seed), reason });
            }
            if waiting > 0 {
                let reason = format!("{waiting} of {} not ended", series.subject.own().count());
                exclusions.push(Exclusion { position, seed: None, reason });
            }
        }
        exclusions
    }
}

fn has_diverged(replicate: &Replicate) -> bool {
    replicate.answer.as_ref().is_some_and(|answer| answer.outcome == Outcome::Diverged)
}

impl<'a> Series<'a> {
    fn new(study: &Study, subject: &'a Subject, metric: Metric) -> Self {
        let value =
            |replicate: &'a Replicate| Some((replicate.seed, study.value(subject, replicate, metric)?, replicate));
        let mut values: Vec<_> = subject.own().filter_map(value).collect();
        values.sort_by_key(|(seed, ..)| *seed);
        let remark = leaderboard::remark(leaderboard::count(subject.own()));
        let asked = subject.own().count();
        let obstacle = match (remark.is_empty(), asked, values.len()) {
            (false, ..) => Some(remark),
            (true, 0, _) => Some("it has no trials".to_owned()),
            (true, asked, has) if has < asked => {
                Some(format!("{} of {asked} without a finite {}", asked - has, metric.name()))
            }
            (true, ..) => None,
        };
        Self { subject, values, obstacle }
    }

    /// Seeds and values alone.
    pub(super) fn numbers(&self) -> Vec<(u64, f64)> {
        self.values.iter().map(|(seed, value, _)| (*seed, *value)).collect()
    }
}
