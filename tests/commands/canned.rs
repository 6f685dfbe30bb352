//! A coordinator that knows a few answers by heart: two sweeps, one of them with names that would paint a terminal.
//! What the commands make of the answers can then be held still; the real coordinator's answers are tested with it.

use std::net::SocketAddr;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sweep_proto::v1::sweep_service_server::{SweepService, SweepServiceServer};
use sweep_proto::v1::*;
use sweep_spec::Digest;
use tonic::{Request, Response, Status};

/// A name that would turn a terminal red, ring its bell and start a formula.
pub(crate) const HOSTILE: &str = "=evil\u{1b}[31m\u{7}\u{9b}2J\u{202e}";

/// What the one artifact holds.
pub(crate) const ARTIFACT: &[u8] = b"weights";

/// Serves until the process ends; answers where.
pub(crate) fn serve() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("the test waits");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(SweepServiceServer::new(Canned));
            server.serve_with_incoming(incoming).await.expect("it serves");
        });
    });
    receiver.recv().expect("it listens")
}

struct Canned;

type Answer<T> = Result<Response<T>, Status>;

fn id(digit: u8) -> tonic::codegen::Bytes {
    vec![digit; 32].into()
}

fn metrics(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0 / f64::from(epoch),
        train_accuracy: 0.870_282,
        val_loss: 0.477_707,
        val_accuracy: 0.846_344,
        learning_rate: 0.001,
        seconds: 2.5,
        images_per_second: 752.4,
    }
}

fn counts() -> TrialCounts {
    TrialCounts { queued: 1, running: 1, succeeded: 3, diverged: 1, failed: 1, ..Default::default() }
}

fn accuracy() -> PredictionAccuracy {
    let device = "a processor (avx2), 1 thread".to_owned();
    PredictionAccuracy { device, trials: 18, median: 0.08, worst: 0.31, within: 0.9 }
}

fn cost() -> Cost {
    let about = |expected: f64| Some(Prediction { expected, low: expected * 0.8, high: expected * 1.3 });
    Cost {
        spent_slot_seconds: 1800.0,
        left_slot_seconds: about(360.0),
        end_seconds: about(185.0),
        price_per_hour: "2.5usd".into(),
        budget: "2h".into(),
        budget_slot_seconds: Some(7200.0),
        left_out_seeds: vec![4, 5],
        left_out_trials: 0,
        on_gpus: true,
        accuracy: vec![accuracy()],
    }
}

fn sweep(reference: Option<SweepReference>) -> Result<SweepStatus, Status> {
    let running = RunningTrial {
        trial_id: id(0xab),
        configuration: "filters=64".into(),
        seed: 1,
        worker: HOSTILE.into(),
        slot: 1,
        attempt: 2,
        epochs: 10,
        newest: Some(metrics(4)),
    };
    let status = SweepStatus {
        id: 3,
        name: "scene-cnn".into(),
        state: SweepState::Running.into(),
        counts: Some(counts()),
        stages: vec![
            StageProgress { name: "depth".into(), counts: Some(counts()), choice: "conv_layers=4".into() },
            StageProgress { name: "width".into(), ..Default::default() },
        ],
        eta_seconds: Some(185.0),
        best_value: Some(0.846_344),
        best_configuration: "filters=256".into(),
        objective_metric: "val_accuracy".into(),
        running: vec![running],
        waiting_for: vec!["no worker has 16 GiB of memory".into()],
        spec_digest: id(0xdd),
        epochs_done: 34,
        epochs_total: 60,
        cost: Some(cost()),
        ..Default::default()
    };
    match reference.unwrap_or_default().text.as_str() {
        "3" | "scene-cnn" => Ok(status),
        "4" => {
            let (name, reason) = (HOSTILE.to_owned(), "stage depth has no winner".to_owned());
            Ok(SweepStatus { id: 4, name, reason, state: SweepState::Failed.into(), running: Vec::new(), ..status })
        }
        // They ran a trial again.
        "5" | "6" => Ok(SweepStatus { state: SweepState::Succeeded.into(), running: Vec::new(), ..status }),
        other => Err(Status::not_found(format!("there is no sweep `{other}`"))),
    }
}

fn estimate(mean: f64, spread: Option<f64>) -> Option<Estimate> {
    Some(Estimate { mean, standard_deviation: spread, count: if spread.is_some() { 2 } else { 1 } })
}

fn comparison(position: u32, verdict: Verdict) -> Comparison {
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
            _ => "no difference shown: about 7 more seeds would show a difference of this size".into(),
        },
        more_seeds: (verdict != Verdict::Helps).then_some(7),
        ..Default::default()
    }
}

fn open_comparison() -> Comparison {
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

fn noise() -> Option<NoiseFloor> {
    let sentence = "the baseline against itself: one run scatters by 0.0041 over 12 seeds, so a mean difference over 6 stays \
                    within ± 0.0052 in 95 of 100 such comparisons";
    Some(NoiseFloor { count: 12, standard_deviation: 0.0041, pairs: 6, half_width: 0.0052, sentence: sentence.into() })
}

fn rows() -> Vec<LeaderboardRow> {
    vec![
        LeaderboardRow {
            position: 2,
            shared_rank: Some(1),
            on_front: true,
            front_share: Some(0.93),
            comparison: Some(comparison(2, Verdict::Helps)),
            ..row(Some(1), "conv_layers=4 filters=256 dense_layers=2", Some(0.004))
        },
        LeaderboardRow {
            name: "vgg19".into(),
            position: 3,
            shared_rank: Some(1),
            comparison: Some(comparison(3, Verdict::NoDifferenceShown)),
            ..row(Some(2), "vgg19", None)
        },
        LeaderboardRow { baseline: true, shared_rank: Some(2), on_front: true, ..row(Some(3), "baseline", None) },
        LeaderboardRow {
            configuration: HOSTILE.into(),
            remark: "1 of 2 diverged".into(),
            params: 79_624,
            position: 4,
            comparison: Some(open_comparison()),
            ..Default::default()
        },
    ]
}

fn row(rank: Option<u32>, configuration: &str, spread: Option<f64>) -> LeaderboardRow {
    LeaderboardRow {
        rank,
        configuration: configuration.into(),
        train_accuracy: estimate(0.870_282, spread),
        val_accuracy: estimate(0.846_344, spread),
        train_loss: estimate(0.382_219, spread),
        val_loss: estimate(0.477_707, spread),
        params: 6_256_392,
        flops: 53_000_000_000,
        ratio: estimate(1.391_028e-8, spread),
        seconds: estimate(412.25, None),
        ..Default::default()
    }
}

fn entries() -> Vec<AuditEntry> {
    let entry = |actor: &str, action: &str, detail: &str| AuditEntry {
        at_unix_ms: 0,
        actor: actor.into(),
        action: action.into(),
        sweep: 3,
        trial_id: id(0xab),
        detail: detail.into(),
        ..Default::default()
    };
    let assigned = AuditEntry { attempt: 2, worker: HOSTILE.into(), ..entry("coordinator", "attempt_assigned", "") };
    vec![entry(HOSTILE, "submitted", "scene-cnn"), assigned, entry("ann", "priority_changed", "10")]
}

fn setting(path: &str, value: setting::Value) -> Setting {
    Setting { path: path.into(), value: Some(value) }
}

fn trial(state: TrialState) -> TrialSummary {
    let settings = vec![
        setting("configuration.filters", setting::Value::Integer(64)),
        setting("configuration.dropout", setting::Value::Number(0.2)),
        setting("configuration.batch_norm", setting::Value::Boolean(true)),
        setting("dataset.classes", setting::Value::Texts(TextList { texts: vec!["coast".into(), "forest".into()] })),
        setting("dataset.path", setting::Value::Text("@scenes".into())),
        setting("seed", setting::Value::Integer(1)),
    ];
    let provenance = Provenance {
        images_per_second: 617.0,
        seconds: 305.0,
        peak_memory_bytes: 1 << 30,
        data_digest: id(0xda),
        split_digest: id(0x51),
        device: "cpu".into(),
        device_name: "Example CPU".into(),
        instruction_set: "avx2".into(),
        trainer: "sweep-trainer 0.1.0".into(),
        threads: 1,
        params: 182_088,
        origin: Some(Origin {
            driver: "none".into(),
            kernel_cache: "none".into(),
            worker: "w1".into(),
            worker_version: "0.1.0".into(),
            host: HOSTILE.into(),
            coordinator_version: "0.1.0 (4f2a9c1)".into(),
            sweep: 3,
            spec_digest: id(0xdd),
            revision: format!("{}-dirty", "0f".repeat(20)),
            protocol_digest: id(0x70),
        }),
    };
    let succeeded = state == TrialState::Succeeded;
    TrialSummary {
        trial_id: id(if succeeded { 0xab } else { 0xcd }),
        configuration: if succeeded { "filters=64".into() } else { HOSTILE.into() },
        seed: 1,
        state: state.into(),
        attempts: 2,
        worker: "w1".into(),
        outcome: if succeeded { Outcome::Converged.into() } else { Outcome::Unspecified.into() },
        reported: succeeded.then(|| metrics(10)),
        stages: vec!["depth".into(), "width".into()],
        failure: (!succeeded).then(failure),
        params: 182_088,
        settings,
        provenance: succeeded.then_some(provenance),
        test: succeeded.then_some(Tested { epoch: 10, loss: 0.5, accuracy: 0.8125 }),
    }
}

fn failure() -> Failure {
    Failure { class: FailureClass::OutOfMemory.into(), reason: "the device has 8 GiB, 9 were asked for".into() }
}

#[tonic::async_trait]
impl SweepService for Canned {
    type WatchSweepStream = BoxStream<'static, Result<WatchSweepResponse, Status>>;
    type ExportPointsStream = BoxStream<'static, Result<ExportPointsResponse, Status>>;
    type GetReportStream = BoxStream<'static, Result<GetReportResponse, Status>>;
    type GetArtifactStream = BoxStream<'static, Result<GetArtifactResponse, Status>>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<SubmitResponse> {
        let request = request.into_inner();
        let name = if request.name.is_empty() { "tiny".into() } else { request.name };
        let sweep = SweepStatus { name, ..sweep(Some(SweepReference { text: "3".into() }))? };
        // One that is wanted fresh knows nothing.
        let known = if request.fresh { 0 } else { 14 };
        let outlook = Outlook { known, shared: 1, to_run: 19 - known, at_most: !request.fresh };
        Ok(Response::new(SubmitResponse { sweep: Some(sweep), resumed: false, outlook: Some(outlook) }))
    }

    async fn list_sweeps(&self, _: Request<ListSweepsRequest>) -> Answer<ListSweepsResponse> {
        let sweeps = ["4", "3"].into_iter().map(|text| sweep(Some(SweepReference { text: text.into() })));
        Ok(Response::new(ListSweepsResponse { sweeps: sweeps.collect::<Result<_, _>>()? }))
    }

    async fn get_sweep(&self, request: Request<GetSweepRequest>) -> Answer<GetSweepResponse> {
        let spec = std::fs::read(super::root().join("tests/specs/tiny.yaml"))?.into();
        let sweep = Some(sweep(request.into_inner().sweep)?);
        Ok(Response::new(GetSweepResponse { sweep, spec, overrides: Vec::new() }))
    }

    /// Sweep 3 runs for ever; sweep 4 breaks off once, then has failed.
    async fn watch_sweep(&self, request: Request<WatchSweepRequest>) -> Answer<Self::WatchSweepStream> {
        let sweep = sweep(request.into_inner().sweep)?;
        let runs = sweep.state() == SweepState::Running;
        let answers = stream::iter([Ok(WatchSweepResponse { sweep: Some(sweep) })]);
        Ok(Response::new(if runs { answers.chain(stream::pending()).boxed() } else { answers.boxed() }))
    }

    async fn get_leaderboard(&self, request: Request<GetLeaderboardRequest>) -> Answer<GetLeaderboardResponse> {
        let request = request.into_inner();
        Ok(Response::new(GetLeaderboardResponse {
            sweep: Some(sweep(request.sweep)?),
            metric: "val_accuracy".into(),
            maximize: true,
            rows: rows(),
            notes: vec!["epoch chosen on the test set".into()],
            alpha: 0.05,
            noise: noise(),
        }))
    }

    async fn get_analysis(&self, request: Request<GetAnalysisRequest>) -> Answer<GetAnalysisResponse> {
        let request = request.into_inner();
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
        Ok(Response::new(GetAnalysisResponse {
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
        }))
    }

    async fn compare_configurations(
        &self,
        request: Request<CompareConfigurationsRequest>,
    ) -> Answer<CompareConfigurationsResponse> {
        let request = request.into_inner();
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
                let reason = "one seed: no test over seeds can be made".to_owned();
                let sentence = format!("open: {reason}");
                let pairs = vec![SeedPair { seed: 0, value: 0.85, reference: 0.84 }];
                let (images, delta) = (Some(images), Some(0.01));
                (
                    best,
                    Comparison { reason, sentence, pairs, images, delta, remark: String::new(), ..open_comparison() },
                )
            }
            "unlike" => {
                let reason = "they were trained on different splits under seed 4, so they cannot be compared";
                return Err(Status::failed_precondition(reason));
            }
            other => {
                let said = format!("no configuration is called `{other}`; there are `baseline`, `filters=64`");
                return Err(Status::not_found(said));
            }
        };
        Ok(Response::new(CompareConfigurationsResponse {
            sweep: Some(sweep),
            metric: "val_accuracy".into(),
            maximize: true,
            alpha: 0.05,
            configuration: Some(configuration),
            reference: Some(baseline),
            comparison: Some(comparison),
            family: 3,
            noise: noise(),
            notes: vec!["this comparison is beside the sweep's own 2, and is corrected with them".into()],
        }))
    }

    /// One trial a page.
    async fn list_trials(&self, request: Request<ListTrialsRequest>) -> Answer<ListTrialsResponse> {
        let request = request.into_inner();
        sweep(request.sweep)?;
        let (state, next_page_token) = match request.page_token.as_str() {
            "" => (TrialState::Succeeded, "second"),
            _ => (TrialState::Failed, ""),
        };
        Ok(Response::new(ListTrialsResponse { trials: vec![trial(state)], next_page_token: next_page_token.into() }))
    }

    async fn get_trial(&self, request: Request<GetTrialRequest>) -> Answer<GetTrialResponse> {
        let digits = request.into_inner().trial;
        let failed = "cd".repeat(32) == digits;
        if !failed && !"ab".repeat(32).starts_with(&digits) {
            return Err(Status::not_found("there is no such trial"));
        }
        let attempt = AttemptRecord {
            attempt: 1,
            worker: "w1".into(),
            device: "cuda:0".into(),
            outcome: "failed".into(),
            failure: Some(failure()),
            ended_unix_ms: 1,
            log_tail: format!("first line\n{HOSTILE}\n"),
            ..Default::default()
        };
        let phases = AttemptPhases { start_seconds: 0.5, run_seconds: 305.0 };
        let second = AttemptRecord {
            attempt: 2,
            device: "cpu".into(),
            outcome: "succeeded".into(),
            failure: None,
            phases: Some(phases),
            log_tail: "all is well".into(),
            ..attempt.clone()
        };
        Ok(Response::new(GetTrialResponse {
            trial: Some(trial(if failed { TrialState::Failed } else { TrialState::Succeeded })),
            attempts: vec![attempt, second],
            points: (1..=12).map(metrics).collect(),
            best: Some(metrics(7)),
            last: Some(metrics(12)),
            validation: Some(Validation {
                labels: vec![0, 1],
                predicted: vec![0, 0],
                confidence: vec![0.75, 0.5],
                confusion: vec![1, 0, 1, 0],
            }),
            sweeps: vec![3, 4],
            ..Default::default()
        }))
    }

    async fn reproduce_trial(&self, request: Request<ReproduceTrialRequest>) -> Answer<ReproduceTrialResponse> {
        let digits = request.into_inner().trial;
        // Of the second trial the new answer is another.
        let (trial, number) = match digits.as_str() {
            "ababab" => (0xab, 5),
            "cdcdcd" => (0xcd, 6),
            _ => return Err(Status::not_found("there is no such trial")),
        };
        let sweep = Some(SweepStatus { id: number, ..sweep(Some(SweepReference { text: "3".into() }))? });
        Ok(Response::new(ReproduceTrialResponse { sweep, trial_id: id(trial), round: 1, attempt: 2 }))
    }

    async fn get_reproduction(&self, request: Request<GetReproductionRequest>) -> Answer<GetReproductionResponse> {
        let request = request.into_inner();
        let same = request.sweep.unwrap_or_default().text == "5";
        let provenance = trial(TrialState::Succeeded).provenance;
        let answer = |round, attempt| sweep_proto::v1::Answer {
            round,
            attempt,
            outcome: Outcome::Converged.into(),
            reported: Some(metrics(10)),
            provenance: provenance.clone(),
        };
        Ok(Response::new(GetReproductionResponse {
            trial_id: id(0xab),
            same,
            exactly: same,
            tolerance: if request.tolerance == 0.0 { 0.01 } else { request.tolerance },
            reason: if same { "both on CPUs with avx2".into() } else { format!("on {HOSTILE} and on a CPU") },
            largest_difference: if same { 0.0 } else { 0.0625 },
            largest_at: if same { String::new() } else { "epoch 3, train loss".into() },
            predictions_changed: if same { 0 } else { 7 },
            predictions: 807,
            numbers: 1_234,
            numbers_changed: if same { 0 } else { 56 },
            mismatches: if same { Vec::new() } else { vec!["the splits differ".into()] },
            old: Some(answer(1, 2)),
            new: Some(answer(2, 3)),
        }))
    }

    async fn cancel_sweep(&self, request: Request<CancelSweepRequest>) -> Answer<CancelSweepResponse> {
        let sweep = SweepStatus { state: SweepState::Cancelled.into(), ..sweep(request.into_inner().sweep)? };
        Ok(Response::new(CancelSweepResponse { sweep: Some(sweep) }))
    }

    async fn pause_sweep(&self, request: Request<PauseSweepRequest>) -> Answer<PauseSweepResponse> {
        let request = request.into_inner();
        let sweep = SweepStatus { paused: request.paused, ..sweep(request.sweep)? };
        Ok(Response::new(PauseSweepResponse { sweep: Some(sweep) }))
    }

    async fn set_priority(&self, request: Request<SetPriorityRequest>) -> Answer<SetPriorityResponse> {
        let request = request.into_inner();
        let sweep = SweepStatus { priority: request.priority, ..sweep(request.sweep)? };
        Ok(Response::new(SetPriorityResponse { sweep: Some(sweep) }))
    }

    async fn retry_sweep(&self, request: Request<RetrySweepRequest>) -> Answer<RetrySweepResponse> {
        let sweep = sweep(request.into_inner().sweep)?;
        let trials = u64::from(sweep.id == 3);
        Ok(Response::new(RetrySweepResponse { sweep: Some(sweep), trials }))
    }

    async fn explain_trial(&self, request: Request<ExplainTrialRequest>) -> Answer<ExplainTrialResponse> {
        let trial = self.get_trial(Request::new(GetTrialRequest { trial: request.into_inner().trial })).await?;
        let GetTrialResponse { trial, attempts, .. } = trial.into_inner();
        let now = vec!["sweep 3: 4 trials go before it".into(), format!("worker {HOSTILE}: every slot is taken")];
        Ok(Response::new(ExplainTrialResponse { trial, attempts, now, events: entries() }))
    }

    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Answer<ListAuditResponse> {
        let entries = if request.into_inner().worker == "nobody" { Vec::new() } else { entries() };
        Ok(Response::new(ListAuditResponse { entries }))
    }

    async fn set_worker_service(&self, request: Request<SetWorkerServiceRequest>) -> Answer<SetWorkerServiceResponse> {
        let request = request.into_inner();
        let worker = WorkerStatus {
            name: request.worker,
            state: "suspended".into(),
            out_of_service: request.reason,
            ..Default::default()
        };
        Ok(Response::new(SetWorkerServiceResponse { worker: Some(worker) }))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        let free = WorkerSlot { device: "cpu".into(), ..Default::default() };
        let busy = WorkerSlot {
            index: 1,
            device: "cuda:0".into(),
            memory_bytes: 8 << 30,
            trial_id: id(0xab),
            configuration: "filters=64".into(),
            sweep: 3,
            ..Default::default()
        };
        let worker = WorkerStatus {
            name: "w1".into(),
            host: "example".into(),
            version: "0.1.0".into(),
            state: "connected".into(),
            slots: vec![free, busy],
            last_seen_unix_ms: 0,
            out_of_service: String::new(),
        };
        let lost = WorkerStatus { name: HOSTILE.into(), state: "lost".into(), slots: Vec::new(), ..worker.clone() };
        Ok(Response::new(ListWorkersResponse { workers: vec![worker, lost] }))
    }

    async fn export_points(&self, request: Request<ExportPointsRequest>) -> Answer<Self::ExportPointsStream> {
        sweep(request.into_inner().sweep)?;
        let point = |epoch| TrialPoint { trial_id: id(0xab), attempt: 2, metrics: Some(metrics(epoch)) };
        let answers = (1..=2).map(move |epoch| Ok(ExportPointsResponse { points: vec![point(epoch)] }));
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn estimate(&self, _: Request<EstimateRequest>) -> Answer<EstimateResponse> {
        let device = "a processor (avx2), 1 thread".to_owned();
        let about = |expected: f64| Some(Prediction { expected, low: expected * 0.8, high: expected * 1.3 });
        let seconds =
            ConfigurationEstimate { configuration: "baseline".into(), seconds: about(90.0), memory_bytes: 1 << 28 };
        Ok(Response::new(EstimateResponse {
            slot_seconds: about(5400.0),
            end_seconds: about(2800.0),
            slots: 2,
            connected: true,
            trials: 8,
            known: 2,
            left_out_seeds: vec![1],
            configurations: vec![seconds],
            measured: vec![Measured { device: device.clone(), trials: 18 }],
            accuracy: vec![accuracy()],
            noise: Some(Noise { of_runs: 0.0123, runs: 48, of_differences: Some(0.0101), differences: 40, sweeps: 3 }),
            ..Default::default()
        }))
    }

    async fn list_artifacts(&self, request: Request<ListArtifactsRequest>) -> Answer<ListArtifactsResponse> {
        sweep(request.into_inner().sweep)?;
        let artifact = Artifact {
            digest: Digest::of(ARTIFACT).as_bytes().to_vec().into(),
            kind: ArtifactKind::Weights.into(),
            size_bytes: ARTIFACT.len() as u64,
            trial_id: id(0xab),
            attempt: 2,
        };
        // Said to be there, and another when it is fetched.
        let broken = Artifact { digest: id(0xbb), kind: ArtifactKind::Log.into(), ..artifact.clone() };
        Ok(Response::new(ListArtifactsResponse { artifacts: vec![artifact, broken] }))
    }

    async fn get_report(&self, request: Request<GetReportRequest>) -> Answer<Self::GetReportStream> {
        let request = request.into_inner();
        sweep(request.sweep.clone())?;
        let text = format!(
            "report as {}, metric `{}`, baseline {}, correction {}\n",
            request.format().as_str_name(),
            request.metric,
            request.against_baseline,
            request.correction().as_str_name()
        );
        let answers = text.as_bytes().chunks(7).map(|chunk| Ok(GetReportResponse { chunk: chunk.to_vec().into() }));
        Ok(Response::new(stream::iter(answers.collect::<Vec<_>>()).boxed()))
    }

    async fn get_artifact(&self, _: Request<GetArtifactRequest>) -> Answer<Self::GetArtifactStream> {
        let answers = ARTIFACT.chunks(3).map(|chunk| Ok(GetArtifactResponse { chunk: chunk.to_vec().into() }));
        Ok(Response::new(stream::iter(answers.collect::<Vec<_>>()).boxed()))
    }
}
