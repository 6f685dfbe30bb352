//! Tests with realistic sweep files, valid and invalid.

use sweep_spec::Plan;

use super::*;

const SWEEP: &str = "
program: train.py
name: my sweep
method: grid
metric: { name: val_acc, goal: maximize }
early_terminate: { type: hyperband, min_iter: 3 }
parameters:
  epochs: { value: 10 }
  batch-size: { value: 32 }
  optimizer: { value: Adam }
  lr: { value: 1e-3 }
  seed: { values: [1, 2, 3] }
  model:
    parameters:
      num_filters: { values: [16, 8, 32.0] }
      dropout_rate: { values: [0, 0.2] }
      use_bn: { values: [0, 1] }
      conv_layers: { distribution: int_uniform, min: 1, max: 3 }
      kernel_size: { value: 3 }
  img_size: { value: 32 }
";

fn import(text: &str) -> Result<Imported, Failure> {
    imported("some/sweep.yaml", text.as_bytes(), false)
}

fn refused(text: &str) -> String {
    import(text).unwrap_err().to_string()
}

#[test]
fn a_grid_becomes_a_grid_around_its_first_values() {
    let imported = import(SWEEP).unwrap();
    let spec = Spec::parse(imported.spec.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!((spec.name.as_str(), spec.seeds.as_slice()), ("my sweep", [1, 2, 3].as_slice()));
    assert_eq!((spec.protocol.epochs, spec.protocol.batch_size, spec.dataset.image_size), (10, 32, 32));
    assert_eq!(
        spec.stages[0].design.description(),
        "grid conv_layers 1, 2, 3; filters 16, 8, 32; batch_norm false, true; dropout 0, 0.2"
    );
    let plan = Plan::new(&spec);
    assert_eq!(plan.summary(&[]).configurations, 3 * 3 * 2 * 2);
    assert_eq!(plan.released(&[]).tries_start(0), Some(true));
    let notes = imported.notes.join("\n");
    for note in [
        "`program` is left out",
        "`early_terminate` is left out",
        "`batch-size` becomes `protocol.batch_size`",
        "`lr` becomes `protocol.optimizer.learning_rate`",
        "`model.num_filters` becomes `filters`",
        "metric `val_acc` becomes `val_accuracy`",
        "the sweep file names no data set: the spec uses generated scenes",
    ] {
        assert!(notes.contains(note), "{note} is missing in\n{notes}");
    }
    assert!(!notes.contains("`epochs`"), "what has its own name is not renamed: {notes}");
}

#[test]
fn what_only_repeats_is_the_baseline_under_its_seeds() {
    let imported = import("method: grid\nparameters: { seed: { values: [3, 4] }, filters: { value: 8 } }").unwrap();
    let spec = Spec::parse(imported.spec.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!((spec.name.as_str(), spec.seeds.as_slice()), ("sweep", [3, 4].as_slice()));
    assert_eq!(Plan::new(&spec).summary(&[]).configurations, 1);
}

#[test]
fn methods_that_choose_while_they_run_are_refused() {
    for method in ["random", "bayes"] {
        let text = SWEEP.replace("method: grid", &format!("method: {method}"));
        let said = refused(&text);
        assert!(said.contains("chooses its trials while it runs") && said.contains("hint: list the values"), "{said}");
    }
    assert!(refused(&SWEEP.replace("method: grid", "method: hill")).contains("unknown method `hill`"));
    assert!(refused(&SWEEP.replace("method: grid\n", "")).contains("it has no `method`"));
}

#[test]
fn what_cannot_be_mapped_is_refused_with_a_word_for_each() {
    let text = SWEEP
        .replace("lr: { value: 1e-3 }", "lr: { values: [0.1, 0.01] }")
        .replace("img_size: { value: 32 }", "weight_decay: { values: [0, 1e-4] }")
        .replace("optimizer: { value: Adam }", "optimizer: { values: [adam, sgd] }")
        .replace("use_bn: { values: [0, 1] }", "use_bn: { values: [0, 2] }")
        .replace("epochs: { value: 10 }", "epochs: { min: 1.5, max: 3.5 }")
        .replace("kernel_size: { value: 3 }", "n_filters: { value: 3 }");
    let said = refused(&text);
    for expected in [
        "`lr` varies (0.1, 0.01), but must be the same for every trial of a sweep",
        "`weight_decay`: Sweep has no such parameter",
        "`optimizer`: expected `adam`, the only supported optimizer, found \"adam\", \"sgd\"",
        "`model.use_bn`: expected true or false, found 0, 2",
        "line 8: `epochs`: a grid has a list of values, and `uniform` draws them at random",
        "`model.n_filters` and `model.num_filters` both mean `filters`",
        "hint: add --drop-unknown to leave out",
    ] {
        assert!(said.contains(expected), "{said}\n{expected}");
    }
}

#[test]
fn unknown_parameters_are_left_out_when_that_is_asked_for() {
    let text = SWEEP.replace("img_size: { value: 32 }", "weight_decay: { values: [0, 1e-4] }");
    assert!(import(&text).is_err());
    let imported = imported("x.yaml", text.as_bytes(), true).unwrap();
    assert!(imported.notes.iter().any(|note| note.starts_with("`weight_decay` is left out")));
    let varied = SWEEP.replace("lr: { value: 1e-3 }", "lr: { values: [0.1, 0.01] }");
    let said = super::imported("x.yaml", varied.as_bytes(), true).unwrap_err().to_string();
    assert!(said.contains("`lr` varies"), "what changes the question is never left out in silence: {said}");
}

#[test]
fn levels_that_a_network_cannot_have_are_told_as_the_spec_tells_them() {
    let said = refused(&SWEEP.replace("kernel_size: { value: 3 }", "kernel_size: { values: [3, 4] }"));
    assert!(
        said.contains("stages[0].grid.kernel_size[1]: expected an odd whole number from 1 to 31, found 4"),
        "{said}"
    );
}

#[test]
fn what_is_no_sweep_file_is_said_so() {
    for (text, expected) in [
        ("", "is not a W&B sweep"),
        ("[", "is not YAML"),
        ("method: grid", "it has no `parameters`"),
        ("method: grid\nparameters: [a]", "expected `parameters` to be a mapping"),
        ("method: grid\nparameters: { filters: 3 }", "`filters`: expected `value` or `values`"),
        ("method: grid\nparameters: { filters: { values: [] } }", "expected `values` to be a list"),
    ] {
        let said = refused(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let name = SWEEP.replace("name: my sweep", "name: \"a\\e[31m: \\\"b\\\"\"");
    assert!(import(&name).unwrap().spec.contains(r#"name: "a[31m: \"b\"""#));
}

/// One parameter in a grid.
fn with(parameter: &str) -> String {
    format!("method: grid\nparameters:\n  {parameter}\n")
}

fn words(text: &str) -> String {
    let imported = import(text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
    let spec = Spec::parse(imported.spec.as_bytes(), &[], &Limits::default()).unwrap();
    spec.stages[0].design.description()
}

#[test]
fn ranges_have_the_values_that_wandb_s_grid_gives_them() {
    for (parameter, expected) in [
        ("filters: { distribution: q_uniform, min: 8, max: 32, q: 8 }", "grid filters 8, 16, 24"),
        ("filters: { distribution: q_uniform, min: 8, max: 11 }", "grid filters 8, 9, 10"),
        ("filters: { distribution: int_uniform, min: 8, max: 10 }", "grid filters 8, 9, 10"),
        ("filters: { min: 8, max: 10 }", "grid filters 8, 9, 10"),
        ("dropout: { distribution: q_uniform, min: 0.1, max: 0.35, q: 0.1 }", "grid dropout 0.1, 0.2, 0.3"),
        ("filters: { distribution: categorical, values: [8, 16.0] }", "grid filters 8, 16"),
    ] {
        assert_eq!(words(&with(parameter)), expected, "{parameter}");
    }
    let notes = import(&with("filters: { distribution: q_uniform, min: 8, max: 32, q: 8 }")).unwrap().notes.join("\n");
    assert!(notes.contains("`q_uniform` becomes 8, 16, 24, as in W&B's grid, which excludes 32"), "{notes}");
}

#[test]
fn what_draws_at_random_is_refused_whatever_its_bounds_are() {
    for distribution in
        ["uniform", "log_uniform", "log_uniform_values", "q_log_uniform", "normal", "beta", "inv_log_uniform"]
    {
        let said = refused(&with(&format!("filters: {{ distribution: {distribution}, min: 1, max: 5 }}")));
        assert!(
            said.contains("line 3: `filters`:") && said.contains(&format!("`{distribution}` draws them at random")),
            "{said}"
        );
    }
    for (parameter, expected) in [
        ("filters: { distribution: q_uniform, min: 8, max: 8, q: 8 }", "has no value from 8 to below 8"),
        ("filters: { distribution: q_uniform, min: 8, max: 32, q: 0 }", "expected `q` to be more than 0, found 0"),
        ("filters: { distribution: q_uniform, min: 8, max: 1e9, q: 1 }", "more than 1000 values"),
        ("filters: { distribution: q_uniform, max: 8 }", "expected `min`, a number"),
        ("filters: { distribution: int_uniform, min: 1.5, max: 3 }", "expected `min` to be a whole number, found 1.5"),
        ("filters: { values: [8, 16], probabilities: [0.5, 0.5] }", "it has no `probabilities`"),
        ("filters: { distribution: constant, values: [8] }", "expected `value`"),
    ] {
        let said = refused(&with(parameter));
        assert!(said.contains(expected), "{parameter}: {said}");
    }
}

#[test]
fn values_are_read_as_wandb_s_yaml_reads_them() {
    assert_eq!(words(&with("batch_norm: { values: [yes, No] }")), "grid batch_norm true, false");
    assert_eq!(words(&with("max_pool: { values: [off, ON] }")), "grid max_pool false, true");
    let said = refused(&with("batch_norm: { values: ['yes', 'no'] }"));
    assert!(said.contains("expected true or false, found \"yes\", \"no\""), "in quotes they are texts: {said}");
    let text = with("batch_size: { value: 32.0 }\n  epochs: { value: 1e1 }\n  filters: { values: [8.0, 1.6e1] }");
    let spec = Spec::parse(import(&text).unwrap().spec.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!((spec.protocol.batch_size, spec.protocol.epochs), (32, 10));
    assert_eq!(spec.stages[0].design.description(), "grid filters 8, 16");
}

#[test]
fn learning_rates_are_known_by_all_their_names() {
    for name in ["learn_rate", "lrn_rate", "learningRate", "lrate", "base_lr", "optimizer.lr", "initial_learning_rate"]
    {
        let text = with(&format!("{name}: {{ value: 0.01 }}\n  filters: {{ values: [8, 16] }}"));
        let imported = import(&text).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(imported.spec.contains("learning_rate: 0.01"), "{name}: {}", imported.spec);
        let note = format!("`{name}` becomes `protocol.optimizer.learning_rate`");
        assert!(imported.notes.contains(&note), "{:?}", imported.notes);
    }
}

#[test]
fn a_number_of_classes_asks_for_a_data_set_that_has_so_many() {
    let of = |classes: u32| {
        import(&with(&format!("num_classes: {{ value: {classes} }}\n  filters: {{ values: [8, 16] }}"))).unwrap()
    };
    let eight = of(8);
    assert!(eight.spec.contains("kind: synthetic_scenes, classes: 8"), "{}", eight.spec);
    let ten = of(10);
    let spec = Spec::parse(ten.spec.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!((spec.dataset.kind(), spec.dataset.classes.count()), ("image_folder", 10));
    assert!(ten.notes.iter().any(|note| note.contains("the spec names the folder `data`")), "{:?}", ten.notes);
}

/// The shared cases, if they are next to the checkout.
fn cases() -> Option<std::path::PathBuf> {
    let mut folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find_map(|folder| Some(folder.join("shared/cases/wandb")).filter(|cases| cases.is_dir()))
}

/// Supported parts of realistic files are converted, and unsupported ones rejected with their line: no network of this
/// trainer has views, a patch size or a warm-up.
#[test]
fn files_as_users_write_them_are_taken_or_refused_line_by_line() {
    let Some(cases) = cases() else {
        eprintln!("skipped: shared/cases is not beside the checkout");
        return;
    };
    let expected: [(&str, &[&str]); 4] = [
        (
            "constants-and-lists.yaml",
            &[
                "line 5: `width`: Sweep has no such parameter",
                "line 6: `lrn_rate` varies (2e-5, 0.0002), but must be the same for every trial",
                "line 7: `batch_size` varies (16, 64)",
                "line 8: `views`: Sweep has no such parameter",
            ],
        ),
        (
            "dotted-with-command.yaml",
            &[
                "line 10: `optimizer.lr` varies (0.003, 0.0005)",
                "line 11: `optimizer.warmup`: Sweep has no such parameter",
            ],
        ),
        (
            "nested.yaml",
            &[
                "line 9: `model.norm`: Sweep has no such parameter",
                "line 13: `optimizer.kind`: expected `adam`",
                "line 14: `optimizer.lr` varies",
            ],
        ),
        (
            "refused.yaml",
            &[
                "line 6: `width`: a grid has a list of values, and `uniform` draws them at random",
                "line 7: `rate`: a grid has a list of values, and `log_uniform` draws them at random",
                "line 8: `share`: a grid has a list of values, and `normal` draws them at random",
            ],
        ),
    ];
    let mut files: Vec<_> = std::fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, expected.map(|(name, _)| name), "every case has an answer");
    for (name, lines) in expected {
        let text = std::fs::read(cases.join(name)).unwrap();
        let said = super::imported(name, &text, false).unwrap_err().to_string();
        for line in lines {
            assert!(said.contains(line), "{name}: {line} is missing in\n{said}");
        }
    }
    // Alone, the first parameter of the last file is read as W&B reads it.
    let text = std::fs::read_to_string(cases.join("refused.yaml")).unwrap();
    let taken: Vec<&str> =
        text.lines().filter(|line| !line.contains("uniform, min: 1") && !line.contains("normal")).collect();
    assert_eq!(words(&taken.join("\n")), "grid filters 8, 16, 24");
}
