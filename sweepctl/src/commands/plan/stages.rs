//! The notes of `plan` about single stages: design, starting point, number of points and excluded ones, aliases of a
//! fraction, and missing comparisons.

use serde::Serialize;
use sweep_spec::design::{Aliased, Design};
use sweep_spec::plan::{GroupSummary, LeftOut, Released};
use sweep_spec::spec::{Stage, Start};
use sweep_spec::{Configuration, Plan};

use sweep_shapes::text::{count, escape, plural};

/// Effects of more factors are not listed individually.
const LONGEST_SHOWN: usize = 3;
/// Products of more factors are not checked for aliases, because few effects of three factors matter.
const LONGEST_EFFECT: u32 = 2;

/// The notes about one stage.
pub(super) struct Said<'a> {
    pub(super) plan: &'a Plan,
    pub(super) released: &'a Released<'a>,
    pub(super) stage: &'a Stage,
    pub(super) index: usize,
    pub(super) numbers: &'a GroupSummary,
}

/// The same for programs.
#[derive(Debug, Default, Serialize)]
pub(super) struct StageShape {
    /// Differences of the starting point from the baseline; `None` while the stage waits.
    start: Option<String>,
    /// Whether the stage trains its starting point itself.
    trains_start: Option<bool>,
    /// Points that `where` excludes.
    excluded: u64,
    /// Of a fractional factorial design.
    resolution: Option<u32>,
    /// How the levels of a fraction's factors follow from those of others.
    generators: Vec<String>,
    /// Effects that the design cannot distinguish: sets of products of factors.
    aliases: Vec<Vec<String>>,
    warnings: Vec<String>,
}

impl Said<'_> {
    /// One line, with indented lines for notes.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head()];
        lines.extend(self.fraction());
        if let Some(left_out) = self.left_out() {
            lines.push(format!("  {left_out}"));
        }
        lines.extend(self.warnings().into_iter().map(|warning| format!("  warning: {warning}")));
        lines
    }

    pub(super) fn shape(&self) -> StageShape {
        let design = &self.stage.design;
        let baseline = &self.plan.spec().baseline;
        let set =
            |one: &Aliased| std::iter::once(&one.effect).chain(&one.with).map(ToString::to_string).collect::<Vec<_>>();
        StageShape {
            start: self.start().map(|start| start.difference(baseline).to_string()),
            trains_start: self.released.tries_start(self.index),
            excluded: self.numbers.excluded,
            resolution: design.fraction().map(|fraction| fraction.resolution()),
            generators: design.generators(),
            aliases: design.alias_structure(LONGEST_EFFECT).iter().map(set).collect(),
            warnings: self.warnings(),
        }
    }

    fn start(&self) -> Option<&Configuration> {
        self.released.start(self.index)
    }

    /// For example `width: vary filters 8, 16; from the baseline; 2 points`.
    fn head(&self) -> String {
        let numbers = self.numbers;
        let added = if self.stage.adds_start() { ", and the start for `keep`" } else { "" };
        let (name, description) = (escape(&self.stage.name), self.stage.design.description());
        let mut text = format!("{name}: {description}{added}; {}", self.origin());
        text.push_str(&format!("; {}", plural(numbers.points, "point")));
        if numbers.excluded > 0 {
            text.push_str(&format!(", {} more excluded by `where`", count(numbers.excluded)));
        }
        match numbers.merged {
            0 => {}
            1 if numbers.points == 1 => text.push_str(", which also occurs in an earlier stage"),
            1 => text.push_str(", of which 1 also occurs in an earlier stage"),
            merged => text.push_str(&format!(", of which {} also occur in an earlier stage", count(merged))),
        }
        text
    }

    /// `from the baseline`, or for example `from the levels kept by width: filters=16`.
    fn origin(&self) -> String {
        let spec = self.plan.spec();
        let from = match self.stage.from {
            Start::Baseline => "from the baseline".to_owned(),
            Start::Stage(from) => {
                let name = spec.stages.get(from).map(|stage| escape(&stage.name)).unwrap_or_default();
                format!("from the levels kept by {name}")
            }
        };
        let Some(start) = self.start() else { return from };
        let difference = start.difference(&spec.baseline).to_string();
        match (&self.stage.from, difference.as_str()) {
            (Start::Baseline, "baseline") => from,
            (Start::Stage(_), "baseline") => format!("{from}: the baseline"),
            (Start::Baseline, levels) => format!("{from} with {levels}"),
            (Start::Stage(_), levels) => format!("{from}: {levels}"),
        }
    }

    /// The generators of a fraction, and its aliases.
    fn fraction(&self) -> Vec<String> {
        let design = &self.stage.design;
        if design.fraction().is_none() {
            return Vec::new();
        }
        let whole = 1u64 << design.dimensions().len();
        let (points, generators) = (count(self.numbers.points), design.generators().join(", "));
        let mut lines = vec![format!("  {points} of {}, by {generators}", plural(whole, "combination"))];
        lines.extend(design.alias_structure(LONGEST_EFFECT).iter().map(|one| format!("  {}", aliased(one))));
        lines
    }

    fn left_out(&self) -> Option<String> {
        let first = self.released.left_out(self.index).next()?;
        let LeftOut { reason, .. } = first;
        Some(format!("{} cannot be built: {reason}", plural(self.numbers.left_out, "point")))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let Some(start) = self.start() else { return warnings };
        if self.released.tries_start(self.index) == Some(false) && !self.released.trains(start) {
            warnings.push(format!(
                "its starting point ({}) is not trained, so the stage has no comparisons: {}",
                start.difference(&self.plan.spec().baseline),
                advice(&self.stage.design),
            ));
        }
        warnings
    }
}

/// How to make a stage train its starting point.
fn advice(design: &Design) -> &'static str {
    use sweep_spec::design::Kind;
    match design.kind() {
        Kind::Vary => "list the starting level, or use `one_at_a_time`",
        Kind::Grid | Kind::Factorial => "list the starting levels, or add the point to `extra`",
        Kind::List => "add `{ name: start }`",
        Kind::OneAtATime | Kind::LeaveOneOut | Kind::AddOneIn | Kind::Pairwise => "`where` excludes it",
    }
}

/// For example `batch_norm is aliased with filters*max_pool, dropout*kernel_size, 6 products of more than 3 factors`.
fn aliased(one: &Aliased) -> String {
    let (shown, longer): (Vec<_>, Vec<_>) = one.with.iter().partition(|alias| alias.factors.len() <= LONGEST_SHOWN);
    let mut said: Vec<String> = shown.iter().map(ToString::to_string).collect();
    match longer.len() {
        0 => {}
        longer => said.push(format!("{} of more than {LONGEST_SHOWN} factors", plural(longer as u64, "product"))),
    }
    format!("{} is aliased with {}", one.effect, said.join(", "))
}
