//! What sweeps cost, as messages.

use sweep_analysis::cost::{Accuracy, Prediction};
use sweep_proto::v1;

use super::sweep::{MAX_OVERRIDES, MAX_SPEC_BYTES, Sweeps};
use crate::convert::{self, Invalid, MAX_NAME_BYTES, MAX_TEXT_BYTES};
use crate::engine::{Error, Noise, Outlook, Status, Submit};

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

fn outlook(outlook: Outlook) -> v1::EstimateResponse {
    let configuration = |(configuration, seconds, memory_bytes): (String, Prediction, u64)| v1::ConfigurationEstimate {
        configuration,
        seconds: Some(prediction(seconds)),
        memory_bytes,
    };
    let measured = |(device, trials): (String, usize)| v1::Measured { device, trials: trials as u64 };
    v1::EstimateResponse {
        slot_seconds: outlook.slot_seconds.map(prediction),
        end_seconds: outlook.end.map(prediction),
        slots: u32::try_from(outlook.slots).unwrap_or(u32::MAX),
        connected: outlook.connected,
        on_gpus: outlook.on_gpus,
        trials: outlook.trials,
        known: outlook.known,
        left_out_seeds: outlook.left_out_seeds,
        configurations: outlook.configurations.into_iter().map(configuration).collect(),
        measured: outlook.basis.into_iter().map(measured).collect(),
        accuracy: outlook.accuracy.iter().map(accuracy).collect(),
        noise: outlook.noise.map(noise),
    }
}

impl Sweeps {
    pub(super) async fn estimate_one(&self, request: v1::EstimateRequest) -> Result<v1::EstimateResponse, Error> {
        if request.spec.len() > MAX_SPEC_BYTES {
            let problem = format!("longer than {MAX_SPEC_BYTES} bytes");
            return Err(Invalid { field: "spec", problem }.into());
        }
        if request.overrides.len() > MAX_OVERRIDES {
            return Err(Invalid { field: "overrides", problem: format!("more than {MAX_OVERRIDES}") }.into());
        }
        let pair = |pair: v1::Override| {
            let key = convert::name("overrides.key", pair.key, MAX_NAME_BYTES)?;
            Ok((key, convert::name("overrides.value", pair.value, MAX_TEXT_BYTES)?))
        };
        let submit = Submit {
            spec: request.spec.to_vec(),
            overrides: request.overrides.into_iter().map(pair).collect::<Result<_, Invalid>>()?,
            trial_limit: request.trial_limit,
            ..Submit::default()
        };
        self.engine.estimate(submit).await.map(outlook)
    }
}
