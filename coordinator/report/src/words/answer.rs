//! The answer in sentences: the changes that help, by how much, at what cost, and with what certainty. Every sentence
//! follows from a verdict of the analysis.

use sweep_analysis::result::{Comparison, Standing, Verdict};
use sweep_analysis::study::{State, Subject};
use sweep_spec::spec::Goal;

use super::{capital, list, number, plural};
use crate::tables::leaderboard::title;
use crate::view::View;

/// The most changes with a sentence each; the tables have the rest.
const TOLD: usize = 8;
/// The most names in one sentence.
const LISTED: usize = 6;

#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The shortest form of the answer.
    pub(crate) lead: String,
    /// A sentence for each change that helps.
    pub(crate) helps: Vec<String>,
    /// A sentence for each change that hurts.
    pub(crate) hurts: Vec<String>,
    /// Further sentences that a reader should know.
    pub(crate) rest: Vec<String>,
}

pub(crate) fn answer(view: &View<'_>) -> Answer {
    let (mut helps, mut hurts) = (view.with(&Verdict::Helps), view.with(&Verdict::Hurts));
    largest_first(&mut helps);
    largest_first(&mut hurts);
    let told = |comparisons: &[&Comparison]| {
        let mut told: Vec<String> = comparisons.iter().take(TOLD).map(|comparison| change(view, comparison)).collect();
        if comparisons.len() > TOLD {
            told.push(format!("{} more are in the tables.", comparisons.len() - TOLD));
        }
        told
    };
    let mut rest = Vec::new();
    rest.extend(best(view));
    rest.extend(not_shown(view));
    rest.extend(after_selection(view));
    rest.extend(open(view));
    rest.extend(noise(view));
    rest.extend(is_it_real(view));
    rest.extend(unfinished(view));
    Answer { lead: lead(view, &helps, &hurts), helps: told(&helps), hurts: told(&hurts), rest }
}

fn largest_first(comparisons: &mut [&Comparison]) {
    let size = |comparison: &Comparison| comparison.delta.map_or(0.0, f64::abs);
    comparisons.sort_by(|a, b| size(b).total_cmp(&size(a)));
}

fn lead(view: &View<'_>, helps: &[&Comparison], hurts: &[&Comparison]) -> String {
    let all = view.analysis.comparisons.len();
    let changes = |count: usize| match count {
        0 => "none".to_owned(),
        count => number::count(count as u64),
    };
    match (all, helps) {
        (0, _) => "There are no comparisons yet.".to_owned(),
        (_, []) => format!(
            "No change was shown to help {}. Of {}, {} hurt; the rest showed no difference with this number of seeds.",
            title(view.analysis.metric),
            plural(all, "comparison"),
            changes(hurts.len()),
        ),
        (_, [most, ..]) => format!(
            "{} {} shown to help {}, most of all {}; {} {} shown to hurt.",
            capital(&format!("{} of {}", changes(helps.len()), plural(all, "change"))),
            if helps.len() == 1 { "was" } else { "were" },
            title(view.analysis.metric),
            view.change(most),
            changes(hurts.len()),
            if hurts.len() == 1 { "was" } else { "were" },
        ),
    }
}

/// One change: its size, its certainty and its cost.
fn change(view: &View<'_>, comparison: &Comparison) -> String {
    let delta = comparison.delta.unwrap_or(0.0);
    let direction = if delta < 0.0 { "lowers" } else { "raises" };
    let mut sentence = format!(
        "{} ({}) {direction} {} by {}",
        view.change(comparison),
        view.place(comparison),
        title(view.analysis.metric),
        view.unit.amount(delta.abs()),
    );
    let mut sure = Vec::new();
    if let Some(interval) = comparison.t_interval.or(comparison.bca_interval) {
        let (low, high) = if delta < 0.0 { (-interval.high, -interval.low) } else { (interval.low, interval.high) };
        sure.push(format!("95 % interval {}", view.unit.range(low, high)));
    }
    if let Some(p) = comparison.adjusted_p {
        sure.push(number::p_said(p));
    }
    if !comparison.pairs.is_empty() {
        sure.push(plural(comparison.pairs.len(), "pair"));
    }
    if !sure.is_empty() {
        sentence.push_str(&format!(" ({})", sure.join("; ")));
    }
    if let (Some(subject), Some(reference)) = (view.subject(comparison.position), view.subject(comparison.reference)) {
        sentence.push_str(&format!(", {}", cost(view, subject, reference)));
    }
    sentence.push('.');
    if !comparison.remark.is_empty() {
        sentence.push_str(&format!(" {}.", capital(comparison.remark.trim_end_matches('.'))));
    }
    sentence
}

/// `with 16 times the parameters (1,170,920 instead of 79,624) and 2.3 times the training time`.
fn cost(view: &View<'_>, subject: &Subject, reference: &Subject) -> String {
    let numbers = format!("({} instead of {})", number::count(subject.params), number::count(reference.params));
    let parameters = match (subject.params, reference.params) {
        (a, b) if a == b => "with the same number of parameters".to_owned(),
        (a, b) if b > 0 => format!("with {} {numbers}", number::times_of(a as f64 / b as f64, "parameters")),
        (a, _) => format!("with {} parameters", number::count(a)),
    };
    let time = |subject: &Subject| view.standing(subject.position)?.seconds.map(|seconds| seconds.mean);
    match (time(subject), time(reference)) {
        (Some(a), Some(b)) if b > 0.0 => format!("{parameters} and {}", number::times_of(a / b, "training time")),
        _ => parameters,
    }
}

fn best(view: &View<'_>) -> Option<String> {
    let subject = view.best()?;
    let standing = view.standing(subject.position)?;
    let value = view.unit.estimate(standing.value);
    let most = if view.analysis.goal == Goal::Maximize { "highest" } else { "lowest" };
    let mut sentence = format!(
        "The {most} mean {} is that of {}: {value}, with {} parameters.",
        title(view.analysis.metric),
        view.name(subject.position),
        number::count(subject.params),
    );
    let others: Vec<&Standing> = view
        .analysis
        .standings
        .iter()
        .filter(|other| other.rank == standing.rank && other.position != standing.position)
        .collect();
    if standing.rank.is_some() && !others.is_empty() {
        let verb = if others.len() == 1 { "shares" } else { "share" };
        sentence.push_str(&format!(
            " {} {verb} its rank: in pairwise tests, these seeds show no difference between them.",
            capital(&plural(others.len(), "other configuration")),
        ));
    }
    if let (Some(noise), Some(best)) = (&view.analysis.noise, standing.value) {
        let near =
            |other: &&Standing| other.value.is_some_and(|value| (value.mean - best.mean).abs() <= noise.half_width);
        let near = view.analysis.standings.iter().filter(near).filter_map(|other| view.subject(other.position));
        if let Some(smallest) = near.min_by_key(|other| other.params).filter(|other| other.params < subject.params) {
            sentence.push_str(&format!(
                " The smallest configuration within the noise floor of it is {}, with {} parameters.",
                view.name(smallest.position),
                number::count(smallest.params)
            ));
        }
    }
    Some(sentence)
}

fn names(view: &View<'_>, comparisons: &[&Comparison]) -> String {
    let mut names: Vec<String> = Vec::new();
    for comparison in comparisons {
        let name = view.change(comparison);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > LISTED {
        let more = names.len() - LISTED;
        names.truncate(LISTED);
        names.push(format!("{more} more"));
    }
    list(&names)
}

fn not_shown(view: &View<'_>) -> Option<String> {
    let comparisons = view.with(&Verdict::NoDifferenceShown);
    let least = comparisons.iter().filter_map(|comparison| comparison.more_seeds).min();
    let seeds = least.map_or_else(String::new, |seeds| {
        format!(
            " About {} would probably decide the comparison closest to significance.",
            plural(seeds as usize, "more seed")
        )
    });
    (!comparisons.is_empty()).then(|| {
        format!(
            "No difference was shown for {} ({}). This is not evidence that there is no difference.{seeds}",
            plural(comparisons.len(), "change"),
            names(view, &comparisons),
        )
    })
}

fn after_selection(view: &View<'_>) -> Option<String> {
    let comparisons = view.with(&Verdict::AfterSelection);
    (!comparisons.is_empty()).then(|| {
        format!(
            "{} compared with a winner on the replicates that selected it ({}). Such a comparison favours the winner \
             and is not valid without fresh seeds.",
            capital(&format!(
                "{} {}",
                plural(comparisons.len(), "change"),
                if comparisons.len() == 1 { "is" } else { "are" }
            )),
            names(view, &comparisons),
        )
    })
}

fn open(view: &View<'_>) -> Option<String> {
    let is_open = |comparison: &&Comparison| matches!(comparison.verdict, Verdict::Open(_));
    let comparisons: Vec<&Comparison> = view.analysis.comparisons.iter().filter(is_open).collect();
    (!comparisons.is_empty()).then(|| {
        format!(
            "No verdict is possible for {} ({}); the tables give the reasons.",
            plural(comparisons.len(), "change"),
            names(view, &comparisons)
        )
    })
}

fn noise(view: &View<'_>) -> Option<String> {
    let noise = view.analysis.noise.as_ref()?;
    Some(format!(
        "Noise floor: a baseline compared with itself under other seeds stays within ±{} in 95 of 100 comparisons over \
         {} (from {} of the baseline; one run’s standard deviation is {}).",
        view.unit.amount(noise.half_width),
        plural(noise.pairs as usize, "pair"),
        plural(noise.count as usize, "run"),
        view.unit.value(noise.standard_deviation),
    ))
}

fn is_it_real(view: &View<'_>) -> Option<String> {
    let tests = view.analysis.comparisons.iter().filter_map(|comparison| comparison.test).collect::<Vec<_>>();
    let kind = match (tests.iter().all(|test| test.exact), tests.is_empty()) {
        (_, true) => return None,
        (true, false) => "an exact",
        (false, false) => "a",
    };
    Some(format!(
        "Significance: each change was tested by {kind} sign-flip test of its paired differences, corrected by Holm \
         over {}. The probability of one or more false findings is at most {}.",
        plural(view.analysis.comparisons.len(), "comparison"),
        number::percent(view.analysis.alpha),
    ))
}

fn unfinished(view: &View<'_>) -> Option<String> {
    let all = || view.study.subjects.iter().flat_map(Subject::own);
    let left = all().filter(|replicate| matches!(replicate.state, State::Queued | State::Running)).count();
    (left > 0).then(|| {
        format!("{} of {} have not ended. This report covers the results so far.", left, plural(all().count(), "trial"))
    })
}
