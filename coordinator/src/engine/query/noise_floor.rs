//! The noise of results, measured on earlier sweeps with the same data and protocol. It decides how many seeds a comparison
//! needs.

use std::collections::BTreeMap;

use sweep_scheduler::SweepId;
use sweep_spec::Plan;
use sweep_spec::spec::Metric;
use sweep_store::record::SweepPage;

use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::query::study::reported;
use crate::engine::stored_plan::{self, dataset_key};

/// The most sweeps that are examined, the newest first, and the most that are used.
const LOOKED_AT: u32 = 200;
const COUNTED: usize = 20;

/// The spread of one metric over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Standard deviation of one run.
    pub of_runs: f64,
    /// Its degrees of freedom.
    pub runs: u32,
    /// Standard deviation of the difference of two configurations under one seed.
    pub of_differences: Option<f64>,
    /// Its degrees of freedom.
    pub differences: u32,
    /// The number of sweeps behind these values.
    pub sweeps: u32,
}

/// Pooled squared deviations from the means.
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
    /// The noise in earlier sweeps with the same data and protocol; `None` if there are none.
    pub(crate) async fn noise(&self, plan: &Plan) -> Result<Option<Noise>, Error> {
        let spec = plan.spec();
        let metric = spec.objective.metric;
        let (mut runs, mut differences, mut sweeps) = (Pool::default(), Pool::default(), 0);
        let dataset = dataset_key(&plan.trial(&spec.baseline, 0))?;
        let records = self.store.sweeps(&SweepPage::newest(LOOKED_AT)).await?;
        for record in records.into_iter().filter(|record| record.dataset_key == dataset) {
            if sweeps >= COUNTED {
                break;
            }
            // Bypasses the cache of plans, which is for the sweeps that users query.
            let Some(text) = self.store.spec(record.id).await? else { continue };
            let Ok(earlier) = blocking(move || stored_plan::read(&record, &text).map(|plan| (record, plan))).await
            else {
                continue;
            };
            let (record, earlier) = earlier;
            if earlier.spec().dataset != spec.dataset || earlier.spec().protocol != spec.protocol {
                continue;
            }
            let values = self.scattered(&earlier, record.id, metric).await?;
            let before = runs.freedom;
            (runs, differences) = gather((runs, differences), &values);
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

/// Results of a sweep's configurations by position and seed, and the position of the baseline.
struct Scattered {
    values: BTreeMap<u32, BTreeMap<u64, f64>>,
    baseline: Option<u32>,
}

impl Handle {
    async fn scattered(&self, plan: &Plan, sweep: SweepId, metric: Metric) -> Result<Scattered, Error> {
        let titles = self.store.configuration_titles(sweep).await?;
        let baseline = titles.iter().find(|title| title.baseline).map(|title| title.position);
        let mut values: BTreeMap<u32, BTreeMap<u64, f64>> = BTreeMap::new();
        let mut rows = self.rows(sweep).await?;
        while let Some(row) = rows.next().await? {
            let value = reported(plan.spec(), &row).and_then(|epoch| metric.value(epoch, row.params));
            if let Some(value) = value {
                values.entry(row.configuration).or_default().insert(row.seed, value);
            }
        }
        Ok(Scattered { values, baseline })
    }
}

fn gather((mut runs, mut differences): (Pool, Pool), found: &Scattered) -> (Pool, Pool) {
    let baseline = found.baseline.and_then(|position| found.values.get(&position));
    for (position, of_one) in &found.values {
        runs.add(&of_one.values().copied().collect::<Vec<_>>());
        let is_baseline = found.baseline == Some(*position);
        if let Some(baseline) = baseline.filter(|_| !is_baseline) {
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
