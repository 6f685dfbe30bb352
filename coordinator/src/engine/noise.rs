//! How much results scatter: what the store has seen of the same data under the same protocol. What a number of seeds can
//! show rests on it.

use std::collections::BTreeMap;

use sweep_spec::spec::Metric;
use sweep_spec::{Outcome, Plan, Spec};

use super::study::reported;
use super::submit::blocking;
use super::{Error, Handle, restore};
use crate::store::record::{ConfigurationRecord, Replicate};

/// Sweeps that are looked through, the newest first, and of those how many may count.
const LOOKED_AT: usize = 200;
const COUNTED: usize = 20;

/// How much one metric scatters over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Standard deviation of one run.
    pub of_runs: f64,
    /// Over so many degrees of freedom.
    pub runs: u32,
    /// Standard deviation of the difference of two configurations under one seed.
    pub of_differences: Option<f64>,
    /// Over so many degrees of freedom.
    pub differences: u32,
    /// From so many sweeps.
    pub sweeps: u32,
}

/// Squares around means, pooled.
#[derive(Debug, Default, Clone, Copy)]
struct Pool {
    squares: f64,
    freedom: u32,
}

impl Pool {
    fn add(&mut self, values: &[f64]) {
        let count = values.len() as f64;
        if values.len() < 2 {
            return;
        }
        let mean = values.iter().sum::<f64>() / count;
        self.squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        self.freedom += values.len() as u32 - 1;
    }

    fn deviation(&self) -> Option<f64> {
        (self.freedom > 0).then(|| (self.squares / f64::from(self.freedom)).sqrt())
    }
}

impl Handle {
    /// What earlier sweeps with the same data and protocol show; nothing if there are none.
    pub(crate) async fn noise(&self, plan: &Plan) -> Result<Option<Noise>, Error> {
        let spec = plan.spec();
        let metric = spec.objective.metric;
        let (mut runs, mut differences, mut sweeps) = (Pool::default(), Pool::default(), 0);
        let records = self.store.sweeps().await?;
        for record in records.into_iter().take(LOOKED_AT) {
            let Ok(earlier) = restore::plan(&record) else { continue };
            let earlier = earlier.spec().clone();
            if sweeps >= COUNTED || earlier.dataset != spec.dataset || earlier.protocol != spec.protocol {
                continue;
            }
            let configurations = self.store.configurations(record.id).await?;
            let replicates = self.store.replicates(record.id).await?;
            let before = runs.freedom;
            (runs, differences) =
                blocking(move || Ok(gather((runs, differences), &earlier, metric, &configurations, &replicates)))
                    .await?;
            sweeps += usize::from(runs.freedom > before);
        }
        Ok(runs.deviation().map(|of_runs| Noise {
            of_runs,
            runs: runs.freedom,
            of_differences: differences.deviation(),
            differences: differences.freedom,
            sweeps: u32::try_from(sweeps).unwrap_or(u32::MAX),
        }))
    }
}

fn gather(
    (mut runs, mut differences): (Pool, Pool),
    spec: &Spec,
    metric: Metric,
    configurations: &[ConfigurationRecord],
    replicates: &[Replicate],
) -> (Pool, Pool) {
    let params: BTreeMap<u32, u64> = configurations.iter().map(|row| (row.position, row.params)).collect();
    let mut values: BTreeMap<u32, BTreeMap<u64, f64>> = BTreeMap::new();
    for replicate in replicates {
        let converged = replicate.result.as_ref().is_some_and(|result| result.outcome == Outcome::Converged);
        let params = params.get(&replicate.configuration).copied().unwrap_or(0);
        if let Some(value) =
            reported(spec, replicate).filter(|_| converged).and_then(|epoch| metric.value(epoch, params))
        {
            values.entry(replicate.configuration).or_default().insert(replicate.seed, value);
        }
    }
    let baseline = configurations.iter().find(|row| row.baseline).and_then(|row| values.get(&row.position)).cloned();
    for (position, of_one) in &values {
        runs.add(&of_one.values().copied().collect::<Vec<_>>());
        let is_baseline = configurations.iter().any(|row| row.position == *position && row.baseline);
        if let Some(baseline) = baseline.as_ref().filter(|_| !is_baseline) {
            let paired = of_one.iter().filter_map(|(seed, value)| Some(value - baseline.get(seed)?));
            differences.add(&paired.collect::<Vec<_>>());
        }
    }
    (runs, differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_pooled_over_groups() {
        let mut pool = Pool::default();
        pool.add(&[1.0]);
        assert_eq!(pool.deviation(), None);
        pool.add(&[1.0, 3.0]);
        pool.add(&[10.0, 10.0, 10.0]);
        assert!((pool.deviation().unwrap() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
