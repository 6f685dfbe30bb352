//! Trims a sweep to its budget before it begins: whole seeds are left out from the end. The trimmed list is stored as one more
//! override of the spec, so a restart makes the same plan, and users can see it.

use sweep_analysis::cost::budget::{SeedNeed, seeds_that_fit};
use sweep_spec::spec::{Limits, Stage};
use sweep_spec::{Digest, Plan, Spec};
use sweep_store::record::SweepRecord;

/// The key that the trimmed list overrides.
const SEEDS: &str = "seeds";

/// The number of seeds of the spec that the sweep begins with. The cost of the noise floor, `beside`, is set aside
/// first: its seeds are not those of the configurations, and the user asked for them. With `seeds: adaptive` no seed is
/// left out: the number of seeds that are added later is not known yet. Such a sweep stops when its budget is spent.
pub(crate) fn kept(plan: &Plan, needs: &[SeedNeed], beside: f64) -> usize {
    let spec = plan.spec();
    let all = spec.seeds.len();
    let Some(budget) = spec.budget_seconds().filter(|_| spec.adaptive.is_none()) else { return all };
    match seeds_that_fit(needs, budget - beside).0 {
        0 => all,
        fit => fit.max(least(spec)).min(all),
    }
}

/// The least number of seeds of a valid spec: those that choose, and one more to test the choice.
fn least(spec: &Spec) -> usize {
    let of = |stage: &Stage| {
        let places = stage.choose_on.iter().filter_map(|seed| spec.seeds.iter().position(|known| known == seed));
        let last = places.max().map_or(0, |place| place + 1);
        if last > 0 && last == stage.choose_on.len() { last + 1 } else { last }
    };
    spec.stages.iter().map(of).max().unwrap_or(0)
}

/// The override that keeps the first seeds, if some have to be left out.
pub(crate) fn trimmed(plan: &Plan, needs: &[SeedNeed], beside: f64) -> Option<(String, String)> {
    let spec = plan.spec();
    let fit = kept(plan, needs, beside);
    if fit >= spec.seeds.len() {
        return None;
    }
    let kept: Vec<String> = spec.seeds.iter().take(fit).map(u64::to_string).collect();
    Some((SEEDS.to_owned(), format!("[{}]", kept.join(", "))))
}

/// The overrides that a sweep was submitted with.
pub(crate) fn asked<'a>(record: &'a SweepRecord, plan: &Plan) -> &'a [(String, String)] {
    let Some((last, before)) = record.overrides.split_last() else { return &[] };
    let is_ours = |digest: Digest| digest != record.spec_digest;
    let fits = plan.spec().budget.is_some() && last.0 == SEEDS && plan.spec().digest().is_ok_and(is_ours);
    if fits { before } else { &record.overrides }
}

/// The seeds that were left out before a sweep with this spec began.
pub(crate) fn left_out(record: &SweepRecord, plan: &Plan, spec: &[u8]) -> Vec<u64> {
    let before = asked(record, plan);
    if before.len() == record.overrides.len() {
        return Vec::new();
    }
    let whole = Spec::parse(spec, before, &Limits { trials: record.trial_limit });
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
        assert_eq!(trimmed(&plan, &[need(1500.0); 4], 0.0), Some(("seeds".to_owned(), "[7, 8]".to_owned())));
        assert_eq!(trimmed(&plan, &[need(9000.0); 4], 0.0), Some(("seeds".to_owned(), "[7]".to_owned())), "one always");
        assert_eq!(trimmed(&plan, &[need(900.0); 4], 0.0), None);
        assert_eq!(trimmed(&plan, &[], 0.0), None, "nothing is known");
        let kept = parse(&[("seeds".to_owned(), "[7, 8]".to_owned())]);
        assert_eq!(kept.seeds, [7, 8]);
    }

    #[test]
    fn what_stands_beside_the_seeds_and_what_chooses_is_not_left_out() {
        let plan = |from: &str, to: &str| {
            let text = SPEC.replace(from, to);
            assert_ne!(text, SPEC);
            Plan::new(&Spec::parse(text.as_bytes(), &[], &Limits::default()).unwrap())
        };
        let need = [SeedNeed { seconds: 1500.0, trials: 1 }; 4];
        let noise = plan("budget: 1h", "budget: 1h\nnoise: { seeds: 2 }");
        assert_eq!(kept(&noise, &need, 0.0), 2);
        assert_eq!(kept(&noise, &need, 700.0), 1, "the noise floor has its part");
        assert_eq!(trimmed(&noise, &need, 0.0), Some(("seeds".to_owned(), "[7, 8]".to_owned())));
        let trimmed_noise = Spec::parse(
            SPEC.replace("budget: 1h", "budget: 1h\nnoise: { seeds: 2 }").as_bytes(),
            &[("seeds".to_owned(), "[7, 8]".to_owned())],
            &Limits::default(),
        );
        assert_eq!(trimmed_noise.unwrap().noise, noise.spec().noise, "its seeds stay");
        let adaptive = plan("[7, 8, 9, 10]", "{ adaptive: { start: 4, step: 1, at_most: 6 } }");
        assert_eq!(trimmed(&adaptive, &need, 0.0), None);
        let stage = "stages: [ { name: a, vary: { filters: [4, 8] }, keep: best, choose_on: [7, 8] } ]\nextra";
        assert_eq!(kept(&plan("extra", stage), &need, 0.0), 3, "two choose, and one tests what they chose");
        let stage = stage.replace("[7, 8]", "[8, 10]");
        assert_eq!(trimmed(&plan("extra", &stage), &need, 0.0), None);
    }
}
