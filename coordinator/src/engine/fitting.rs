//! Fitting a sweep to its budget before it begins: whole seeds are left out from the end. What was left out is written as
//! one more override of the spec, so that a restart makes the same plan and everybody can see it.

use sweep_analysis::cost::budget::{SeedNeed, seeds_that_fit};
use sweep_spec::spec::Limits;
use sweep_spec::{Digest, Plan, Spec};

use crate::store::record::SweepRecord;

/// The key that is overridden.
const SEEDS: &str = "seeds";

/// The override that keeps the first so many seeds, if some are to be left out.
pub(crate) fn trimmed(plan: &Plan, needs: &[SeedNeed]) -> Option<(String, String)> {
    let spec = plan.spec();
    let budget = spec.budget_seconds()?;
    let (fit, _) = seeds_that_fit(needs, budget);
    if fit == 0 || fit >= spec.seeds.len() {
        return None;
    }
    let kept: Vec<String> = spec.seeds.iter().take(fit).map(u64::to_string).collect();
    Some((SEEDS.to_owned(), format!("[{}]", kept.join(", "))))
}

/// The seeds that were left out before a sweep began.
pub(crate) fn left_out(record: &SweepRecord, plan: &Plan) -> Vec<u64> {
    let Some((last, before)) = record.overrides.split_last() else { return Vec::new() };
    let is_ours = |digest: Digest| digest != record.spec_digest;
    let fits = plan.spec().budget.is_some() && last.0 == SEEDS && plan.spec().digest().is_ok_and(is_ours);
    if !fits {
        return Vec::new();
    }
    let whole = Spec::parse(&record.spec, before, &Limits { trials: record.trial_limit });
    let seeds = whole.map(|spec| spec.seeds).unwrap_or_default();
    seeds.into_iter().filter(|seed| !plan.spec().seeds.contains(seed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "
version: 1
name: small
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: [7, 8, 9, 10]
budget: 1h
baseline: { family: cnn }
extra: [ { name: one, family: cnn } ]
";

    #[test]
    fn whole_seeds_are_left_out_and_the_override_says_which() {
        let parse =
            |overrides: &[(String, String)]| Spec::parse(SPEC.as_bytes(), overrides, &Limits::default()).unwrap();
        let plan = Plan::new(&parse(&[]));
        let need = |seconds: f64| SeedNeed { seconds, trials: 1 };
        assert_eq!(trimmed(&plan, &[need(1500.0); 4]), Some(("seeds".to_owned(), "[7, 8]".to_owned())));
        assert_eq!(trimmed(&plan, &[need(9000.0); 4]), Some(("seeds".to_owned(), "[7]".to_owned())), "one always");
        assert_eq!(trimmed(&plan, &[need(900.0); 4]), None);
        assert_eq!(trimmed(&plan, &[]), None, "nothing is known");
        let kept = parse(&[("seeds".to_owned(), "[7, 8]".to_owned())]);
        assert_eq!(kept.seeds, [7, 8]);
    }
}
