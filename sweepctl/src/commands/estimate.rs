//! The estimates of `sweepctl plan`: detectable differences, time and cost. Time and cost need measurements from a
//! coordinator or from this machine's store.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::{EstimateRequest, EstimateResponse, Override};
use sweep_shapes::text::{bytes, count, duration, escape, plural};
use sweep_shapes::{Accuracy, Prediction};

use super::Context;
use crate::client::{self, Client};
use crate::coordinator::Coordinator;
use crate::cost::{self, Rate, about};
use crate::failure::Failure;
use crate::power::{NoiseShape, PowerShape};
use crate::study::Study;

/// Printed without a source of measurements.
const NO_SOURCE: &str = "time and detectable difference are not estimated: add --coordinator URL, or --local to use \
    the measurements in the local store";

/// The source of measurements.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Use the measurements in the local store of `submit --local`
    #[arg(long)]
    local: bool,
    /// With --local: database file [default: .sweep/sweep.db]
    #[arg(long, value_name = "PATH", requires = "local")]
    store: Option<PathBuf>,
}

/// The budget and the price.
#[derive(Debug, Clone, Args)]
pub(crate) struct Money {
    /// Limit of slot time, such as `20gpu-hours`, `12h` or `90min`, or of money, such as `50usd` with a price
    #[arg(long, value_name = "BUDGET")]
    budget: Option<String>,
    /// Price of one slot for one hour, such as `2.50usd`
    #[arg(long, value_name = "PRICE")]
    price_per_hour: Option<String>,
}

impl Money {
    /// As overrides of the spec, after the given ones.
    pub(crate) fn overrides(&self, given: &[(String, String)]) -> Vec<(String, String)> {
        let pair = |key: &str, value: &Option<String>| value.clone().map(|value| (key.to_owned(), value));
        let budget = pair("budget", &self.budget);
        given.iter().cloned().chain(budget).chain(pair("price_per_hour", &self.price_per_hour)).collect()
    }
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct CostShape {
    /// For trials without a known result, assuming that the starting points of later stages win. `None` without
    /// measurements.
    slot_seconds: Option<Prediction>,
    end_seconds: Option<Prediction>,
    slots: u32,
    /// Whether the slots are connected now; otherwise they are those of the last connected workers.
    connected: bool,
    on_gpus: bool,
    trials: u64,
    /// Those with a known result.
    known: u64,
    price_per_hour: Option<String>,
    budget: Option<String>,
    left_out_seeds: Vec<u64>,
    configurations: Vec<ConfigurationShape>,
    measured: Vec<MeasuredShape>,
    accuracy: Vec<Accuracy>,
    /// Possible problems of such a sweep, in sentences.
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ConfigurationShape {
    configuration: String,
    seconds: Option<Prediction>,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct MeasuredShape {
    device: String,
    trials: u64,
}

/// The estimates beside the plan.
pub(crate) struct Estimate {
    pub(crate) power: PowerShape,
    /// `None` without a source.
    pub(crate) cost: Option<CostShape>,
}

impl Estimate {
    /// Asks the named source. If it does not answer, prints a note and continues, because a plan needs no coordinator.
    pub(crate) async fn ask(
        context: &Context,
        source: &Source,
        study: &Study,
        overrides: &[(String, String)],
        trial_limit: Option<u64>,
    ) -> Self {
        let pair = |(key, value): &(String, String)| Override { key: key.clone(), value: value.clone() };
        let request = EstimateRequest {
            spec: study.text().to_vec().into(),
            overrides: overrides.iter().map(pair).collect(),
            trial_limit: trial_limit.unwrap_or(0),
        };
        let answer = match (source.local, &context.named) {
            (true, _) => here(context, source, request).await,
            (false, true) => there(&context.coordinator, request).await.map(Some),
            (false, false) => Ok(None),
        };
        let answer = answer.unwrap_or_else(|failure| {
            context.output.say(&format!("no estimate of time and noise: {failure}"));
            None
        });
        let noise = answer.as_ref().and_then(|answer| answer.noise).map(NoiseShape::from);
        let spec = study.plan.spec();
        let cost = answer.map(|answer| CostShape {
            price_per_hour: spec.price_per_hour.as_ref().map(ToString::to_string),
            budget: spec.budget.as_ref().map(ToString::to_string),
            ..CostShape::from(answer)
        });
        Self { power: PowerShape::of(&study.plan, noise), cost }
    }

    /// For people.
    pub(crate) fn lines(&self, study: &Study) -> Vec<String> {
        let metric = study.plan.spec().objective.metric.name();
        let mut lines = self.power.lines(metric, self.cost.is_some());
        let Some(cost) = &self.cost else {
            lines.push(NO_SOURCE.to_owned());
            return lines;
        };
        let rate = Rate { on_gpus: cost.on_gpus, price: study.plan.spec().price_per_hour.clone() };
        lines.extend(cost.lines(&rate));
        lines.extend(cost.warnings.iter().map(|warning| format!("warning: {}", escape(warning))));
        lines
    }
}

impl CostShape {
    fn lines(&self, rate: &Rate) -> Vec<String> {
        let Some(work) = &self.slot_seconds else {
            return vec!["time: not known, because no trial has been measured there yet".to_owned()];
        };
        let mut lines = Vec::new();
        if self.known > 0 && self.known == self.trials {
            return vec![format!(
                "time: none, because the results of all trials are known ({})",
                plural(self.trials, "trial")
            )];
        }
        let known = match self.known {
            0 => String::new(),
            1 => format!("; the result of 1 of {} is known", plural(self.trials, "trial")),
            known => format!("; the results of {} of {} are known", count(known), plural(self.trials, "trial")),
        };
        let slots = plural(self.slots.into(), if self.on_gpus { "GPU" } else { "slot" });
        let there = match (self.connected, self.slots) {
            (true, 1) => "that is connected",
            (true, _) => "that are connected",
            (false, 1) => "that was connected last",
            (false, _) => "that were connected last",
        };
        let end = self.end_seconds.as_ref().filter(|_| self.slots > 0);
        let end = end.map(|end| format!("; {} on the {slots} {there}", about(end, duration))).unwrap_or_default();
        lines.push(format!("time: {}{end}{known}", rate.span(work)));
        if rate.price.is_some() {
            lines.push(format!("money: {}", about(work, |seconds| rate.money(seconds).unwrap_or_default())));
        }
        if let Some(budget) = &self.budget {
            let left_out = cost::seeds(&self.left_out_seeds);
            let said = left_out.map_or("everything is expected to fit".to_owned(), |seeds| format!("{seeds} left out"));
            lines.push(format!("budget {}: {said}", escape(budget)));
        }
        let seconds = |one: &&ConfigurationShape| one.seconds.map_or(0.0, |seconds| seconds.expected);
        let longest = self.configurations.iter().max_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        if let Some((one, seconds)) = longest.and_then(|one| Some((one, one.seconds?))) {
            let memory = bytes(one.memory_bytes);
            let name = escape(&one.configuration);
            lines.push(format!("longest trial: {} and {memory}, {name}", about(&seconds, duration)));
        }
        let measured: Vec<String> = self
            .measured
            .iter()
            .map(|one| format!("{} on {}", plural(one.trials, "trial"), escape(&one.device)))
            .collect();
        lines.push(format!("estimated from {}; intervals cover 90 % of cases", measured.join(", ")));
        lines.extend(self.accuracy.iter().take(1).map(cost::accuracy));
        lines
    }
}

impl From<EstimateResponse> for CostShape {
    fn from(answer: EstimateResponse) -> Self {
        let configuration = |one: sweep_proto::v1::ConfigurationEstimate| ConfigurationShape {
            configuration: one.configuration,
            seconds: one.seconds.map(Prediction::from),
            memory_bytes: one.memory_bytes,
        };
        let measured = |one: sweep_proto::v1::Measured| MeasuredShape { device: one.device, trials: one.trials };
        Self {
            slot_seconds: answer.slot_seconds.map(Prediction::from),
            end_seconds: answer.end_seconds.map(Prediction::from),
            slots: answer.slots,
            connected: answer.connected,
            on_gpus: answer.on_gpus,
            trials: answer.trials,
            known: answer.known,
            price_per_hour: None,
            budget: None,
            left_out_seeds: answer.left_out_seeds,
            configurations: answer.configurations.into_iter().map(configuration).collect(),
            measured: answer.measured.into_iter().map(measured).collect(),
            accuracy: answer.accuracy.into_iter().map(Accuracy::from).collect(),
            warnings: answer.warnings,
        }
    }
}

async fn there(coordinator: &Coordinator, request: EstimateRequest) -> Result<EstimateResponse, Failure> {
    estimate(&mut client::connect(coordinator).await?, request).await
}

async fn estimate(client: &mut Client, request: EstimateRequest) -> Result<EstimateResponse, Failure> {
    Ok(client.estimate(request).await?.into_inner())
}

#[cfg(feature = "local")]
async fn here(
    context: &Context,
    source: &Source,
    request: EstimateRequest,
) -> Result<Option<EstimateResponse>, Failure> {
    let asked = crate::local::StoreQuery::open(source.store.as_deref(), context.output).await?;
    let Some(local) = asked else { return Ok(None) };
    let answer = match client::connect(&local.coordinator()).await {
        Ok(mut client) => estimate(&mut client, request).await,
        Err(failure) => Err(failure),
    };
    local.stop().await;
    answer.map(Some)
}

#[cfg(not(feature = "local"))]
async fn here(_: &Context, _: &Source, _: EstimateRequest) -> Result<Option<EstimateResponse>, Failure> {
    Err(Failure::usage("this sweepctl was built without `--local`").hint("name a coordinator instead"))
}
