//! Resolves a user's text to a configuration: by name, by what differs from the baseline, by rank on the leaderboard, or by
//! the id of one of its trials.

use crate::leaderboard::Leaderboard;
use crate::study::{Study, Subject};
use crate::title::Title;

/// The fewest digits of a trial's id that are taken as one.
const MIN_DIGITS: usize = 6;
/// The most candidates that an error lists.
const MAX_CANDIDATES: usize = 8;

/// No configuration, or more than one, has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} `{text}`; {}", list(.candidates, *.more))]
pub struct NotFound {
    pub text: String,
    pub problem: &'static str,
    /// Titles that the user may have meant.
    pub candidates: Vec<String>,
    /// How many configurations are not listed.
    pub more: usize,
}

fn list(candidates: &[String], more: usize) -> String {
    let names: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    match (names.is_empty(), more) {
        (true, _) => "the sweep has no configuration yet".to_owned(),
        (false, 0) => format!("the sweep has {}", names.join(", ")),
        (false, more) => format!("the sweep has {} and {more} more", names.join(", ")),
    }
}

fn title_of(subject: &Subject) -> Title<'_> {
    let Subject { position, name, label, baseline, .. } = subject;
    Title { position: *position, name, label, baseline: *baseline }
}

/// The position of the configuration that `text` means: `baseline`, a name, a label such as `filters=64 dropout=0.2` (in any
/// order), a rank such as `#1`, or at least six digits of a trial's id.
///
/// # Errors
/// No configuration matches, or several do.
pub fn resolve(study: &Study, board: &Leaderboard, text: &str) -> Result<u32, NotFound> {
    let text = text.trim();
    let titles: Vec<Title<'_>> = study.subjects.iter().map(title_of).collect();
    if let Some(place) = text.strip_prefix('#') {
        let row = place.parse().ok().and_then(|place: u32| board.rows.iter().find(|row| row.rank == Some(place)));
        let unknown = || not_found(&titles, text, "no configuration has the rank");
        return row.map(|row| row.position).ok_or_else(unknown);
    }
    if let Some(found) = by_title(&titles, text) {
        return found;
    }
    if let Some(digits) = trial_digits(text) {
        let has = |subject: &&Subject| subject.replicates.iter().any(|of| of.trial.to_string().starts_with(&digits));
        let found: Vec<Title<'_>> = study.subjects.iter().filter(has).map(title_of).take(MAX_CANDIDATES + 1).collect();
        if let Some(found) = one(&found, text) {
            return found;
        }
    }
    Err(unknown(&titles, text))
}

/// The configuration of this name or label, or the baseline; `None` if no title matches.
pub fn by_title(titles: &[Title<'_>], text: &str) -> Option<Result<u32, NotFound>> {
    let text = text.trim();
    let words = sorted(text);
    let by_name = |title: &&Title<'_>| title.name == text && !text.is_empty();
    let by_label = |title: &&Title<'_>| !words.is_empty() && sorted(title.label) == words;
    let few = |means: &dyn Fn(&&Title<'_>) -> bool| {
        let found: Vec<Title<'_>> =
            titles.iter().filter(|title| means(title)).take(MAX_CANDIDATES + 1).copied().collect();
        one(&found, text)
    };
    let baseline = || titles.iter().find(|title| text == "baseline" && title.baseline).map(|title| Ok(title.position));
    few(&by_name).or_else(|| few(&by_label)).or_else(baseline)
}

/// The digits of a trial's id that `text` may be, in lower case.
pub fn trial_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.len() >= MIN_DIGITS && text.chars().all(|digit| digit.is_ascii_hexdigit());
    digits.then(|| text.to_ascii_lowercase())
}

/// The error for a text that matches none of these titles.
pub fn unknown(titles: &[Title<'_>], text: &str) -> NotFound {
    not_found(titles, text.trim(), "no configuration is named")
}

/// The position of the only match; `None` without a match, an error with several.
pub fn one(found: &[Title<'_>], text: &str) -> Option<Result<u32, NotFound>> {
    match found {
        [] => None,
        [title] => Some(Ok(title.position)),
        several => {
            let candidates = several.iter().take(MAX_CANDIDATES).map(|title| title.text().to_owned()).collect();
            let problem = "several configurations are named";
            Some(Err(NotFound { text: text.to_owned(), problem, candidates, more: 0 }))
        }
    }
}

/// Candidates are ordered by the number of words that they share with the text.
fn not_found(titles: &[Title<'_>], text: &str, problem: &'static str) -> NotFound {
    let words = sorted(text);
    let shared = |title: &Title<'_>| {
        let own = sorted(title.text());
        words.iter().filter(|word| own.iter().any(|other| other.contains(*word) || word.contains(*other))).count()
    };
    let mut ordered: Vec<(usize, &Title<'_>)> = titles.iter().map(|title| (shared(title), title)).collect();
    ordered.sort_by_key(|(shared, title)| (std::cmp::Reverse(*shared), title.position));
    let candidates = ordered.iter().take(MAX_CANDIDATES).map(|(_, title)| title.text().to_owned()).collect();
    NotFound { text: text.to_owned(), problem, candidates, more: titles.len().saturating_sub(MAX_CANDIDATES) }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{replicates, spec, study, subject, trial};
    use crate::leaderboard::leaderboard;

    fn study_of_three() -> Study {
        let mut study = study(
            spec(""),
            vec![
                subject(0, 3, replicates(&[0.5])),
                subject(1, 2, replicates(&[0.6])),
                subject(2, 1, replicates(&[0.7])),
            ],
        );
        study.subjects[1].label = "filters=8 dropout=0.2".into();
        (study.subjects[2].name, study.subjects[2].label) = ("wide".into(), "filters=32".into());
        study
    }

    #[test]
    fn a_configuration_is_found_by_name_label_rank_and_trial() {
        let study = study_of_three();
        let board = leaderboard(&study, None);
        let find = |text: &str| resolve(&study, &board, text).unwrap();
        assert_eq!([find("baseline"), find("wide"), find("filters=32"), find("#1"), find("#3")], [0, 2, 2, 2, 0]);
        assert_eq!([find("filters=8 dropout=0.2"), find("dropout=0.2, filters=8")], [1, 1]);
        assert_eq!(find(&trial(1, 0).to_string()[..8].to_uppercase()), 1);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let study = study_of_three();
        let board = leaderboard(&study, None);
        let said = |text: &str| resolve(&study, &board, text).unwrap_err().to_string();
        assert_eq!(
            said("filters=8"),
            "no configuration is named `filters=8`; the sweep has `filters=8 dropout=0.2`, `baseline`, `wide`"
        );
        assert!(
            said("#9").starts_with("no configuration has the rank `#9`; the sweep has `baseline`"),
            "{}",
            said("#9")
        );
        assert!(said("").starts_with("no configuration is named ``"));
        assert!(said("abcdef012345").contains("no configuration is named"));
    }

    #[test]
    fn a_name_that_two_configurations_have_is_refused() {
        let mut study = study_of_three();
        study.subjects[1].name = "wide".into();
        let board = leaderboard(&study, None);
        let said = resolve(&study, &board, "wide").unwrap_err().to_string();
        assert_eq!(said, "several configurations are named `wide`; the sweep has `wide`, `wide`");
    }
}
