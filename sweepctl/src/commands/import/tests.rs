//! Sweep files as people write them, good and bad.

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
    imported("some/sweep.yaml", text, false)
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
        spec.stages[0].design.words(),
        "grid conv_layers 1, 2, 3; filters 16, 8, 32; batch_norm false, true; dropout 0, 0.2"
    );
    let plan = Plan::new(&spec);
    assert_eq!(plan.summary(&[]).configurations, 3 * 3 * 2 * 2);
    assert_eq!(plan.released(&[]).tries_start(0), Some(true));
    let notes = imported.notes.join("\n");
    assert!(notes.contains("`program` is left out") && notes.contains("`early_terminate` is left out"), "{notes}");
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
        "`lr` varies (0.1, 0.01), but it is the same for every trial of a sweep here",
        "`weight_decay`: nothing here has this name or meaning",
        "`optimizer`: expected `adam`, the one optimizer that is trained here, found adam, sgd",
        "`model.use_bn`: expected true or false, found 0, 2",
        "`epochs`: a range or distribution is no list of values",
        "`model.n_filters` and `model.num_filters` mean the same here (filters)",
        "hint: --drop-unknown leaves out",
    ] {
        assert!(said.contains(expected), "{said}\n{expected}");
    }
}

#[test]
fn unknown_parameters_are_left_out_when_that_is_asked_for() {
    let text = SWEEP.replace("img_size: { value: 32 }", "weight_decay: { values: [0, 1e-4] }");
    assert!(import(&text).is_err());
    let imported = imported("x.yaml", &text, true).unwrap();
    assert!(imported.notes.iter().any(|note| note.starts_with("`weight_decay` is left out")));
    let varied = SWEEP.replace("lr: { value: 1e-3 }", "lr: { values: [0.1, 0.01] }");
    let said = super::imported("x.yaml", &varied, true).unwrap_err().to_string();
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
        ("", "is no W&B sweep"),
        ("[", "is no YAML"),
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
