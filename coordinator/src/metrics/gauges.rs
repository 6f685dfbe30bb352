//! The gauges of one scrape, built from the state of the engine and the store.

use prometheus::Registry;

use super::definition as d;
use super::{Scrape, SweepGauges};
use crate::engine::{Gauges, ProgressGauges, Running};

pub(super) fn fill(registry: &Registry, scrape: &Scrape) -> Result<(), prometheus::Error> {
    let Scrape { leads, gauges, sweeps, .. } = scrape;
    d::gauge_vec(registry, &d::INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    d::gauge(registry, &d::LEADING)?.set(if *leads { 1.0 } else { 0.0 });
    fill_disks(registry, scrape)?;
    d::gauge(registry, &d::QUEUE_DEPTH)?.set(gauges.queue_depth as f64);
    let workers = d::gauge_vec(registry, &d::WORKERS)?;
    workers.with_label_values(&["connected"]).set(gauges.workers.0 as f64);
    workers.with_label_values(&["draining"]).set(gauges.workers.1 as f64);
    let slots = d::gauge_vec(registry, &d::SLOTS)?;
    slots.with_label_values(&["busy"]).set(gauges.slots.0 as f64);
    slots.with_label_values(&["free"]).set(gauges.slots.1 as f64);
    fill_pools(registry, gauges)?;
    fill_trials(registry, gauges)?;
    let spent = d::gauge_vec(registry, &d::SPENT)?;
    for (sweep, seconds) in &gauges.spent {
        spent.with_label_values(&[sweep.to_string().as_str()]).set(*seconds);
    }
    fill_paces(registry, &scrape.paces)?;
    fill_sweeps(registry, sweeps)?;
    fill_running(registry, &gauges.running)
}

fn fill_disks(registry: &Registry, scrape: &Scrape) -> Result<(), prometheus::Error> {
    if let Some(bytes) = scrape.store_bytes {
        d::gauge(registry, &d::STORE_BYTES)?.set(bytes as f64);
    }
    if let Some(deletions) = scrape.deletions {
        d::gauge(registry, &d::DELETIONS)?.set(deletions as f64);
    }
    let (free, all) = (d::gauge_vec(registry, &d::DISK_FREE)?, d::gauge_vec(registry, &d::DISK)?);
    for disk in &scrape.disks {
        free.with_label_values(&[disk.place]).set(disk.free as f64);
        all.with_label_values(&[disk.place]).set(disk.size as f64);
    }
    Ok(())
}

fn fill_pools(registry: &Registry, gauges: &Gauges) -> Result<(), prometheus::Error> {
    let queued = d::gauge_vec(registry, &d::POOL_QUEUED)?;
    let busy = d::gauge_vec(registry, &d::POOL_BUSY)?;
    let workers = d::gauge_vec(registry, &d::POOL_WORKERS)?;
    for pool in &gauges.pools {
        let name = [pool.name.0.as_str()];
        queued.with_label_values(&name).set(pool.queued_slots as f64);
        busy.with_label_values(&name).set(pool.busy_slots as f64);
        workers.with_label_values(&name).set(pool.workers as f64);
    }
    Ok(())
}

fn fill_paces(registry: &Registry, paces: &[ProgressGauges]) -> Result<(), prometheus::Error> {
    let progress = d::gauge_vec(registry, &d::PROGRESS_AT)?;
    let waits = d::gauge_vec(registry, &d::QUEUE_WAIT)?;
    let scheduling_paused = d::gauge_vec(registry, &d::SCHEDULING_PAUSED)?;
    let held_back = d::gauge_vec(registry, &d::HELD_BACK)?;
    let remaining = d::gauge_vec(registry, &d::REMAINING)?;
    for pace in paces {
        let sweep = pace.sweep.to_string();
        progress.with_label_values(&[&sweep]).set(pace.progress_at);
        waits.with_label_values(&[&sweep]).set(pace.waits_seconds);
        scheduling_paused.with_label_values(&[&sweep]).set(if pace.rests { 1.0 } else { 0.0 });
        held_back.with_label_values(&[&sweep]).set(pace.held_back as f64);
        let Some(end) = pace.remaining else { continue };
        for (bound, seconds) in [("low", end.low), ("expected", end.expected), ("high", end.high)] {
            remaining.with_label_values(&[sweep.as_str(), bound]).set(seconds);
        }
    }
    Ok(())
}

fn fill_trials(registry: &Registry, gauges: &Gauges) -> Result<(), prometheus::Error> {
    let trials = d::gauge_vec(registry, &d::TRIALS)?;
    let sum = |of: fn(&sweep_spec::TrialCounts) -> u64| gauges.sweeps.iter().map(|row| of(&row.2)).sum::<u64>();
    let states: [(&str, u64); 6] = [
        ("queued", sum(|counts| counts.queued)),
        ("running", sum(|counts| counts.running)),
        ("succeeded", sum(|counts| counts.succeeded - counts.diverged.min(counts.succeeded))),
        ("diverged", sum(|counts| counts.diverged)),
        ("failed", sum(|counts| counts.failed)),
        ("cancelled", sum(|counts| counts.cancelled)),
    ];
    for (state, count) in states {
        trials.with_label_values(&[state]).set(count as f64);
    }
    Ok(())
}

fn fill_sweeps(registry: &Registry, sweeps: &[SweepGauges]) -> Result<(), prometheus::Error> {
    let progress = d::gauge_vec(registry, &d::PROGRESS)?;
    let by_state = d::gauge_vec(registry, &d::TRIALS_BY_SWEEP)?;
    let best = d::gauge_vec(registry, &d::BEST)?;
    let values = d::gauge_vec(registry, &d::LEADERBOARD_VALUE)?;
    let params = d::gauge_vec(registry, &d::LEADERBOARD_PARAMS)?;
    for sweep in sweeps {
        let id = sweep.sweep.to_string();
        progress.with_label_values(&[id.as_str(), sweep.name.as_str()]).set(sweep.progress);
        for (state, count) in &sweep.trials {
            by_state.with_label_values(&[id.as_str(), state]).set(*count as f64);
        }
        for placed in &sweep.best {
            let rank = placed.rank.to_string();
            let labels = [id.as_str(), rank.as_str(), placed.label.as_str()];
            values.with_label_values(&labels).set(placed.value);
            params.with_label_values(&labels).set(placed.params as f64);
        }
        if let (Some(metric), Some(first)) = (sweep.objective, sweep.best.first()) {
            best.with_label_values(&[id.as_str(), metric.name()]).set(first.value);
        }
    }
    Ok(())
}

fn fill_running(registry: &Registry, running: &[Running]) -> Result<(), prometheus::Error> {
    let epoch = d::gauge_vec(registry, &d::RUNNING_EPOCH)?;
    let train_loss = d::gauge_vec(registry, &d::RUNNING_TRAIN_LOSS)?;
    let val_loss = d::gauge_vec(registry, &d::RUNNING_VAL_LOSS)?;
    let train_accuracy = d::gauge_vec(registry, &d::RUNNING_TRAIN_ACCURACY)?;
    let val_accuracy = d::gauge_vec(registry, &d::RUNNING_VAL_ACCURACY)?;
    let speed = d::gauge_vec(registry, &d::RUNNING_SPEED)?;
    for row in running {
        let (sweep, trial, slot) = (row.sweep.to_string(), row.lease.trial.short(), row.slot.to_string());
        let labels = [sweep.as_str(), trial.as_str(), row.worker.as_str(), slot.as_str()];
        epoch.with_label_values(&labels).set(row.newest.map_or(0.0, |newest| f64::from(newest.epoch)));
        let Some(newest) = row.newest else { continue };
        train_loss.with_label_values(&labels).set(newest.train_loss);
        val_loss.with_label_values(&labels).set(newest.val_loss);
        train_accuracy.with_label_values(&labels).set(newest.train_accuracy);
        val_accuracy.with_label_values(&labels).set(newest.val_accuracy);
        speed.with_label_values(&labels).set(newest.images_per_second);
    }
    Ok(())
}
