//! Checks the promises of every shipped spec, as far as possible without training.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in its helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sweep_spec::dataset::Source;
use sweep_spec::design::Kind;
use sweep_spec::spec::{Keep, Limits};
use sweep_spec::{Plan, Spec};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps")
}

fn plan(name: &str) -> Plan {
    let text = std::fs::read(folder().join(name)).unwrap();
    match Spec::parse(&text, &[], &Limits::default()) {
        Ok(spec) => Plan::new(&spec),
        Err(problems) => panic!("{}", problems.in_file(name)),
    }
}

fn params(plan: &Plan) -> BTreeSet<u64> {
    plan.released(&[]).configurations().map(|planned| planned.counts.params).collect()
}

#[test]
fn every_shipped_spec_can_be_planned() {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".yaml") {
            let summary = plan(&name).summary(&[]);
            assert!(summary.configurations > 1 && summary.trials > 1, "{name}");
            assert!(summary.groups.iter().all(|group| group.left_out == 0), "{name}");
            found.insert(name);
        }
    }
    let shipped = [
        "ablation.yaml",
        "factorial.yaml",
        "fashion.yaml",
        "greedy.yaml",
        "leave_one_out.yaml",
        "quickstart.yaml",
        "scenes_small.yaml",
    ];
    assert_eq!(found, shipped.map(str::to_owned).into());
}

#[test]
fn the_ablation_is_the_reference_study() {
    let plan = plan("ablation.yaml");
    assert_eq!(plan.summary(&[]).configurations, 20);
    assert_eq!(plan.spec().protocol.epochs, 100);
    let column = |line: &str, index: usize| line.split(',').nth(index).unwrap().to_owned();
    let text = include_str!("reference.csv");
    // A network by its factors, from conv_layers to dropout, and its count.
    let facts: BTreeSet<(Vec<String>, u64)> = text
        .lines()
        .skip(1)
        .map(|line| ((2..10).map(|index| column(line, index)).collect(), column(line, 10).parse().unwrap()))
        .collect();
    assert_eq!(facts.len(), 18, "models 12 and 14 are one network");
    let mut beside = Vec::new();
    let mut matched = 0;
    for planned in plan.released(&[]).configurations() {
        let levels = planned.configuration.levels();
        // The facts write a whole dropout as `0.0`.
        let shown = |text: String, is_dropout: bool| if is_dropout && text == "0" { "0.0".to_owned() } else { text };
        let levels: Vec<String> =
            levels.iter().map(|(factor, level)| shown(level.to_string(), factor.name() == "dropout")).collect();
        if facts.contains(&(levels, planned.counts.params)) {
            matched += 1;
        } else {
            beside.push(planned.label(&plan));
        }
    }
    assert_eq!(matched, 18);
    let never_logged = "conv_layers=4 filters=256 dense_layers=2 batch_norm=true dropout=0.2";
    assert_eq!(beside, [never_logged, "vgg19"]);
}

#[test]
fn the_greedy_study_decides_every_stage_and_could_make_the_same_choices() {
    let (greedy, study) = (plan("greedy.yaml"), plan("ablation.yaml"));
    assert!(greedy.spec().stages.iter().rev().skip(1).all(|stage| stage.keep == Keep::Best));
    let summary = greedy.summary(&[]);
    assert!(summary.at_most);
    assert_eq!((greedy.spec().protocol.clone(), greedy.spec().baseline.clone()), {
        let spec = study.spec();
        (spec.protocol.clone(), spec.baseline.clone())
    });
    for (index, stage) in greedy.spec().stages.iter().take(4).enumerate() {
        assert_eq!(stage.design, study.spec().stages[index].design, "{}", stage.name);
    }
}

#[test]
fn the_quickstart_needs_no_data_and_is_small() {
    let plan = plan("quickstart.yaml");
    let summary = plan.summary(&[]);
    assert!(matches!(plan.spec().dataset.source, Source::SyntheticScenes { .. }));
    assert!(summary.configurations >= 8 && plan.spec().seeds.len() == 2);
    // Three minutes on two cores at five billion operations a second each, the backward pass being twice the forward.
    let Source::SyntheticScenes { train_images, .. } = plan.spec().dataset.source else { return };
    let images = u64::from(train_images) * u64::from(plan.spec().protocol.epochs) * plan.spec().seeds.len() as u64;
    let flops: u64 =
        plan.released(&[]).configurations().map(|planned| planned.counts.flops_per_image * 3 * images).sum();
    assert!(flops < 2 * 180 * 5_000_000_000, "{flops}");
}

#[test]
fn the_small_study_has_the_study_s_factors_on_small_images() {
    let plan = plan("scenes_small.yaml");
    let dataset = &plan.spec().dataset;
    assert_eq!((dataset.kind(), dataset.image_size, dataset.classes.count()), ("image_folder", 32, 8));
    let factors = |plan: &Plan| -> BTreeSet<&str> {
        let axes = plan.spec().stages.iter().flat_map(|stage| stage.design.axes());
        axes.map(|axis| axis.factor.name()).collect()
    };
    assert_eq!(factors(&plan), factors(&self::plan("ablation.yaml")));
    assert!(params(&plan).len() > 5);
}

#[test]
fn the_small_examples_of_designs_show_what_they_are_for() {
    let images = |plan: &Plan| {
        assert!(matches!(plan.spec().dataset.source, Source::SyntheticScenes { .. }));
        let Source::SyntheticScenes { train_images, .. } = plan.spec().dataset.source else { return 0 };
        u64::from(train_images) * u64::from(plan.spec().protocol.epochs) * plan.spec().seeds.len() as u64
    };
    for (name, kind, configurations) in
        [("leave_one_out.yaml", Kind::LeaveOneOut, 5), ("factorial.yaml", Kind::Factorial, 12)]
    {
        let plan = plan(name);
        assert_eq!(plan.spec().stages[0].design.kind(), kind);
        assert_eq!(plan.summary(&[]).configurations, configurations, "{name}");
        let each = plan.released(&[]).configurations().map(|planned| planned.counts.flops_per_image).sum::<u64>();
        // Ten minutes on two cores at five billion operations a second each, the backward pass being twice the forward.
        assert!(each * 3 * images(&plan) < 2 * 600 * 5_000_000_000, "{name}");
        assert_eq!(plan.released(&[]).tries_start(0), Some(true), "{name}");
    }
    let factorial = plan("factorial.yaml");
    let design = &factorial.spec().stages[0].design;
    assert_eq!(design.fraction().map(|fraction| fraction.resolution()), Some(4));
}

/// The names that a reader knows: its hint for an unknown name lists them.
fn known_names(text: &str) -> BTreeSet<String> {
    let problems = Spec::parse(text.as_bytes(), &[], &Limits::default()).unwrap_err();
    let hints = problems.0.iter().filter(|problem| problem.path.contains("nothing_like_it"));
    let hints: Vec<&str> = hints.filter_map(|problem| problem.hint.as_deref()).collect();
    assert!(!hints.is_empty(), "{text}: {problems}");
    hints.iter().flat_map(|hint| hint.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn the_readme_documents_every_key() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let dataset = |kind: &str| format!("dataset: {{ kind: {kind}, nothing_like_it: 1 }}");
    let protocol = |key: &str| format!("protocol: {{ {key}: {{ nothing_like_it: 1 }} }}");
    let parts = ["optimizer", "schedule", "augment", "batch_normalization", "holdout"];
    let sections = ["image_folder", "idx", "cifar10", "synthetic_scenes"].map(dataset).into_iter();
    let sections = sections.chain(parts.map(protocol)).chain(
        [
            "nothing_like_it: 1",
            "dataset: { kind: image_folder, test_split: { nothing_like_it: 1 } }",
            "protocol: { nothing_like_it: 1 }",
            "baseline: { family: cnn, nothing_like_it: 1 }",
            "baseline: { family: vgg19, nothing_like_it: 1 }",
            "extra: [ { family: cnn, nothing_like_it: 1 } ]",
            "stages: [ { vary: { filters: [1] }, nothing_like_it: 1 } ]",
            "stages: [ { list: [ { nothing_like_it: 1 } ] } ]",
            "stages: [ { factorial: { filters: [1, 2] }, fraction: { nothing_like_it: 1 } } ]",
            "objective: { nothing_like_it: 1 }",
            "noise: { nothing_like_it: 1 }",
            "seeds: { nothing_like_it: 1 }",
            "seeds: { adaptive: { nothing_like_it: 1 } }",
        ]
        .map(str::to_owned),
    );
    let mut all = BTreeSet::new();
    for section in sections {
        all.append(&mut known_names(&section));
    }
    assert!(all.len() > 45, "{all:?}");
    for name in all {
        let documented = [
            format!("`{name}`"),
            format!("`{name}."),
            format!(".{name}`"),
            format!("{{ {name},"),
            format!(", {name} }}"),
        ];
        assert!(documented.iter().any(|form| readme.contains(form)), "`{name}` is missing in sweeps/README.md");
    }
    let example = readme.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(Spec::parse(example.as_bytes(), &[], &Limits::default()).is_ok());
}
