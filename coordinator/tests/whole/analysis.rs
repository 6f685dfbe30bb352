//! From submission to verdicts, over real gRPC and the real store.

use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Answer, Env, SPEC, by_filters, reference, result};

fn eight_seeds(spec: &str) -> String {
    spec.replace("seeds: [0, 1]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]")
}

async fn analysis(env: &Env, sweep: u64, against_baseline: bool) -> v1::GetAnalysisResponse {
    let request = v1::GetAnalysisRequest {
        sweep: reference(sweep),
        against_baseline,
        images: true,
        correction: v1::Correction::BenjaminiHochberg.into(),
        ..Default::default()
    };
    env.sweeps().await.get_analysis(request).await.unwrap().into_inner()
}

async fn compare(
    env: &Env,
    sweep: u64,
    [configuration, other]: [&str; 2],
) -> Result<v1::CompareConfigurationsResponse, tonic::Status> {
    let request = v1::CompareConfigurationsRequest {
        sweep: reference(sweep),
        configuration: configuration.into(),
        reference: other.into(),
        metric: String::new(),
    };
    Ok(env.sweeps().await.compare_configurations(request).await?.into_inner())
}

fn verdicts(comparisons: &[v1::Comparison]) -> Vec<(&str, &str, v1::Verdict)> {
    let one = |one: &v1::Comparison| one.verdict();
    comparisons.iter().map(|of| (of.configuration.as_str(), of.reference_configuration.as_str(), one(of))).collect()
}

#[tokio::test]
async fn a_sweep_goes_from_submit_to_verdicts() {
    let env = Env::new().await;
    let sweep = env.submit(&eight_seeds(SPEC)).await.id;
    let early = analysis(&env, sweep, false).await;
    assert!(early.comparisons.iter().all(|one| one.verdict() == v1::Verdict::Open && one.reason.contains("not ended")));
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;

    let found = analysis(&env, sweep, true).await;
    let (helps, none) = (v1::Verdict::Helps, v1::Verdict::NoDifferenceShown);
    let start = "filters=8";
    let expected = [
        ("filters=8", "baseline", helps),
        ("filters=16", "baseline", helps),
        ("filters=8 dropout=0.2", start, none),
        ("filters=8 batch_norm=true", start, none),
        ("filters=8 batch_norm=true dropout=0.2", start, none),
        ("wide", "baseline", helps),
    ];
    assert_eq!(verdicts(&found.comparisons), expected);
    let wider = &found.comparisons[0];
    assert_eq!((wider.stage.as_str(), wider.seeds, wider.pairs.len()), ("width", 8, 8));
    assert!((wider.delta.unwrap() - 0.04).abs() < 1e-12);
    assert_eq!((wider.test.unwrap().p, wider.adjusted_p), (2.0 / 256.0, Some(6.0 * 2.0 / 256.0)));
    assert_eq!(wider.false_discovery_p, Some(2.0 * 2.0 / 256.0));
    assert_eq!(wider.classes[0].name, "a", "a worker described the data");
    assert_eq!(verdicts(&found.against_baseline).len(), 6);
    assert!(
        found.against_baseline.iter().all(|one| one.verdict() == helps && one.reference_configuration == "baseline")
    );

    let names: Vec<String> =
        found.tables.iter().map(|table| format!("{}: {}", table.stage, table.factors.join(", "))).collect();
    assert_eq!(names, ["width: filters", "regularization: batch_norm, dropout", "extra: filters, dense_units"]);
    let levels: Vec<&str> = found.tables[0].rows.iter().map(|row| row.level.as_str()).collect();
    assert_eq!(levels, ["4", "8", "16"]);
    let grid = &found.stages[1];
    assert_eq!(grid.effects.iter().map(|effect| effect.factors.len()).collect::<Vec<_>>(), [1, 1, 2]);
    let noise = found.noise.unwrap();
    assert_eq!((noise.count, noise.pairs), (8, 8));
    assert!(found.excluded.is_empty());
}

#[tokio::test]
async fn the_leaderboard_has_verdicts_and_shared_ranks() {
    let env = Env::new().await;
    let sweep = env.submit(&eight_seeds(SPEC)).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let board = env.leaderboard(sweep).await;
    let row = |name: &str| {
        let is = |row: &&v1::LeaderboardRow| row.configuration == name || row.name == name;
        board.rows.iter().find(is).unwrap()
    };
    let wide = row("wide");
    assert_eq!(wide.comparison.as_ref().unwrap().verdict(), v1::Verdict::Helps);
    assert!(wide.comparison.as_ref().unwrap().pairs.is_empty(), "pairs are told by an analysis");
    assert!(row("baseline").comparison.is_none() && row("baseline").on_front);
    // Eight seeds cannot tell 21 pairs apart: 21 × 2 ÷ 256 is more than 5 %.
    assert!(board.rows.iter().all(|row| row.shared_rank == Some(1)));
    assert_eq!(board.rows.iter().map(|row| row.rank.unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((board.alpha, board.noise.as_ref().unwrap().count), (0.05, 8));
}

#[tokio::test]
async fn any_two_are_compared_by_name_label_place_or_trial() {
    let env = Env::new().await;
    let sweep = env.submit(&eight_seeds(SPEC)).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let found = compare(&env, sweep, ["#1", "baseline"]).await.unwrap();
    let one = found.comparison.as_ref().unwrap();
    assert_eq!((one.configuration.as_str(), one.reference_configuration.as_str()), ("wide", "baseline"));
    assert_eq!((one.verdict(), found.family), (v1::Verdict::Helps, 6));
    let request = v1::ListTrialsRequest { sweep: reference(sweep), configuration: "wide".into(), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let digits: String = trials[3].trial_id.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let found = compare(&env, sweep, [&digits, "filters=16"]).await.unwrap();
    assert_eq!((found.comparison.unwrap().configuration.as_str(), found.family), ("wide", 7));
    assert!(found.notes.iter().any(|note| note.contains("not one of the sweep's own 6")));

    let unknown = compare(&env, sweep, ["filters=17", "baseline"]).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    assert!(unknown.message().starts_with("no configuration is named `filters=17`; the sweep has `"), "{unknown}");
    let same = compare(&env, sweep, ["wide", "wide"]).await.unwrap_err();
    assert_eq!(
        (same.code(), same.message()),
        (tonic::Code::FailedPrecondition, "`wide` cannot be compared with itself")
    );
}

#[tokio::test]
async fn what_was_not_trained_alike_is_refused_with_the_reason() {
    let env = Env::new().await;
    let sweep = env.submit(&eight_seeds(SPEC)).await.id;
    let usual = by_filters();
    let other_split: Answer = Arc::new(move |settings| match (usual(settings), settings["seed"].as_str()) {
        (Ending::Result(mut found), "5") if settings["configuration.filters"] == "16" => {
            found.provenance.as_mut().unwrap().split_digest = vec![9; 32].into();
            Ending::Result(found)
        }
        (ending, _) => ending,
    });
    env.worker("w1", 4).await.work(&env, sweep, &other_split).await;
    let reason = "the two configurations were trained on different splits under seed 5, so they cannot be compared";
    let refused = compare(&env, sweep, ["filters=16", "baseline"]).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (tonic::Code::FailedPrecondition, reason));
    let found = analysis(&env, sweep, false).await;
    let open = found.comparisons.iter().find(|one| one.configuration == "filters=16").unwrap();
    assert_eq!((open.verdict(), open.reason.as_str()), (v1::Verdict::Open, reason));
}

#[tokio::test]
async fn what_diverged_or_failed_is_told_and_enters_no_test() {
    let env = Env::new().await;
    let sweep = env.submit(&eight_seeds(SPEC)).await.id;
    let usual = by_filters();
    let troubled: Answer = Arc::new(move |settings| {
        let filters = settings["configuration.filters"].as_str();
        match (filters, settings["seed"].as_str()) {
            ("16", "0" | "3") => {
                Ending::Result(v1::TrialResult { outcome: v1::Outcome::Diverged.into(), ..result(0.1) })
            }
            ("32", "2") => {
                Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason: "no such layer".into() })
            }
            _ => usual(settings),
        }
    });
    env.worker("w1", 4).await.work(&env, sweep, &troubled).await;
    let found = analysis(&env, sweep, false).await;
    let reason = |name: &str| {
        let one = found.comparisons.iter().find(|one| one.configuration == name).unwrap();
        assert!(one.test.is_none() && one.adjusted_p.is_none());
        one.reason.as_str()
    };
    assert_eq!((reason("filters=16"), reason("wide")), ("2 of 8 diverged", "1 of 8 failed"));
    let excluded: Vec<_> =
        found.excluded.iter().map(|one| (one.configuration.as_str(), one.seed.unwrap(), one.reason.as_str())).collect();
    let expected =
        [("filters=16", 0, "diverged"), ("filters=16", 3, "diverged"), ("wide", 2, "failed: no such layer (spec)")];
    assert_eq!(excluded, expected);
}

#[tokio::test]
async fn one_seed_is_told_by_mcnemar_s_test_of_one_pair_of_networks() {
    let env = Env::new().await;
    let sweep = env.submit(&SPEC.replace("seeds: [0, 1]", "seeds: [0]")).await.id;
    let images: Answer = Arc::new(|settings| {
        let wide = settings["configuration.filters"] == "32";
        let predicted: Vec<u32> = (0..20).map(|image| if wide { image % 2 } else { u32::from(image < 3) }).collect();
        let labels: Vec<u32> = (0..20).map(|image| image % 2).collect();
        let mut confusion = vec![0; 4];
        labels.iter().zip(&predicted).for_each(|(label, said)| confusion[(label * 2 + said) as usize] += 1);
        let validation = v1::Validation { labels, predicted, confidence: vec![0.9; 20], confusion };
        Ending::Result(v1::TrialResult { validation: Some(validation), ..result(if wide { 1.0 } else { 0.5 }) })
    });
    env.worker("w1", 4).await.work(&env, sweep, &images).await;
    let one = compare(&env, sweep, ["wide", "baseline"]).await.unwrap().comparison.unwrap();
    assert_eq!((one.verdict(), one.reason.as_str()), (v1::Verdict::Open, "one seed: a test needs at least two"));
    let found = one.images.unwrap();
    assert_eq!((found.gained, found.lost), (11, 0));
    assert!(found.p < 0.001 && found.sentence.contains("not the methods"));
}

#[tokio::test]
async fn a_winner_is_not_helped_by_the_seeds_that_chose_it() {
    let env = Env::new().await;
    let spec = eight_seeds(&SPEC.replace("keep: { filters: 8 }", "keep: best"));
    let sweep = env.submit(&spec).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let found = analysis(&env, sweep, false).await;
    let won = found.comparisons.iter().find(|one| one.configuration == "filters=16").unwrap();
    assert_eq!((won.verdict(), won.after_selection), (v1::Verdict::AfterSelection, true));
    assert_eq!(won.remark, "`filters=16` won `width` by these seeds");
    let next: Vec<_> = found.comparisons.iter().filter(|one| one.stage == "regularization").collect();
    assert!(next.len() == 3 && next.iter().all(|one| one.verdict() == v1::Verdict::AfterSelection));
    let path = &found.stages[0];
    assert_eq!((path.start.as_str(), path.winner.as_str()), ("baseline", "filters=16"));
    assert!((path.gain.unwrap() - 0.12).abs() < 1e-12);
}
