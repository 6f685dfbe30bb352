//! Messages of an analysis, and the options of a request for one. Nothing is computed here.

use std::collections::{HashMap, HashSet};

use sweep_analysis::leaderboard::Row;
use sweep_analysis::result::{
    ClassDifference, Comparison, Correction, Effect, Exclusion, Interval, McNemar, NoiseFloor, SignFlip, StageFinding,
    Standing, Verdict,
};
use sweep_analysis::study::Study;
use sweep_analysis::tables::{Entry, Table};
use sweep_proto::v1;
use sweep_spec::spec::Metric;

use super::sweep_messages;
use crate::convert::Invalid;
use crate::engine::{Analysed, Error};

/// Rows of a leaderboard with their ranks, and with their comparisons if `compared`.
pub(super) fn rows(analysed: &Analysed, rows: &[&Row], compared: bool) -> Result<Vec<v1::LeaderboardRow>, Error> {
    let (study, analysis) = (&analysed.study, &analysed.analysis);
    let wanted: HashSet<u32> = rows.iter().map(|row| row.position).collect();
    let standings = analysis.standings.iter().filter(|one| wanted.contains(&one.position));
    let standings: HashMap<u32, &Standing> = standings.map(|one| (one.position, one)).collect();
    let mut comparisons: HashMap<u32, &Comparison> = HashMap::new();
    for one in analysis.comparisons.iter().filter(|one| compared && wanted.contains(&one.position)) {
        // A configuration of several stages has the comparison of the first.
        comparisons.entry(one.position).or_insert(one);
    }
    let row = |row: &&Row| {
        let standing = standings.get(&row.position);
        let short = |one: &&Comparison| v1::Comparison { pairs: vec![], classes: vec![], ..comparison(study, one) };
        Ok(v1::LeaderboardRow {
            shared_rank: standing.and_then(|standing| standing.rank),
            comparison: comparisons.get(&row.position).filter(|_| !row.baseline).map(short),
            on_front: standing.is_some_and(|standing| standing.on_front),
            front_share: standing.and_then(|standing| standing.front_share),
            ..sweep_messages::row(&analysed.record, row)?
        })
    };
    rows.iter().map(row).collect()
}

fn title(study: &Study, position: u32) -> String {
    study.subject(position).map(|subject| subject.title().to_owned()).unwrap_or_default()
}

fn stage_name(study: &Study, group: Option<usize>) -> String {
    group.and_then(|group| study.groups.get(group)).map(|group| group.name.clone()).unwrap_or_default()
}

fn interval(interval: Interval) -> v1::Interval {
    v1::Interval { low: interval.low, high: interval.high }
}

fn test(test: SignFlip) -> v1::SignFlipTest {
    v1::SignFlipTest { p: test.p, exact: test.exact, flips: test.flips }
}

fn images(images: McNemar) -> v1::McNemarTest {
    let McNemar { seed, gained, lost, p } = images;
    v1::McNemarTest { seed, gained, lost, p, sentence: images.sentence() }
}

fn class(study: &Study, found: &ClassDifference) -> v1::ClassDifference {
    v1::ClassDifference {
        class: u32::try_from(found.class).unwrap_or(u32::MAX),
        name: study.classes.get(found.class).cloned().unwrap_or_default(),
        delta: found.delta,
        test: found.test.map(test),
        adjusted_p: found.adjusted_p,
        verdict: verdict(&found.verdict).into(),
    }
}

pub(super) fn comparison(study: &Study, one: &Comparison) -> v1::Comparison {
    let pair = |pair: &sweep_analysis::result::Pair| v1::SeedPair {
        seed: pair.seed,
        value: pair.value,
        reference: pair.reference,
    };
    v1::Comparison {
        position: one.position,
        reference: one.reference,
        configuration: title(study, one.position),
        reference_configuration: title(study, one.reference),
        stage: stage_name(study, one.group),
        pairs: one.pairs.iter().map(pair).collect(),
        seeds: u32::try_from(one.pairs.len()).unwrap_or(u32::MAX),
        delta: one.delta,
        t_interval: one.t_interval.map(interval),
        bca_interval: one.bca_interval.map(interval),
        test: one.test.map(test),
        adjusted_p: one.adjusted_p,
        false_discovery_p: one.false_discovery_p,
        effect_size: one.effect_size,
        verdict: verdict(&one.verdict).into(),
        reason: match &one.verdict {
            Verdict::Open(reason) => reason.clone(),
            Verdict::Helps | Verdict::Hurts | Verdict::NoDifferenceShown | Verdict::AfterSelection => String::new(),
        },
        after_selection: one.after_selection,
        more_seeds: one.more_seeds,
        images: one.images.map(images),
        classes: one.classes.iter().map(|found| class(study, found)).collect(),
        sentence: one.sentence(),
        remark: one.remark.clone(),
    }
}

fn effect(found: &Effect) -> v1::FactorEffect {
    v1::FactorEffect {
        factors: found.factors.clone(),
        size: found.size,
        interval: found.interval.map(interval),
        variance_share: found.variance_share,
        aliases: found.aliases.iter().map(|factors| factors.join(" × ")).collect(),
    }
}

pub(super) fn stage(study: &Study, found: &StageFinding) -> v1::StageFinding {
    v1::StageFinding {
        stage: stage_name(study, Some(found.group)),
        start: found.start.map(|start| title(study, start)).unwrap_or_default(),
        winner: found.winner.map(|winner| title(study, winner)).unwrap_or_default(),
        gain: found.gain,
        effects: found.effects.iter().map(effect).collect(),
    }
}

pub(super) fn noise(found: &NoiseFloor) -> v1::NoiseFloor {
    v1::NoiseFloor {
        count: found.count,
        standard_deviation: found.standard_deviation,
        pairs: found.pairs,
        half_width: found.half_width,
        sentence: found.sentence(),
    }
}

pub(super) fn exclusion(study: &Study, one: &Exclusion) -> v1::Exclusion {
    v1::Exclusion { configuration: title(study, one.position), seed: one.seed, reason: one.reason.clone() }
}

pub(super) fn table(study: &Study, table: &Table) -> v1::FactorTable {
    let row =
        |entry: &Entry| v1::FactorTableRow { level: entry.level.clone(), position: entry.position, start: entry.start };
    v1::FactorTable {
        stage: stage_name(study, Some(table.group)),
        factors: table.factors.iter().map(|factor| factor.name().to_owned()).collect(),
        rows: table.rows.iter().map(row).collect(),
    }
}

const fn verdict(verdict: &Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Helps => v1::Verdict::Helps,
        Verdict::Hurts => v1::Verdict::Hurts,
        Verdict::NoDifferenceShown => v1::Verdict::NoDifferenceShown,
        Verdict::AfterSelection => v1::Verdict::AfterSelection,
        Verdict::Open(_) => v1::Verdict::Open,
    }
}

pub(super) fn correction(code: i32) -> Result<Correction, Invalid> {
    match v1::Correction::try_from(code) {
        Ok(v1::Correction::Unspecified | v1::Correction::Holm) => Ok(Correction::Holm),
        Ok(v1::Correction::BenjaminiHochberg) => Ok(Correction::BenjaminiHochberg),
        Err(_) => Err(Invalid { field: "correction", problem: "unknown".into() }),
    }
}

/// The metric with this name; none for the objective, whose name is left out.
pub(crate) fn metric(name: &str) -> Result<Option<Metric>, Invalid> {
    if name.is_empty() {
        return Ok(None);
    }
    let unknown = || {
        let known: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        Invalid { field: "metric", problem: format!("unknown; there are {}", known.join(", ")) }
    };
    Metric::named(name).map(Some).ok_or_else(unknown)
}
