//! Predictions for single images, for pages: the same confusion matrices and hardest images as in a report.

use sweep_analysis::analyse::Request;
use sweep_report::single::{self, Matrix, Missed};
use sweep_report::{Material, Report};
use sweep_scheduler::SweepId;
use sweep_store::artifacts::Folder;

use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;

/// Confusion matrices by configuration.
#[derive(Debug)]
pub struct Confusions {
    /// The classes of the data.
    pub classes: Vec<String>,
    /// Position in the plan, label, and matrix of each configuration.
    pub matrices: Vec<(u32, String, Matrix)>,
}

/// The images that most configurations get wrong.
#[derive(Debug)]
pub struct Hardest {
    /// The classes of the data.
    pub classes: Vec<String>,
    /// `None` if trials were validated on different images, or none has predictions yet.
    pub missed: Option<Missed>,
    /// Sentences about missing data and the reasons.
    pub notes: Vec<String>,
}

impl Handle {
    /// The confusion matrices of the configurations at these positions; without any, that of the best one that has a
    /// matrix.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn confusions(&self, id: SweepId, positions: Vec<u32>) -> Result<Confusions, Error> {
        let analysed = self.analysed_soon(id, Request::default(), true).await?;
        blocking(move || {
            let material = Material::default();
            let report = Report { study: &analysed.study, analysis: &analysed.analysis, material: &material };
            let named = |position: u32| {
                let title = analysed.study.subject(position)?.title().to_owned();
                Some((position, title, single::matrix(&report, position)?))
            };
            let matrices = if positions.is_empty() {
                let order = analysed.analysis.standings.iter().map(|standing| standing.position);
                order.filter_map(named).take(1).collect()
            } else {
                positions.into_iter().filter_map(named).collect()
            };
            Ok(Confusions { classes: analysed.study.classes.clone(), matrices })
        })
        .await
    }

    /// The validation images that most configurations get wrong, at most `most`; `folder` has the pictures, if they are
    /// wanted.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn hardest(&self, id: SweepId, most: usize, folder: Option<&Folder>) -> Result<Hardest, Error> {
        let analysed = self.analysed_soon(id, Request::default(), true).await?;
        let mut material = Material::default();
        if let Some(folder) = folder {
            self.add_sheet(&analysed, &mut material, folder).await?;
        }
        blocking(move || {
            let report = Report { study: &analysed.study, analysis: &analysed.analysis, material: &material };
            let missed = single::missed(&report, most);
            let mut notes = std::mem::take(&mut material.left_out);
            if missed.is_none() && !analysed.study.validations.is_empty() {
                notes.push(
                    "The trials were validated on different images, so single images cannot be compared.".to_owned(),
                );
            }
            Ok(Hardest { classes: analysed.study.classes.clone(), missed, notes })
        })
        .await
    }
}
