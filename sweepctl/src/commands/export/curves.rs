//! Reads the curve of each trial of a sweep with the trial's metadata, for exports to other programs.

use std::collections::BTreeMap;
use std::time::Duration;

use sweep_proto::v1::{ExportPointsRequest, GetTrialRequest, TrialPoint};
use sweep_shapes::text::hex;
use sweep_shapes::{Detail, Metrics, Summary};

use crate::client::{self, Client};
use crate::failure::Failure;
use crate::trial_pages::Trials;

/// A trial, with the epochs of the attempt that counts for the sweep.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) trial: Summary,
    /// 0 if none has begun.
    pub(super) attempt: u32,
    /// When the attempt was assigned; 0 if unknown.
    pub(super) begun_unix_ms: i64,
    pub(super) ended_unix_ms: Option<i64>,
    pub(super) points: Vec<Metrics>,
}

impl Curve {
    /// When each epoch ended, since 1970: computed from the assignment, so that a second export gives the same values.
    pub(super) fn ends(&self) -> Vec<Duration> {
        let mut at = Duration::from_millis(self.begun_unix_ms.try_into().unwrap_or(0));
        let add = |point: &Metrics| {
            let took = Duration::try_from_secs_f64(point.seconds).unwrap_or_default();
            at = at.checked_add(took).unwrap_or(at);
            at
        };
        self.points.iter().map(add).collect()
    }

    /// Whether it is complete.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.trial.state, "succeeded" | "failed" | "cancelled")
    }

    /// The first twelve digits of the id, enough for a name.
    pub(super) fn short_id(&self) -> &str {
        self.trial.trial_id.get(..12).unwrap_or(&self.trial.trial_id)
    }
}

/// Passes every trial that has begun to `take`, in the order of the sweep, those without an epoch last. Memory contains
/// one curve and all summaries. Returns how many have not begun.
pub(super) async fn for_each(
    client: &mut Client,
    sweep: &str,
    mut take: impl AsyncFnMut(Curve) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut known = known(client, sweep).await?;
    let request = ExportPointsRequest { sweep: client::reference(sweep) };
    let mut stream = client.export_points(request).await?.into_inner();
    let mut gathered = Gathered::default();
    while let Some(answer) = stream.message().await? {
        for point in answer.points {
            if let Some(whole) = gathered.push(point)? {
                take(whole.describe(client, &mut known).await?).await?;
            }
        }
    }
    if let Some(whole) = gathered.last() {
        take(whole.describe(client, &mut known).await?).await?;
    }
    let mut not_begun = 0;
    for id in known.keys().cloned().collect::<Vec<_>>() {
        match known.get(&id) {
            Some(trial) if trial.attempts > 0 => {
                let without = Epochs { id, attempt: None, points: Vec::new() };
                take(without.describe(client, &mut known).await?).await?;
            }
            _ => not_begun += 1,
        }
    }
    Ok(not_begun)
}

/// The sweep's trials without their settings, which are fetched one by one.
type Known = BTreeMap<String, Summary>;

async fn known(client: &mut Client, sweep: &str) -> Result<Known, Failure> {
    let mut known = Known::new();
    let mut trials = Trials::all(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            let light = Summary { settings: Default::default(), provenance: None, ..trial };
            known.insert(light.trial_id.clone(), light);
        }
    }
    Ok(known)
}

#[derive(Debug)]
struct Epochs {
    id: String,
    attempt: Option<u32>,
    points: Vec<Metrics>,
}

impl Epochs {
    async fn describe(self, client: &mut Client, known: &mut Known) -> Result<Curve, Failure> {
        let grew = || Failure::failed("the sweep grew during the export").hint("export it again");
        let trial = known.remove(&self.id).ok_or_else(grew)?;
        let detail: Detail = client.get_trial(GetTrialRequest { trial: self.id }).await?.into_inner().into();
        let attempt = self.attempt.or_else(|| detail.attempt_records.last().map(|record| record.attempt)).unwrap_or(0);
        let record = detail.attempt_records.iter().find(|record| record.attempt == attempt);
        Ok(Curve {
            attempt,
            begun_unix_ms: record.map_or(0, |record| record.assigned_unix_ms),
            ended_unix_ms: record.and_then(|record| record.ended_unix_ms),
            points: self.points,
            trial: Summary { settings: detail.trial.settings, provenance: detail.trial.provenance, ..trial },
        })
    }
}

/// Collects consecutive points of the same trial.
#[derive(Debug, Default)]
struct Gathered(Option<Epochs>);

impl Gathered {
    /// Returns the previous trial's epochs when another one begins.
    fn push(&mut self, point: TrialPoint) -> Result<Option<Epochs>, Failure> {
        let id = hex(&point.trial_id);
        let metrics = sweep_shapes::expect(point.metrics, "metrics")?.into();
        match &mut self.0 {
            Some(open) if open.id == id => {
                open.points.push(metrics);
                Ok(None)
            }
            _ => Ok(self.0.replace(Epochs { id, attempt: Some(point.attempt), points: vec![metrics] })),
        }
    }

    fn last(&mut self) -> Option<Epochs> {
        self.0.take()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sweep_proto::v1::{EpochMetrics, TrialSummary};

    use super::*;

    /// A curve whose epochs take half a second each.
    pub(in super::super) fn curve(label: &str, epochs: u32) -> Curve {
        let epoch =
            |epoch| EpochMetrics { epoch, seconds: 0.5, val_loss: 1.0 / f64::from(epoch), ..Default::default() };
        let summary = TrialSummary {
            trial_id: vec![0xab; 32].into(),
            configuration: label.to_owned(),
            seed: 7,
            ..Default::default()
        };
        Curve {
            trial: summary.into(),
            attempt: 2,
            begun_unix_ms: 10_000,
            ended_unix_ms: None,
            points: (1..=epochs).map(|number| epoch(number).into()).collect(),
        }
    }

    #[test]
    fn an_epoch_ends_where_the_ones_before_it_and_its_own_seconds_lead() {
        let mut curve = curve("a", 3);
        let seconds = |curve: &Curve| curve.ends().iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        assert_eq!(seconds(&curve), [10.5, 11.0, 11.5]);
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            curve.points[1].seconds = wrong;
            assert_eq!(seconds(&curve), [10.5, 10.5, 11.0], "{wrong} seconds count for none");
        }
        curve.begun_unix_ms = -5;
        assert_eq!(seconds(&curve)[0], 0.5);
    }

    #[test]
    fn points_are_gathered_trial_by_trial() {
        let point = |trial: u8, epoch| TrialPoint {
            trial_id: vec![trial; 32].into(),
            attempt: 1,
            metrics: Some(EpochMetrics { epoch, ..Default::default() }),
        };
        let mut gathered = Gathered::default();
        let mut whole = Vec::new();
        for point in [point(1, 1), point(1, 2), point(2, 1), point(3, 1), point(3, 2)] {
            whole.extend(gathered.push(point).unwrap());
        }
        whole.extend(gathered.last());
        let counts: Vec<usize> = whole.iter().map(|epochs| epochs.points.len()).collect();
        assert_eq!(counts, [2, 1, 2]);
        assert!(gathered.push(TrialPoint { metrics: None, ..point(1, 1) }).is_err());
    }
}
