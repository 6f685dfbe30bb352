//! Expands a plan into rows and wanted trials, outside the owner task. Large plans are written in pieces.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sweep_analysis::cost::{Size, Work};
use sweep_analysis::title::title;
use sweep_scheduler::SweepId;
use sweep_scheduler::event::{History, WantedTrial};
use sweep_spec::count::{Counts, Input};
use sweep_spec::plan::Winner;
use sweep_spec::{Configuration, Digest, Plan, TrialId, canonical};
use sweep_store::Store;
use sweep_store::record::ConfigurationRecord;
use sweep_store::write::{Afresh, ConfigurationRow, NewTrial, Preparation};

use crate::engine::cost::model::Shared;
use crate::engine::error::Error;
use crate::engine::state::budget::LiveBudget;
use crate::engine::state::sweep::LiveConfiguration;

/// Rows that are written at a time, so that commits of the engine can run in between.
const PIECE: usize = 10_000;

/// The rows and the wanted trials of some groups of a plan.
pub(crate) struct Expansion {
    pub(crate) sweep: SweepId,
    /// Set if results chose the expanded groups: an earlier choice that was never committed may have left rows.
    afresh: Option<Afresh>,
    input: Input,
    budget: Option<LiveBudget>,
    rows: Vec<ConfigurationRow>,
    stage_configurations: Vec<(SweepId, u32, u32)>,
    trials: Vec<NewTrial>,
    question: (Digest, String),
    wanted: BTreeMap<u32, Vec<WantedTrial>>,
}

/// The part of an expansion that the owner task gets.
pub(crate) struct Expanded {
    pub(crate) open: Vec<(u32, Vec<WantedTrial>)>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
}

/// The position of a configuration in a group, and the cost of one of its trials.
struct Place {
    stage: u32,
    position: u32,
    cost: u64,
    memory_bytes: u64,
    /// Whether its trials belong to no earlier group.
    new: bool,
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// The cost that orders trials: predicted milliseconds, or, without measurements, those of a generic machine. Without
/// the size of the data set only the ratios are right.
fn milliseconds(plan: &Plan, counts: &Counts, costs: &Shared) -> u64 {
    const ANY: Size = Size { train: 1_000, test: 100 };
    let spec = plan.spec();
    let mut costs = costs.get();
    let size = costs.size(&spec.dataset).unwrap_or(ANY);
    let work = Work::new(counts, &spec.protocol, size);
    let seconds = costs.predict(&[], &work).map_or_else(|| work.nominal_seconds(), |estimate| estimate.seconds);
    (seconds * 1000.0).clamp(1.0, 1e15) as u64
}

impl Expansion {
    fn empty(sweep: SweepId, plan: &Plan) -> Result<Self, Error> {
        let spec = plan.spec();
        let shared = serde_json::json!({
            "dataset": spec.dataset, "protocol": spec.protocol, "semantics": sweep_spec::TRAINER_SEMANTICS,
        });
        let body = canonical::to_string(&shared).map_err(internal)?;
        Ok(Self {
            sweep,
            afresh: None,
            input: Input::from(&spec.dataset),
            budget: LiveBudget::of(plan),
            rows: Vec::new(),
            stage_configurations: Vec::new(),
            trials: Vec::new(),
            question: (Digest::of(body.as_bytes()), body),
            wanted: BTreeMap::new(),
        })
    }

    /// Expands `groups` of `plan`. Blocks for long if there are many trials.
    pub(crate) fn new(
        (sweep, plan): (SweepId, &Plan),
        winners: &[Winner],
        groups: &[usize],
        costs: &Shared,
    ) -> Result<Self, Error> {
        let spec = plan.spec();
        let mut expansion = Self::empty(sweep, plan)?;
        let released = plan.released(winners);
        let (mut described, mut made) = (HashSet::new(), HashSet::new());
        for group in groups {
            let stage = u32::try_from(*group).map_err(internal)?;
            // All stages and the extra configurations have the same seeds; the noise floor has separate ones.
            let source = plan.groups().get(*group).is_some_and(|group| group.kind.is_source());
            expansion.wanted.entry(stage).or_default();
            for planned in released.points(*group) {
                let position = u32::try_from(planned.ordinal).map_err(|_| internal("the plan has too many points"))?;
                let cost = milliseconds(plan, &planned.counts, costs);
                let is_baseline = planned.configuration == spec.baseline;
                let memory_bytes = planned.counts.training_memory_bytes(spec.protocol.batch_size);
                let place = Place { stage, position, cost, memory_bytes, new: made.insert((position, source)) };
                expansion.add(plan, &planned.configuration, place)?;
                if !described.insert(position) {
                    continue;
                }
                expansion.rows.push(ConfigurationRow {
                    sweep,
                    position,
                    name: planned.name.clone().unwrap_or_default(),
                    label: planned.difference(plan).to_string(),
                    baseline: is_baseline,
                    configuration: planned.configuration,
                    params: planned.counts.params,
                    flops: planned.counts.flops_per_image,
                    cost,
                    memory_bytes,
                });
            }
        }
        Ok(expansion)
    }

    /// Expands groups that results have chosen.
    pub(crate) fn chosen(
        (sweep, plan): (SweepId, &Plan),
        winners: &[Winner],
        groups: &[usize],
        costs: &Shared,
    ) -> Result<Self, Error> {
        let mut expansion = Self::new((sweep, plan), winners, groups, costs)?;
        let stages = groups.iter().filter_map(|group| u32::try_from(*group).ok()).collect();
        expansion.afresh = Some(Afresh { sweep, stages, seeds: Vec::new() });
        Ok(expansion)
    }

    /// Expands configurations of the store with the seeds of a group that adds seeds.
    pub(crate) fn more_seeds(
        (sweep, plan): (SweepId, &Plan),
        group: usize,
        configurations: &[ConfigurationRecord],
        costs: &Shared,
    ) -> Result<Self, Error> {
        let mut expansion = Self::empty(sweep, plan)?;
        let stage = u32::try_from(group).map_err(internal)?;
        expansion.wanted.entry(stage).or_default();
        for row in configurations {
            let (position, memory_bytes) = (row.position, row.memory_bytes);
            // The prediction may have improved since the row was written.
            let counts = Counts::of(&row.configuration, expansion.input);
            let cost = counts.map_or(row.cost, |counts| milliseconds(plan, &counts, costs));
            let place = Place { stage, position, cost, memory_bytes, new: true };
            expansion.add(plan, &row.configuration, place)?;
        }
        expansion.afresh = Some(Afresh { sweep, stages: vec![stage], seeds: plan.seeds(group).to_vec() });
        Ok(expansion)
    }

    /// Adds one configuration with the seeds of a group.
    fn add(&mut self, plan: &Plan, configuration: &Configuration, place: Place) -> Result<(), Error> {
        let Place { stage, position, cost, memory_bytes, new } = place;
        let seeds = plan.seeds(stage as usize);
        let ids = plan.trial_ids_under(configuration, seeds).map_err(internal)?;
        let is_baseline = *configuration == plan.spec().baseline;
        let one = |(id, seed): (&TrialId, &u64)| {
            let rank = self.budget.as_ref().map_or(0, |budget| budget.rank(*seed, is_baseline));
            WantedTrial { id: *id, cost, memory_bytes, history: History::default(), rank }
        };
        self.wanted.entry(stage).or_default().extend(ids.iter().zip(seeds).map(one));
        self.stage_configurations.push((self.sweep, stage, position));
        if !new {
            return Ok(());
        }
        let text: Arc<str> = canonical::to_string(configuration).map_err(internal)?.into();
        let (sweep, question) = (self.sweep, self.question.0);
        self.trials.extend(ids.into_iter().zip(seeds).map(|(id, seed)| {
            let body = Arc::clone(&text);
            NewTrial { id, sweep, configuration: position, seed: *seed, question, body }
        }));
        Ok(())
    }

    /// The ids of its trials, each once.
    pub(crate) fn ids(&self) -> Vec<TrialId> {
        self.trials.iter().map(|trial| trial.id).collect()
    }

    /// Its trials with the positions of their configurations and their seeds, in the order of the spec.
    #[cfg(test)]
    pub(crate) fn places(&self) -> Vec<(TrialId, u32, u64)> {
        let mut places: Vec<_> = self.trials.iter().map(|one| (one.id, one.configuration, one.seed)).collect();
        places.sort_unstable_by_key(|(_, configuration, seed)| (*configuration, *seed));
        places
    }

    /// Writes its rows, in pieces.
    pub(crate) async fn write(&mut self, store: &dyn Store) -> Result<(), Error> {
        // In the order of their ids, so that tables that are sorted by id grow in one place.
        self.trials.sort_unstable_by_key(|trial| trial.id);
        if let Some(afresh) = self.afresh.take() {
            store.prepare(&Preparation { afresh: Some(afresh), ..Preparation::default() }).await?;
        }
        for piece in self.rows.chunks(PIECE) {
            store.prepare(&Preparation { configurations: piece.to_vec(), ..Preparation::default() }).await?;
        }
        for piece in self.stage_configurations.chunks(PIECE) {
            store.prepare(&Preparation { stage_configurations: piece.to_vec(), ..Preparation::default() }).await?;
        }
        for piece in self.trials.chunks(PIECE) {
            let (questions, trials) = (vec![self.question.clone()], piece.to_vec());
            store.prepare(&Preparation { questions, trials, ..Preparation::default() }).await?;
        }
        Ok(())
    }

    /// Adds what the store knows about its trials. The caller needs a ticket before this call.
    pub(crate) async fn known(mut self, store: &dyn Store) -> Result<Expanded, Error> {
        let stages: Vec<u32> = self.wanted.keys().copied().collect();
        let histories = store.histories(self.sweep, &stages).await?;
        for wanted in self.wanted.values_mut().flatten() {
            if let Some(history) = histories.get(&wanted.id) {
                wanted.history = history.clone();
            }
        }
        let configuration = |row: ConfigurationRow| {
            let title = title(&row.name, &row.label).to_owned();
            (row.position, LiveConfiguration::new(title, row.configuration, self.input))
        };
        Ok(Expanded {
            open: self.wanted.into_iter().collect(),
            configurations: self.rows.into_iter().map(configuration).collect(),
            trials: self.trials.into_iter().map(|trial| (trial.id, (trial.configuration, trial.seed))).collect(),
        })
    }
}
