//! `sweepctl import`: another system's file becomes a spec, and unmapped parts are reported.

use super::{transcript, transcript_with_input};

#[test]
fn a_parameter_that_means_nothing_here_is_refused_by_name() {
    insta::assert_snapshot!(transcript(&["import", "wandb", "tests/specs/wandb.yaml"]));
}

#[test]
fn a_grid_becomes_a_spec_and_what_was_left_out_is_said() {
    insta::assert_snapshot!(transcript(&["import", "wandb", "tests/specs/wandb.yaml", "--drop-unknown"]));
}

#[test]
fn a_method_that_chooses_while_it_runs_is_refused_with_the_reason() {
    let file = b"method: bayes\nparameters: { filters: { values: [8, 16] } }";
    insta::assert_snapshot!(transcript_with_input(&["import", "wandb", "-"], file));
}

#[test]
fn what_was_imported_can_be_planned() {
    let text = transcript(&["import", "wandb", "tests/specs/wandb.yaml", "--drop-unknown"]);
    let spec = text.split("----- stdout -----").nth(1).unwrap().split("----- stderr -----").next().unwrap();
    let planned = transcript_with_input(&["plan", "-"], spec.as_bytes());
    assert!(planned.contains("4 configurations, 8 trials"), "{planned}");
}
