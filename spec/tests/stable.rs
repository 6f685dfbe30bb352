//! A stored spec is expanded from its text again at any time, so digests, ordinals and trial ids of existing specs
//! never change. The first release wrote these numbers.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in its helpers too")]

use std::path::Path;

use sweep_spec::plan::{Released, Winner};
use sweep_spec::spec::Limits;
use sweep_spec::{Configuration, Digest, Plan, Spec, Trial};

/// The trainer semantics of the first release. Later ones have other trial ids, and share everything else.
const SEMANTICS: u32 = 1;

fn plan(name: &str) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first_release");
    let text = std::fs::read(folder.join(name).with_extension("yaml")).unwrap();
    Plan::new(&Spec::parse(&text, &[], &Limits::default()).unwrap())
}

fn trial_ids(plan: &Plan, configuration: &Configuration) -> Vec<String> {
    let trial = |seed: &u64| Trial { semantics: SEMANTICS, ..plan.trial(configuration, *seed) };
    plan.spec().seeds.iter().map(|seed| trial(seed).id().unwrap().to_string()).collect()
}

/// A digest of every configuration in the order of release, with its ordinal, groups and trial ids.
fn content(plan: &Plan, released: &Released<'_>) -> String {
    let mut text = String::new();
    for planned in released.configurations() {
        let ids = trial_ids(plan, &planned.configuration);
        let (ordinal, groups, label) = (planned.ordinal, &planned.groups, planned.label(plan));
        text.push_str(&format!("{ordinal} {groups:?} {label} {}\n", ids.join(" ")));
    }
    Digest::of(text.as_bytes()).to_string()
}

#[test]
fn specs_of_the_first_release_come_to_what_they_came_to() {
    for (name, digest, expected) in [
        ("ablation", "fed81a8b2c8a100b", "4019244d7abf58e2"),
        ("fashion", "7846630fcbe5b7e2", "a0b687ccfe19ee16"),
        ("greedy", "1a7373599082d16f", "0bdecbba31ee3997"),
        ("quickstart", "bd48f5db575761e9", "23ce0e673ed86314"),
        ("scenes_small", "f466972dd2615033", "c04b0fbdabdbf612"),
        ("tiny", "04f5ec53e0d5ab72", "3d3ce911d4e814d2"),
        ("small_greedy", "806c7b27efefecaa", "def21bc9141eeb86"),
    ] {
        let plan = plan(name);
        assert_eq!(plan.spec().digest().unwrap().to_string()[..16], *digest, "{name}");
        assert_eq!(content(&plan, &plan.released(&[]))[..16], *expected, "{name}");
    }
}

#[test]
fn what_stands_behind_decisions_has_the_ordinals_that_it_had() {
    let plan = plan("greedy");
    let mut winners: Vec<Winner> = Vec::new();
    for stage in 0..4 {
        let configuration = plan.expand(stage, &winners).unwrap().pop().unwrap().configuration;
        winners.push(Winner { stage, configuration });
    }
    let found = content(&plan, &plan.released(&winners));
    assert_eq!(found[..16], *"ef29ca50b3768709");
}
