//! The report of a sweep: its analysis with curves, pictures and provenance from the store. The report lists everything
//! that was left out because of its size.

use std::collections::{BTreeMap, BTreeSet};

use sweep_analysis::analyse::Request;
use sweep_report::{Curve, Format, Material, Report, Sheet};
use sweep_scheduler::SweepId;
use sweep_store::artifacts::{self, Folder};
use sweep_store::codes::{ArtifactKind, SweepState};
use sweep_store::record::{AttemptKey, SweepRecord, TrialPage, TrialState};
use tokio::io::AsyncReadExt;

use crate::engine::blocking::blocking;
use crate::engine::cache::analyses::Analysed;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::unix_ms;

/// The most configurations of a report for people; larger sweeps have the table formats for programs.
const MOST_CONFIGURATIONS: usize = 2_000;
/// The most configurations with curves: the best, and the baseline.
const MOST_CURVES: usize = 60;
/// The most epochs that are read for curves, over all trials.
const MOST_POINTS: usize = 1_000_000;
/// The largest sheet of pictures that is read, in bytes: it has room for ten thousand images of 64×64.
const MOST_SHEET_BYTES: u64 = 128 * 1024 * 1024;
/// The number of trials that are read at a time.
const PAGE: u32 = 1_000;

/// Pictures per row of a sheet, as trainers arrange them.
const SHEET_COLUMNS: u32 = 32;

impl Handle {
    /// The report of a sweep as bytes. `folder` has the artifacts.
    ///
    /// # Errors
    /// There is no such sweep, it is too large for the format, or the store failed.
    pub async fn document(
        &self,
        id: SweepId,
        request: Request,
        format: Format,
        folder: &Folder,
    ) -> Result<Vec<u8>, Error> {
        let for_people = !matches!(format, Format::Csv | Format::Parquet);
        if for_people {
            let count = self.store.configuration_titles(id).await?.len();
            if count > MOST_CONFIGURATIONS {
                let what = format!(
                    "a report in this format can have at most {MOST_CONFIGURATIONS} configurations, but this sweep has \
                    {count}: use csv or parquet"
                );
                return Err(Error::TooMany { what });
            }
        }
        let analysed = self.analysed(id, request, for_people).await?;
        let mut material = material(&analysed);
        if format == Format::Html {
            self.add_curves(&analysed, &mut material).await?;
            self.add_sheet(&analysed, &mut material, folder).await?;
        }
        blocking(move || {
            let report = Report { study: &analysed.study, analysis: &analysed.analysis, material: &material };
            report.render(format).map_err(|error| Error::Internal(crate::chain(&error)))
        })
        .await
    }

    /// The material for pages with single images: submitter, times, and pictures.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pictured(&self, analysed: &Analysed, folder: &Folder) -> Result<Material, Error> {
        let mut material = material(analysed);
        self.add_sheet(analysed, &mut material, folder).await?;
        Ok(material)
    }

    async fn add_curves(&self, analysed: &Analysed, material: &mut Material) -> Result<(), Error> {
        let wanted = wanted(analysed);
        let all = analysed.study.subjects.len();
        if wanted.len() < all {
            let left = all - wanted.len();
            let best = wanted.len();
            material.left_out.push(format!("Learning curves are drawn for the best {best} only; {left} are left out."));
        }
        let keys = self.attempts_of(analysed.record.id, &wanted).await?;
        let mut read = 0;
        for ((position, seed), key) in &keys {
            if read >= MOST_POINTS {
                material
                    .left_out
                    .push(format!("Learning curves are drawn up to a total of {MOST_POINTS} epochs over all trials."));
                break;
            }
            let points = self.store.points(*key).await?;
            read += points.len();
            let epochs = points.into_iter().map(|point| point.metrics).collect();
            material.curves.push(Curve { position: *position, seed: *seed, epochs });
        }
        Ok(())
    }

    /// The newest attempt of each succeeded trial.
    async fn attempts_of(
        &self,
        sweep: SweepId,
        wanted: &BTreeSet<u32>,
    ) -> Result<BTreeMap<(u32, u64), AttemptKey>, Error> {
        let mut keys = BTreeMap::new();
        let mut page = TrialPage { states: vec![TrialState::Succeeded], ..TrialPage::first(sweep, PAGE) };
        loop {
            let rows = self.store.trials(&page).await?;
            let Some(last) = rows.last() else { return Ok(keys) };
            page.after = Some((last.configuration, last.seed));
            let full = rows.len() == PAGE as usize;
            for row in rows.into_iter().filter(|row| wanted.contains(&row.configuration)) {
                keys.extend(row.newest.map(|(_, key)| ((row.configuration, row.seed), key)));
            }
            if !full {
                return Ok(keys);
            }
        }
    }

    /// Adds the pictures. They are optional: without a valid sheet the report has none, and mentions it.
    pub(super) async fn add_sheet(
        &self,
        analysed: &Analysed,
        material: &mut Material,
        folder: &Folder,
    ) -> Result<(), Error> {
        let found = self.store.artifacts(analysed.record.id).await?;
        let is_sheet = |artifact: &&sweep_store::record::ArtifactRecord| {
            artifact.kind == ArtifactKind::Thumbnails && artifact.data_digest == analysed.record.pin
        };
        let Some(sheet) = found.iter().find(is_sheet) else { return Ok(()) };
        if sheet.size_bytes > MOST_SHEET_BYTES {
            material.left_out.push("The sheet of validation images is too large for the report.".to_owned());
            return Ok(());
        }
        match self.sheet(folder, sheet.digest).await {
            Ok(png) => material.sheet = Some(Sheet { png, columns: SHEET_COLUMNS }),
            Err(error) => {
                tracing::warn!(error = %crate::chain(&error), "the pictures of a report cannot be read");
                material
                    .left_out
                    .push("The coordinator could not read the pictures of the validation images.".to_owned());
            }
        }
        Ok(())
    }

    async fn sheet(&self, folder: &Folder, digest: sweep_spec::Digest) -> Result<Vec<u8>, Error> {
        let file = folder.read(digest).await?;
        let mut png = Vec::new();
        let read = file.take(MOST_SHEET_BYTES).read_to_end(&mut png).await;
        read.map_err(|error| Error::Internal(error.to_string()))?;
        if sweep_spec::Digest::of(&png) == digest { Ok(png) } else { Err(artifacts::damaged(digest).into()) }
    }
}

/// The best configurations, and the baseline.
fn wanted(analysed: &Analysed) -> BTreeSet<u32> {
    let best = analysed.analysis.standings.iter().take(MOST_CURVES).map(|standing| standing.position);
    best.chain(analysed.study.baseline().map(|baseline| baseline.position)).collect()
}

/// Submitter and times, without curves and pictures.
pub(crate) fn material(analysed: &Analysed) -> Material {
    let record: &SweepRecord = &analysed.record;
    let state = match record.state {
        SweepState::Preparing | SweepState::Running => "running",
        SweepState::Succeeded => "succeeded",
        SweepState::Failed => "failed",
        SweepState::Cancelled => "cancelled",
    };
    Material {
        sweep: record.id.0,
        name: record.name.clone(),
        state: state.to_owned(),
        submitter: record.submitter.clone(),
        submitted_ms: record.submitted_ms,
        ended_ms: (record.ended_ms > 0).then_some(record.ended_ms),
        made_ms: unix_ms(),
        made_by: format!("Sweep {}", env!("CARGO_PKG_VERSION")),
        spec: String::from_utf8_lossy(&analysed.spec).into_owned(),
        overrides: record.overrides.clone(),
        spec_digest: record.spec_digest.to_string(),
        ..Material::default()
    }
}
