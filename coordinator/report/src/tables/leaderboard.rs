//! Every configuration, the best first.

use sweep_analysis::study::Subject;
use sweep_spec::spec::Metric;

use super::{Cell, Row, Table, Tone, name, number, text, verdict};
use crate::view::View;
use crate::words::number::{self as numbers, ABSENT, Unit};

/// Names of metrics in prose.
pub(crate) const fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::ValAccuracy => "validation accuracy",
        Metric::ValLoss => "validation loss",
        Metric::TrainAccuracy => "training accuracy",
        Metric::TrainLoss => "training loss",
        Metric::Ratio => "ratio of training accuracy to parameters",
    }
}

/// Names of metrics in the header of a column.
pub(crate) const fn short(metric: Metric) -> &'static str {
    match metric {
        Metric::ValAccuracy => "Val. accuracy",
        Metric::ValLoss => "Val. loss",
        Metric::TrainAccuracy => "Train accuracy",
        Metric::TrainLoss => "Train loss",
        Metric::Ratio => "Ratio",
    }
}

/// The metrics that are shown beside the objective.
const BESIDE: [Metric; 5] =
    [Metric::ValAccuracy, Metric::TrainAccuracy, Metric::ValLoss, Metric::TrainLoss, Metric::Ratio];

pub(crate) fn table(view: &View<'_>) -> Table {
    let judged = view.analysis.metric;
    let of_accuracy = |metric: &Metric| matches!(metric, Metric::TrainAccuracy | Metric::ValAccuracy);
    let (near, far): (Vec<Metric>, Vec<Metric>) =
        BESIDE.into_iter().filter(|metric| *metric != judged).partition(of_accuracy);
    let mut columns = vec![number("Rank"), name("Configuration"), number(short(judged)), text("Verdict")];
    columns.extend(near.iter().map(|metric| number(short(*metric))));
    columns.extend([number("Parameters"), number("Time"), number("n")]);
    columns.extend(far.iter().map(|metric| number(short(*metric)).wide()));
    columns.extend([number("FLOPs").wide(), number("On front").wide()]);
    let mut table = Table::new("All configurations, the best first", columns);
    for standing in &view.analysis.standings {
        let Some(subject) = view.subject(standing.position) else { continue };
        let rank = standing.rank.map_or_else(|| ABSENT.to_owned(), |rank| rank.to_string());
        let mut cells: Vec<Cell> = vec![rank.into(), view.name(subject.position).into()];
        cells.extend([view.unit.estimate(standing.value).into(), against_its_start(view, subject)]);
        let mean = |metric: &Metric| {
            let mean = view.estimate(subject, *metric).map(|estimate| estimate.mean);
            Cell::from(Unit::of(*metric).maybe(mean))
        };
        cells.extend(near.iter().map(mean));
        let time = standing.seconds.map_or_else(|| ABSENT.to_owned(), |time| numbers::seconds(time.mean));
        let count = standing.value.map_or(0, |value| value.count);
        cells.extend([numbers::count(subject.params).into(), time.into(), count.to_string().into()]);
        cells.extend(far.iter().map(mean));
        let front = front(standing.on_front, standing.front_share);
        cells.extend([numbers::si(subject.flops).into(), front.into()]);
        table.rows.push(Row { cells, reference: subject.baseline });
    }
    table.notes = notes(view);
    table
}

fn front(on_front: bool, share: Option<f64>) -> String {
    match (on_front, share) {
        (true, Some(share)) => format!("yes, {}", numbers::percent(share)),
        (true, None) => "yes".to_owned(),
        (false, Some(share)) => numbers::percent(share),
        (false, None) => "no".to_owned(),
    }
}

/// The verdict of its first comparison, which is that of the first stage it belongs to.
fn against_its_start(view: &View<'_>, subject: &Subject) -> Cell {
    if subject.baseline {
        return Cell { text: "baseline".to_owned(), tone: Tone::Quiet };
    }
    let found = view.analysis.comparisons.iter().find(|comparison| comparison.position == subject.position);
    found.map_or_else(|| Cell { text: ABSENT.to_owned(), tone: Tone::Quiet }, verdict)
}

fn notes(view: &View<'_>) -> Vec<String> {
    let metric = title(view.analysis.metric);
    vec![
        format!(
            "Ordered by mean {metric}, shown with its standard deviation over n seeds. Configurations without a \
             significant difference share a rank."
        ),
        "The verdict compares a configuration with the starting point of its stage. Time is the time of one trial. On \
         front: no other configuration is at least as good in accuracy, parameters, FLOPs and time and better in one; \
         the percentage is the share of bootstrap resamples in which this is true."
            .to_owned(),
        "Ratio is training accuracy ÷ (10 × parameters), a column of the reference study; it does not account for \
         overfitting."
            .to_owned(),
    ]
}
