//! An analysis of the example, by the plainest means: enough to have every part of a report filled as a real one has it.

use sweep_analysis::result::{
    Analysis, ClassDifference, Comparison, Correction, Effect, Estimate, Interval, NoiseFloor, Pair, SignFlip,
    StageFinding, Standing, Verdict,
};
use sweep_analysis::study::{Replicate, Study, Subject};

/// Student's t at 97.5 % for 1 to 9 degrees of freedom.
const STUDENT: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

fn value(study: &Study, subject: &Subject, replicate: &Replicate) -> Option<f64> {
    study.spec.objective.metric.value(replicate.answer.as_ref()?.last.as_ref()?, subject.params)
}

fn estimate(values: &[f64]) -> Option<Estimate> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let standard_deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
    (!values.is_empty()).then_some(Estimate { mean, standard_deviation, count: values.len() as u32 })
}

pub(crate) fn of(study: &Study) -> Analysis {
    let mut comparisons = comparisons(study);
    let mut order: Vec<usize> = (0..comparisons.len()).collect();
    order.sort_by(|a, b| p(&comparisons[*a]).total_cmp(&p(&comparisons[*b])));
    let (mut largest, count) = (0.0_f64, order.len());
    for (rank, index) in order.into_iter().enumerate() {
        let comparison = &mut comparisons[index];
        largest = largest.max((p(comparison) * (count - rank) as f64).min(1.0));
        comparison.adjusted_p = comparison.test.map(|_| largest);
        let found = comparison.adjusted_p.is_some_and(|p| p < 0.05);
        comparison.verdict = match comparison.delta {
            _ if comparison.pairs.len() < 2 => Verdict::Open("one pair only".to_owned()),
            Some(delta) if found && delta > 0.0 => Verdict::Helps,
            Some(_) if found => Verdict::Hurts,
            _ => Verdict::NoDifferenceShown,
        };
        comparison.more_seeds = (comparison.verdict == Verdict::NoDifferenceShown).then_some(9);
        if found {
            comparison.classes = vec![ClassDifference {
                class: index % study.classes.len(),
                delta: comparison.delta.unwrap_or(0.0) * 2.0,
                test: comparison.test,
                adjusted_p: Some(0.031),
                verdict: comparison.verdict.clone(),
            }];
        }
    }
    let deviation = 0.0068;
    Analysis {
        metric: study.spec.objective.metric,
        goal: study.spec.objective.goal,
        alpha: 0.05,
        correction: Correction::Holm,
        standings: standings(study),
        comparisons,
        against_baseline: Vec::new(),
        stages: stages(study),
        noise: Some(NoiseFloor { count: 12, standard_deviation: deviation, pairs: 6, half_width: deviation * 1.13 }),
        excluded: Vec::new(),
        notes: vec!["trials ran on one kind of device".to_owned()],
    }
}

fn p(comparison: &Comparison) -> f64 {
    comparison.test.map_or(1.0, |test| test.p)
}

fn comparisons(study: &Study) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (index, group) in study.groups.iter().enumerate() {
        let reference = study.subjects.iter().find(|subject| Some(subject.position) == group.start);
        let Some(reference) = reference else { continue };
        for subject in study.subjects.iter().filter(|subject| subject.groups.contains(&index)) {
            if subject.position != reference.position {
                comparisons.push(compare(study, index, subject, reference));
            }
        }
    }
    comparisons
}

fn compare(study: &Study, group: usize, subject: &Subject, reference: &Subject) -> Comparison {
    let pair = |(one, other): (&Replicate, &Replicate)| {
        Some(Pair { seed: one.seed, value: value(study, subject, one)?, reference: value(study, reference, other)? })
    };
    let pairs: Vec<Pair> = subject.replicates.iter().zip(&reference.replicates).filter_map(pair).collect();
    let differences: Vec<f64> = pairs.iter().map(|pair| pair.value - pair.reference).collect();
    let estimate = estimate(&differences);
    let half = estimate.and_then(|estimate| {
        let student = STUDENT.get(differences.len().checked_sub(2)?)?;
        Some(student * estimate.standard_deviation? / (differences.len() as f64).sqrt())
    });
    let delta = estimate.map(|estimate| estimate.mean);
    let around = |share: f64| Some(Interval { low: delta? - share * half?, high: delta? + share * half? });
    Comparison {
        position: subject.position,
        reference: reference.position,
        group: Some(group),
        delta,
        t_interval: around(1.0),
        bca_interval: around(0.7),
        test: (!pairs.is_empty()).then(|| flip(&differences)),
        adjusted_p: None,
        false_discovery_p: None,
        effect_size: estimate.and_then(|estimate| Some(estimate.mean / estimate.standard_deviation?)),
        verdict: Verdict::NoDifferenceShown,
        after_selection: false,
        more_seeds: None,
        images: None,
        classes: Vec::new(),
        remark: String::new(),
        pairs,
    }
}

fn flip(differences: &[f64]) -> SignFlip {
    let seen: f64 = differences.iter().sum::<f64>().abs();
    let flips = 1_u64 << differences.len();
    let sum = |signs: u64| -> f64 {
        let signed = differences.iter().enumerate();
        signed.map(|(index, value)| if signs >> index & 1 == 1 { *value } else { -*value }).sum()
    };
    let as_large = (0..flips).filter(|signs| sum(*signs).abs() >= seen - 1e-12).count();
    SignFlip { p: as_large as f64 / flips as f64, exact: true, flips }
}

fn standings(study: &Study) -> Vec<Standing> {
    let standing = |subject: &Subject| {
        let values: Vec<f64> = subject.replicates.iter().filter_map(|one| value(study, subject, one)).collect();
        let seconds: Vec<f64> =
            subject.replicates.iter().filter_map(|one| Some(one.answer.as_ref()?.provenance.seconds)).collect();
        Standing {
            position: subject.position,
            rank: None,
            value: estimate(&values),
            seconds: estimate(&seconds),
            on_front: false,
            front_share: None,
        }
    };
    let mut standings: Vec<Standing> = study.subjects.iter().map(standing).collect();
    let mean = |standing: &Standing| standing.value.map_or(f64::NEG_INFINITY, |value| value.mean);
    standings.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    let params = |position: u32| study.subjects.iter().find(|one| one.position == position).map_or(0, |one| one.params);
    let mut group: Option<(u32, f64)> = None;
    for index in 0..standings.len() {
        let (here, own) = (mean(&standings[index]), params(standings[index].position));
        if standings[index].value.is_none() {
            continue;
        }
        group = match group {
            Some((rank, first)) if first - here < 0.004 => Some((rank, first)),
            _ => Some((index as u32 + 1, here)),
        };
        standings[index].rank = group.map(|(rank, _)| rank);
        standings[index].on_front = !standings[..index].iter().any(|other| params(other.position) <= own);
        let share =
            if standings[index].on_front { 0.96 - 0.07 * (index % 5) as f64 } else { 0.02 * (index % 4) as f64 };
        standings[index].front_share = Some(share);
    }
    standings
}

fn stages(study: &Study) -> Vec<StageFinding> {
    let effect = |factors: &[&str], size: f64, share: f64| Effect {
        factors: factors.iter().map(|factor| (*factor).to_owned()).collect(),
        size: Some(size),
        interval: Some(Interval { low: size - 0.006, high: size + 0.006 }),
        variance_share: share,
        aliases: Vec::new(),
    };
    let finding = |(index, group): (usize, &sweep_analysis::study::Group)| StageFinding {
        group: index,
        start: group.start,
        winner: group.winner,
        gain: group.winner.map(|_| 0.0124),
        effects: match group.name.as_str() {
            "regularization" => vec![
                effect(&["batch_norm"], 0.0226, 0.71),
                effect(&["max_pool"], 0.0102, 0.14),
                effect(&["dropout"], 0.0031, 0.01),
                effect(&["max_pool", "batch_norm"], -0.0044, 0.03),
                effect(&["max_pool", "dropout"], 0.0004, 0.00),
                effect(&["batch_norm", "dropout"], -0.0008, 0.00),
            ],
            _ => Vec::new(),
        },
    };
    let stages = study.groups.iter().enumerate().filter(|(_, group)| group.name != "extra");
    stages.map(finding).collect()
}
