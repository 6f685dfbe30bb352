//! The findings of the canned coordinator's two sweeps: comparisons, stages, noise.

use sweep_proto::v1::*;
use tonic::Status;

use super::parts::{missing, rows, sweep};
use super::{AGAINST, HOSTILE};

pub(super) fn comparison(position: u32, verdict: Verdict) -> Comparison {
    let interval = |low: f64, high: f64| Some(Interval { low, high });
    let pair = |(seed, value): (u64, f64)| SeedPair { seed, value: 0.8 + value, reference: 0.8 };
    let values = [0.031, 0.044, 0.046, 0.052, 0.038, 0.061];
    Comparison {
        position,
        configuration: "conv_layers=4 filters=256 dense_layers=2".into(),
        reference_configuration: "baseline".into(),
        stage: "depth".into(),
        pairs: (0..).zip(values).map(pair).collect(),
        seeds: 6,
        delta: Some(0.045_333),
        t_interval: interval(0.034_2, 0.056_4),
        bca_interval: interval(0.038_1, 0.053_6),
        test: Some(SignFlipTest { p: 0.031_25, exact: true, flips: 64 }),
        adjusted_p: Some(if verdict == Verdict::Helps { 0.031_25 } else { 0.062_5 }),
        effect_size: Some(4.31),
        verdict: verdict.into(),
        sentence: match verdict {
            Verdict::Helps => "helps".into(),
            _ => "no difference shown: about 7 more seeds would make a difference of this size significant".into(),
        },
        more_seeds: (verdict != Verdict::Helps).then_some(7),
        ..Default::default()
    }
}

pub(super) fn open_comparison() -> Comparison {
    Comparison {
        position: 4,
        configuration: HOSTILE.into(),
        reference_configuration: HOSTILE.into(),
        stage: HOSTILE.into(),
        verdict: Verdict::Open.into(),
        reason: "1 of 2 diverged".into(),
        sentence: format!("open: 1 of 2 diverged {HOSTILE}"),
        remark: HOSTILE.into(),
        ..Default::default()
    }
}

pub(super) fn noise() -> Option<NoiseFloor> {
    let sentence = "the baseline against itself: the standard deviation of one run is 0.0041 over 12 seeds, so a mean \
                    difference over 6 stays within ± 0.0052 in 95 of 100 such comparisons";
    Some(NoiseFloor { count: 12, standard_deviation: 0.0041, pairs: 6, half_width: 0.0052, sentence: sentence.into() })
}

pub(super) fn analysis(request: GetAnalysisRequest) -> Result<GetAnalysisResponse, Status> {
    let level = |level: &str, position: u32| FactorTableRow { level: level.into(), position, start: position == 0 };
    let table = |stage: &str, factors: &[&str], rows: Vec<FactorTableRow>| FactorTable {
        stage: stage.into(),
        factors: factors.iter().map(|factor| (*factor).to_owned()).collect(),
        rows,
    };
    let effect = |factors: &[&str], size: f64, variance_share: f64| FactorEffect {
        factors: factors.iter().map(|factor| (*factor).to_owned()).collect(),
        size: Some(size),
        interval: Some(Interval { low: size - 0.01, high: size + 0.01 }),
        variance_share,
        aliases: vec!["dropout × max_pool".into()],
    };
    let stages = vec![
        StageFinding {
            stage: "depth".into(),
            start: "baseline".into(),
            winner: "conv_layers=4".into(),
            gain: Some(0.045_333),
            effects: vec![],
        },
        StageFinding {
            stage: "regularization".into(),
            effects: vec![effect(&["batch_norm"], 0.03, 0.8), effect(&["batch_norm", "dropout"], -0.002, 0.05)],
            ..Default::default()
        },
    ];
    let mut comparisons = vec![comparison(2, Verdict::Helps), comparison(3, Verdict::NoDifferenceShown)];
    comparisons.push(open_comparison());
    let bh = request.correction() == Correction::BenjaminiHochberg;
    for one in &mut comparisons {
        one.false_discovery_p = one.adjusted_p.filter(|_| bh);
    }
    Ok(GetAnalysisResponse {
        sweep: Some(sweep(request.sweep)?),
        metric: "val_accuracy".into(),
        maximize: true,
        alpha: 0.05,
        rows: rows(),
        against_baseline: if request.against_baseline { comparisons.clone() } else { vec![] },
        comparisons,
        stages,
        noise: noise(),
        excluded: vec![Exclusion {
            configuration: HOSTILE.into(),
            seed: Some(1),
            reason: format!("failed: {HOSTILE}"),
        }],
        notes: vec!["epoch chosen on the test set".into()],
        tables: vec![
            table("depth", &["conv_layers"], vec![level("1", 0), level("4", 2), level("8", 3)]),
            table(HOSTILE, &["batch_norm", "dropout"], vec![level("starting point", 0), level(HOSTILE, 4)]),
        ],
        against: AGAINST.into(),
    })
}

pub(super) fn compared(request: CompareConfigurationsRequest) -> Result<CompareConfigurationsResponse, Status> {
    let sweep = sweep(request.sweep)?;
    let [best, _, baseline, hostile] = <[LeaderboardRow; 4]>::try_from(rows()).expect("four rows");
    let (configuration, comparison) = match request.configuration.as_str() {
        "#1" => {
            let class = |class: u32, name: &str, delta: f64, p: f64, verdict: Verdict| ClassDifference {
                class,
                name: name.into(),
                delta,
                test: Some(SignFlipTest { p: p / 2.0, exact: true, flips: 64 }),
                adjusted_p: Some(p),
                verdict: verdict.into(),
            };
            let classes = vec![
                class(0, "coast", 0.08, 0.031_25, Verdict::Helps),
                class(1, HOSTILE, -0.01, 1.0, Verdict::NoDifferenceShown),
            ];
            (best, Comparison { classes, ..comparison(2, Verdict::Helps) })
        }
        "evil" => (hostile, open_comparison()),
        "one" => {
            let images = McNemarTest {
                seed: 0,
                gained: 12,
                lost: 3,
                p: 0.035_156,
                sentence: "under seed 0, 12 images only it got right, 3 only the other".into(),
            };
            let reason = "one seed: a test needs at least two".to_owned();
            let sentence = format!("open: {reason}");
            let pairs = vec![SeedPair { seed: 0, value: 0.85, reference: 0.84 }];
            let (images, delta) = (Some(images), Some(0.01));
            (best, Comparison { reason, sentence, pairs, images, delta, remark: String::new(), ..open_comparison() })
        }
        "unlike" => {
            let reason =
                "the two configurations were trained on different splits under seed 4, so they cannot be compared";
            return Err(Status::failed_precondition(reason));
        }
        other => {
            let said = format!("no configuration is named `{other}`; the sweep has `baseline`, `filters=64`");
            return Err(missing("configuration", &said));
        }
    };
    Ok(CompareConfigurationsResponse {
        sweep: Some(sweep),
        metric: "val_accuracy".into(),
        maximize: true,
        alpha: 0.05,
        configuration: Some(configuration),
        reference: Some(baseline),
        comparison: Some(comparison),
        family: 3,
        noise: noise(),
        notes: vec!["this comparison is not one of the sweep's own 2; it is corrected together with them".into()],
    })
}
