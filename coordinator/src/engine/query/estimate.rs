//! The cost of a spec before it is submitted, predicted from measured trials over the connected slots, or over the slots that
//! were connected last.

use std::collections::HashSet;
use std::sync::Arc;

use sweep_analysis::cost::budget::SeedNeed;
use sweep_analysis::cost::schedule::{Batch, Forecast, Left, forecast};
use sweep_analysis::cost::{Accuracy, Estimate, Prediction};
use sweep_spec::{Plan, TrialId};

use crate::engine::blocking::blocking;
use crate::engine::cost::model::Costs;
use crate::engine::cost::pending_stages::depth;
use crate::engine::cost::sweep_cost::Devices;
use crate::engine::cost::trim_seeds;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::Command;
use crate::engine::messages::submission::Submit;
use crate::engine::query::noise_floor::Noise;

/// For a plan with more trials than this, the store is not asked which of them are known.
const ASKED: u64 = 50_000;
/// The most configurations with a separate prediction.
const TOLD: usize = 1_000;

/// The predicted cost of a plan. Seeds that may be added later are not included.
#[derive(Debug, Clone, Default)]
pub struct PlanCost {
    /// Slot-seconds for the trials without a known result; absent without any measurement.
    pub slot_seconds: Option<Prediction>,
    /// Seconds until the end on these slots; absent without slots.
    pub end: Option<Prediction>,
    /// The number of slots.
    pub slots: usize,
    /// Whether these slots are connected now; otherwise they are those of the workers that were connected last.
    pub connected: bool,
    /// Whether the slots are GPUs.
    pub on_gpus: bool,
    /// Trials, with later stages as if their starting points won.
    pub trials: u64,
    /// The number of these with a known result.
    pub known: u64,
    /// Seeds that do not fit the budget.
    pub left_out_seeds: Vec<u64>,
    /// Label, predicted cost of one trial, and memory in bytes, for each configuration.
    pub configurations: Vec<(String, Prediction, u64)>,
    /// The basis of the prediction: devices, each with the number of trials that were measured on it.
    pub basis: Vec<(String, usize)>,
    /// The error of past predictions.
    pub accuracy: Vec<Accuracy>,
    /// The spread of results over seeds.
    pub noise: Option<Noise>,
}

/// The costs of a plan, summed up.
pub(crate) struct Weighed {
    pub(crate) needs: Vec<SeedNeed>,
    /// Predicted seconds of the noise floor.
    pub(crate) beside: f64,
    steps: Vec<Vec<Batch>>,
    configurations: Vec<(String, Prediction, u64)>,
    trials: u64,
    known: u64,
}

impl Weighed {
    /// Counts trials of one configuration; those in the batch have no known result.
    fn count(&mut self, step: usize, trials: u64, batch: Batch) {
        self.trials += trials;
        self.known += trials.saturating_sub(batch.trials);
        while self.steps.len() <= step {
            self.steps.push(Vec::new());
        }
        if let Some(step) = self.steps.get_mut(step).filter(|_| batch.trials > 0) {
            step.push(batch);
        }
    }
}

impl Handle {
    /// Predicts the cost of a spec.
    ///
    /// # Errors
    /// The spec is invalid (all problems are reported), or the store failed.
    pub async fn estimate(&self, request: Submit) -> Result<PlanCost, Error> {
        let (request, plan, _) = self.parse(request).await?;
        let (devices, connected, on_gpus) = self.slots().await?;
        let weighed = self.weigh(&plan, &devices, request.fresh).await?;
        let noise = self.noise(&plan).await?;
        let slots = devices.iter().map(|(_, count)| count).sum();
        let costs = self.costs.get();
        let mut cost = PlanCost {
            slots,
            connected,
            on_gpus,
            basis: costs.basis(),
            accuracy: costs.accuracy(),
            noise,
            ..PlanCost::default()
        };
        drop(costs);
        let Some(weighed) = weighed else { return Ok(cost) };
        let fit = trim_seeds::kept(&plan, &weighed.needs, weighed.beside);
        cost.left_out_seeds = plan.spec().seeds.iter().skip(fit).copied().collect();
        let share = fit as f64 / plan.spec().seeds.len().max(1) as f64;
        let Forecast { end, slot_seconds } = forecast(&Left { running: Vec::new(), steps: weighed.steps }, slots);
        (cost.trials, cost.known) = (weighed.trials, weighed.known);
        cost.slot_seconds = Some(slot_seconds.scaled(share));
        cost.end = end.map(|end| end.scaled(share));
        cost.configurations = weighed.configurations;
        Ok(cost)
    }

    /// The slots that would be used: the connected ones, or else those of the workers that were connected last.
    async fn slots(&self) -> Result<(Devices, bool, bool), Error> {
        let connected = self.ask(Command::Devices).await?;
        let workers = self.store.workers().await?;
        let rows = || workers.iter().flat_map(|worker| &worker.slots);
        let gpu = |name: &str| rows().any(|slot| slot.device_name == name && slot.device != "cpu");
        if !connected.is_empty() {
            let on_gpus = connected.iter().all(|(name, _)| gpu(name));
            return Ok((connected, true, on_gpus));
        }
        let newest = workers.iter().map(|worker| worker.seen_ms).max().unwrap_or(0);
        // Workers of one fleet registered within a day of each other.
        let recent = workers.iter().filter(|worker| newest - worker.seen_ms < 86_400_000);
        let mut devices: Devices = Vec::new();
        for slot in recent.flat_map(|worker| &worker.slots) {
            match devices.iter_mut().find(|(name, _)| *name == slot.device_name) {
                Some((_, count)) => *count += 1,
                None => devices.push((slot.device_name.clone(), 1)),
            }
        }
        let on_gpus = !devices.is_empty() && devices.iter().all(|(name, _)| gpu(name));
        Ok((devices, false, on_gpus))
    }

    /// Sums up the costs of a plan; `None` without any measurement.
    pub(crate) async fn weigh(
        &self,
        plan: &Arc<Plan>,
        devices: &Devices,
        fresh: bool,
    ) -> Result<Option<Weighed>, Error> {
        if self.costs.get().is_empty() {
            return Ok(None);
        }
        let (costs, shared) = (self.costs.clone(), Arc::clone(plan));
        let ids = if fresh { None } else { blocking(move || Ok(trial_ids(&shared))).await? };
        let known = match ids {
            Some(ids) => self.store.answered(&ids).await?,
            None => HashSet::new(),
        };
        let (plan, devices) = (Arc::clone(plan), devices.clone());
        blocking(move || Ok(weigh(&plan, &mut costs.get(), &devices, &known))).await
    }
}

/// The ids of all trials of a plan with at most `ASKED` trials, with later stages as if their starting points won.
fn trial_ids(plan: &Plan) -> Option<Vec<TrialId>> {
    if plan.trials_before_merging() > ASKED {
        return None;
    }
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let ids = released.groups().iter().flat_map(|group| {
        let seeds = plan.seeds(*group);
        released.points(*group).filter_map(move |planned| plan.trial_ids_under(&planned.configuration, seeds).ok())
    });
    let ids: HashSet<TrialId> = ids.flatten().collect();
    Some(ids.into_iter().collect())
}

fn weigh(plan: &Plan, costs: &mut Costs, devices: &Devices, known: &HashSet<TrialId>) -> Option<Weighed> {
    let spec = plan.spec();
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let is_source = |group: &usize| plan.groups().get(*group).is_some_and(|group| group.kind.is_source());
    let mut weighed = Weighed {
        needs: vec![SeedNeed { seconds: 0.0, trials: 0 }; spec.seeds.len()],
        beside: 0.0,
        steps: Vec::new(),
        configurations: Vec::new(),
        trials: 0,
        known: 0,
    };
    for planned in released.configurations() {
        let work = costs.work(&planned.counts, &spec.protocol, &spec.dataset)?;
        let each: Estimate = costs.predict(devices, &work)?;
        let (sources, beside): (Vec<usize>, Vec<usize>) = planned.groups.iter().copied().partition(is_source);
        if !beside.is_empty() {
            let ids = plan.trial_ids_under(&planned.configuration, &spec.noise).unwrap_or_default();
            let waits = ids.iter().filter(|id| !known.contains(id)).count() as u64;
            weighed.beside += waits as f64 * each.seconds;
            weighed.count(0, spec.noise.len() as u64, Batch { trials: waits, each });
        }
        if sources.is_empty() {
            continue;
        }
        let ids = plan.trial_ids(&planned.configuration).unwrap_or_default();
        let mut waits = 0;
        for (place, need) in weighed.needs.iter_mut().enumerate() {
            if ids.get(place).is_some_and(|id| known.contains(id)) {
                continue;
            }
            need.seconds += each.seconds;
            need.trials += 1;
            waits += 1;
        }
        let step = sources.iter().map(|group| depth(plan, *group)).min().unwrap_or(0);
        weighed.count(step, spec.seeds.len() as u64, Batch { trials: waits, each });
        if weighed.configurations.len() < TOLD {
            weighed.configurations.push((planned.label(plan), each.prediction(), each.memory_bytes));
        }
    }
    Some(weighed)
}

#[cfg(test)]
mod tests {
    use sweep_analysis::cost::{Class, Size, Work};
    use sweep_spec::{Outcome, Spec};

    use super::*;
    use crate::engine::cost::model::Took;

    const SPEC: &str = "
version: 1
name: small
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: [0, 1]
noise: { seeds: 3 }
baseline: { family: cnn, filters: 4 }
stages: [ { name: width, vary: { filters: [4, 8] } } ]
";

    fn plan(text: &str) -> Plan {
        Plan::new(&Spec::parse(text.as_bytes(), &[], &Default::default()).unwrap())
    }

    /// One trial of the plan's first configuration was measured.
    fn measured(plan: &Plan) -> Costs {
        let spec = plan.spec();
        let counts = plan.released(&[]).configurations().next().unwrap().counts;
        let work = Work::new(&counts, &spec.protocol, Size::of(&spec.dataset).unwrap());
        let mut costs = Costs::default();
        let class = Class { device_name: "a processor".into(), instruction_set: String::new(), threads: 1 };
        costs.learn(
            work,
            Took {
                outcome: Outcome::Converged,
                class,
                seconds: 10.0,
                run_seconds: 10.0,
                slot_seconds: 11.0,
                peak_memory_bytes: 1 << 20,
                predicted: None,
            },
        );
        costs
    }

    #[test]
    fn the_noise_floor_is_paid_for_and_is_no_seed_of_the_others() {
        let plan = plan(SPEC);
        let mut costs = measured(&plan);
        let devices = vec![("a processor".to_owned(), 1)];
        let all = weigh(&plan, &mut costs, &devices, &HashSet::new()).unwrap();
        assert_eq!((all.trials, all.known, all.needs.len()), (2 * 2 + 3, 0, 2));
        assert!(all.needs.iter().all(|need| need.trials == 2));
        assert!((all.beside - 33.0).abs() < 1e-6, "{}", all.beside);
        let ids = trial_ids(&plan).unwrap();
        assert_eq!(ids.len(), 7);
        let noise = plan.trial_ids_under(&plan.spec().baseline, &plan.spec().noise).unwrap();
        let some = weigh(&plan, &mut costs, &devices, &noise[..2].iter().copied().collect()).unwrap();
        assert_eq!((some.trials, some.known), (7, 2));
        assert!((some.beside - 11.0).abs() < 1e-6, "{}", some.beside);
    }

    #[test]
    fn a_baseline_that_only_the_noise_floor_trains_has_its_seeds_alone() {
        let (head, _) = SPEC.split_once("stages:").unwrap();
        let plan = plan(&format!("{head}extra: [ {{ name: wide, family: cnn, filters: 9 }} ]\n"));
        let mut costs = measured(&plan);
        let all = weigh(&plan, &mut costs, &vec![("a processor".to_owned(), 1)], &HashSet::new()).unwrap();
        assert_eq!((all.trials, all.needs[0].trials), (2 + 3, 1));
        assert_eq!(trial_ids(&plan).unwrap().len(), 5);
    }
}
