//! Messages about the cost of sweeps.

use sweep_analysis::cost::{Accuracy, Prediction};
use sweep_proto::v1;

use crate::engine::{Noise, PlanCost, Status};

fn prediction(prediction: Prediction) -> v1::Prediction {
    let Prediction { expected, low, high } = prediction;
    v1::Prediction { expected, low, high }
}

fn accuracy(accuracy: &Accuracy) -> v1::PredictionAccuracy {
    v1::PredictionAccuracy {
        device: accuracy.device.clone(),
        trials: accuracy.trials,
        median: accuracy.median,
        worst: accuracy.worst,
        within: accuracy.within,
    }
}

pub(super) fn cost(status: &Status) -> v1::Cost {
    let cost = &status.cost;
    v1::Cost {
        spent_slot_seconds: cost.spent_seconds,
        left_slot_seconds: cost.left.map(prediction),
        end_seconds: cost.end.map(prediction),
        price_per_hour: status.price_per_hour.as_ref().map(ToString::to_string).unwrap_or_default(),
        budget: status.budget.as_ref().map(ToString::to_string).unwrap_or_default(),
        budget_slot_seconds: cost.budget_seconds,
        left_out_seeds: status.left_out_seeds.clone(),
        left_out_trials: cost.left_out,
        on_gpus: cost.on_gpus,
        accuracy: status.accuracy.iter().map(accuracy).collect(),
    }
}

fn noise(noise: Noise) -> v1::Noise {
    v1::Noise {
        of_runs: noise.of_runs,
        runs: noise.runs,
        of_differences: noise.of_differences,
        differences: noise.differences,
        sweeps: noise.sweeps,
    }
}

pub(super) fn plan_cost(cost: PlanCost) -> v1::EstimateResponse {
    let configuration = |(configuration, seconds, memory_bytes): (String, Prediction, u64)| v1::ConfigurationEstimate {
        configuration,
        seconds: Some(prediction(seconds)),
        memory_bytes,
    };
    let measured = |(device, trials): (String, usize)| v1::Measured { device, trials: trials as u64 };
    v1::EstimateResponse {
        slot_seconds: cost.slot_seconds.map(prediction),
        end_seconds: cost.end.map(prediction),
        slots: u32::try_from(cost.slots).unwrap_or(u32::MAX),
        connected: cost.connected,
        on_gpus: cost.on_gpus,
        trials: cost.trials,
        known: cost.known,
        left_out_seeds: cost.left_out_seeds,
        configurations: cost.configurations.into_iter().map(configuration).collect(),
        measured: cost.basis.into_iter().map(measured).collect(),
        accuracy: cost.accuracy.iter().map(accuracy).collect(),
        noise: cost.noise.map(noise),
        warnings: Vec::new(),
    }
}
