//! What a spec would cost before anybody submits it: by what was measured, over the slots that are connected or were last.

use std::collections::HashSet;
use std::sync::Arc;

use sweep_analysis::cost::budget::{SeedNeed, seeds_that_fit};
use sweep_analysis::cost::schedule::{Batch, Forecast, Left, forecast};
use sweep_analysis::cost::{Accuracy, Estimate, Prediction};
use sweep_spec::{Plan, TrialId};

use super::command::Command;
use super::costs::Costs;
use super::outlook::Devices;
use super::submit::{blocking, parse};
use super::{Error, Handle, Submit, noise};

/// Trials of a larger plan are not asked for one by one whether they are known.
const ASKED: u64 = 50_000;
/// Configurations that are told one by one.
const TOLD: usize = 1_000;

/// What is expected of a plan.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Seconds of slots for what is not known yet; absent while nothing was measured.
    pub slot_seconds: Option<Prediction>,
    /// Seconds until the end, on these slots; absent without any.
    pub end: Option<Prediction>,
    /// On how many slots.
    pub slots: usize,
    /// They are connected now; otherwise they were when a worker was there last.
    pub connected: bool,
    /// They are GPUs.
    pub on_gpus: bool,
    /// Trials, later stages as if their starting points won, and how many of them have results already.
    pub trials: u64,
    /// Of these, known ones.
    pub known: u64,
    /// Seeds that the budget does not hold.
    pub left_out_seeds: Vec<u64>,
    /// Each configuration: label, prediction of one trial, its memory in bytes.
    pub configurations: Vec<(String, Prediction, u64)>,
    /// What it rests on: devices and how many trials were measured there.
    pub basis: Vec<(String, usize)>,
    /// How far predictions were off.
    pub accuracy: Vec<Accuracy>,
    /// How much results scatter.
    pub noise: Option<noise::Noise>,
}

/// A plan gone through once.
pub(crate) struct Weighed {
    pub(crate) needs: Vec<SeedNeed>,
    steps: Vec<Vec<Batch>>,
    configurations: Vec<(String, Prediction, u64)>,
    trials: u64,
    known: u64,
}

impl Handle {
    /// What a spec would cost.
    ///
    /// # Errors
    /// Everything that is wrong with the spec; or the store failed.
    pub async fn estimate(&self, request: Submit) -> Result<Outlook, Error> {
        let (_, plan, _) = parse(request).await?;
        let (devices, connected, on_gpus) = self.slots().await?;
        let weighed = self.weigh(&plan, &devices).await?;
        let noise = self.noise(&plan).await?;
        let slots = devices.iter().map(|(_, count)| count).sum();
        let costs = self.costs.get();
        let mut outlook = Outlook {
            slots,
            connected,
            on_gpus,
            basis: costs.basis(),
            accuracy: costs.accuracy(),
            noise,
            ..Outlook::default()
        };
        drop(costs);
        let Some(weighed) = weighed else { return Ok(outlook) };
        let fit = match plan.spec().budget_seconds() {
            Some(budget) => seeds_that_fit(&weighed.needs, budget).0,
            None => plan.spec().seeds.len(),
        };
        outlook.left_out_seeds = plan.spec().seeds.iter().skip(fit).copied().collect();
        let share = fit as f64 / plan.spec().seeds.len().max(1) as f64;
        let Forecast { end, slot_seconds } = forecast(&Left { running: Vec::new(), steps: weighed.steps }, slots);
        (outlook.trials, outlook.known) = (weighed.trials, weighed.known);
        outlook.slot_seconds = Some(slot_seconds.scaled(share));
        outlook.end = end.map(|end| end.scaled(share));
        outlook.configurations = weighed.configurations;
        Ok(outlook)
    }

    /// The slots that would be used: those that are connected, else those that the workers had that were there last.
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
        // Those of one fleet registered within a day of each other.
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

    /// Goes through a plan with what is known of times; nothing while nothing is.
    pub(crate) async fn weigh(&self, plan: &Arc<Plan>, devices: &Devices) -> Result<Option<Weighed>, Error> {
        if self.costs.get().is_empty() {
            return Ok(None);
        }
        let (costs, shared) = (self.costs.clone(), Arc::clone(plan));
        let ids = blocking(move || Ok(trial_ids(&shared))).await?;
        let known = match ids {
            Some(ids) => self.store.answered(&ids).await?,
            None => HashSet::new(),
        };
        let (plan, devices) = (Arc::clone(plan), devices.clone());
        blocking(move || Ok(weigh(&plan, &mut costs.get(), &devices, &known))).await
    }
}

/// The ids of all trials of a plan that is not too large, later stages as if their starting points won.
fn trial_ids(plan: &Plan) -> Option<Vec<TrialId>> {
    if plan.trials_before_merging() > ASKED {
        return None;
    }
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let ids = released.configurations().filter_map(|planned| plan.trial_ids(&planned.configuration).ok());
    Some(ids.flatten().collect())
}

fn weigh(plan: &Plan, costs: &mut Costs, devices: &Devices, known: &HashSet<TrialId>) -> Option<Weighed> {
    let spec = plan.spec();
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let depth = |group: usize| {
        let mut at = plan.groups().get(group).and_then(|group| group.waits_for);
        std::iter::from_fn(|| {
            let before = at?;
            at = plan.groups().get(before).and_then(|group| group.waits_for);
            Some(before)
        })
        .count()
    };
    let mut weighed = Weighed {
        needs: vec![SeedNeed { seconds: 0.0, trials: 0 }; spec.seeds.len()],
        steps: Vec::new(),
        configurations: Vec::new(),
        trials: 0,
        known: 0,
    };
    for planned in released.configurations() {
        let work = costs.work(&planned.counts, &spec.protocol, &spec.dataset)?;
        let each: Estimate = costs.predict(devices, &work)?;
        let ids = plan.trial_ids(&planned.configuration).unwrap_or_default();
        let mut waits = 0;
        for (place, need) in weighed.needs.iter_mut().enumerate() {
            if ids.get(place).is_some_and(|id| known.contains(id)) {
                weighed.known += 1;
                continue;
            }
            need.seconds += each.seconds;
            need.trials += 1;
            waits += 1;
        }
        weighed.trials += spec.seeds.len() as u64;
        let step = planned.groups.iter().map(|group| depth(*group)).min().unwrap_or(0);
        while weighed.steps.len() <= step {
            weighed.steps.push(Vec::new());
        }
        if let Some(step) = weighed.steps.get_mut(step).filter(|_| waits > 0) {
            step.push(Batch { trials: waits, each });
        }
        if weighed.configurations.len() < TOLD {
            weighed.configurations.push((planned.label(plan), each.prediction(), each.memory_bytes));
        }
    }
    Some(weighed)
}
