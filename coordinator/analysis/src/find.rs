//! Which configuration somebody means: by its name, by what differs from the baseline, by its place on the leaderboard, or by
//! one of its trials.

use crate::leaderboard::Leaderboard;
use crate::study::{Study, Subject};

/// The fewest digits that name a trial.
const LEAST_DIGITS: usize = 6;
/// Candidates that are named.
const CANDIDATES: usize = 8;

/// Nothing, or more than one thing, of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} `{text}`; {}", tell(.candidates, *.more))]
pub struct NotFound {
    /// What was asked for.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What may have been meant.
    pub candidates: Vec<String>,
    /// How many there are beside these.
    pub more: usize,
}

fn tell(candidates: &[String], more: usize) -> String {
    let names: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    match (names.is_empty(), more) {
        (true, _) => "the sweep has no configuration yet".to_owned(),
        (false, 0) => format!("the sweep has {}", names.join(", ")),
        (false, more) => format!("the sweep has {} and {more} more", names.join(", ")),
    }
}

/// What a configuration is called.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    /// Its place in the plan.
    pub position: u32,
    /// Of an entry of `extra` or a hand-picked point, else empty.
    pub name: &'a str,
    /// What differs from the baseline.
    pub label: &'a str,
    /// It is the baseline.
    pub baseline: bool,
}

impl<'a> Title<'a> {
    fn of(subject: &'a Subject) -> Self {
        Self { position: subject.position, name: &subject.name, label: &subject.label, baseline: subject.baseline }
    }

    /// In one text.
    pub fn text(&self) -> &'a str {
        title(self.name, self.label)
    }
}

/// What a configuration is called, from its two texts: its name, or without one what differs from the baseline.
pub fn title<'a>(name: &'a str, label: &'a str) -> &'a str {
    if name.is_empty() { label } else { name }
}

/// The position of the configuration that `text` means: `baseline`, a name, a label such as `filters=64 dropout=0.2` (in any
/// order), a place such as `#1`, or at least six digits of a trial's id.
///
/// # Errors
/// It means nothing, or several.
pub fn find(study: &Study, board: &Leaderboard, text: &str) -> Result<u32, NotFound> {
    let text = text.trim();
    let titles: Vec<Title<'_>> = study.subjects.iter().map(Title::of).collect();
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
        let found: Vec<Title<'_>> = study.subjects.iter().filter(has).map(Title::of).take(CANDIDATES + 1).collect();
        if let Some(found) = one(&found, text) {
            return found;
        }
    }
    Err(unknown(&titles, text))
}

/// The one that is called so, if any is: by its name, by its label, or as the baseline.
pub fn by_title(titles: &[Title<'_>], text: &str) -> Option<Result<u32, NotFound>> {
    let text = text.trim();
    let words = sorted(text);
    let by_name = |title: &&Title<'_>| title.name == text && !text.is_empty();
    let by_label = |title: &&Title<'_>| !words.is_empty() && sorted(title.label) == words;
    let few = |means: &dyn Fn(&&Title<'_>) -> bool| {
        let found: Vec<Title<'_>> = titles.iter().filter(|title| means(title)).take(CANDIDATES + 1).copied().collect();
        one(&found, text)
    };
    let baseline = || titles.iter().find(|title| text == "baseline" && title.baseline).map(|title| Ok(title.position));
    few(&by_name).or_else(|| few(&by_label)).or_else(baseline)
}

/// The digits of a trial's id that `text` may be, in lower case.
pub fn trial_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.len() >= LEAST_DIGITS && text.chars().all(|digit| digit.is_ascii_hexdigit());
    digits.then(|| text.to_ascii_lowercase())
}

/// That no configuration of these is called so.
pub fn unknown(titles: &[Title<'_>], text: &str) -> NotFound {
    not_found(titles, text.trim(), "no configuration is named")
}

/// The one that is meant; nothing if none is.
pub fn one(found: &[Title<'_>], text: &str) -> Option<Result<u32, NotFound>> {
    match found {
        [] => None,
        [title] => Some(Ok(title.position)),
        several => {
            let candidates = several.iter().take(CANDIDATES).map(|title| title.text().to_owned()).collect();
            let problem = "several configurations are named";
            Some(Err(NotFound { text: text.to_owned(), problem, candidates, more: 0 }))
        }
    }
}

/// Those that have most of the words come first.
fn not_found(titles: &[Title<'_>], text: &str, problem: &'static str) -> NotFound {
    let words = sorted(text);
    let shared = |title: &Title<'_>| {
        let said = sorted(title.text());
        words.iter().filter(|word| said.iter().any(|other| other.contains(*word) || word.contains(*other))).count()
    };
    let mut ordered: Vec<(usize, &Title<'_>)> = titles.iter().map(|title| (shared(title), title)).collect();
    ordered.sort_by_key(|(shared, title)| (std::cmp::Reverse(*shared), title.position));
    let candidates = ordered.iter().take(CANDIDATES).map(|(_, title)| title.text().to_owned()).collect();
    NotFound { text: text.to_owned(), problem, candidates, more: titles.len().saturating_sub(CANDIDATES) }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_made::{replicates, spec, study, subject, trial};
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
    fn a_configuration_is_found_by_name_label_place_and_trial() {
        let study = study_of_three();
        let board = leaderboard(&study, None);
        let find = |text: &str| find(&study, &board, text).unwrap();
        assert_eq!([find("baseline"), find("wide"), find("filters=32"), find("#1"), find("#3")], [0, 2, 2, 2, 0]);
        assert_eq!([find("filters=8 dropout=0.2"), find("dropout=0.2, filters=8")], [1, 1]);
        assert_eq!(find(&trial(1, 0).to_string()[..8].to_uppercase()), 1);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let study = study_of_three();
        let board = leaderboard(&study, None);
        let said = |text: &str| find(&study, &board, text).unwrap_err().to_string();
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
    fn a_name_goes_before_what_differs() {
        assert_eq!([title("wide", "filters=32"), title("", "filters=32"), title("", "")], ["wide", "filters=32", ""]);
    }

    #[test]
    fn one_name_for_two_is_said_to_be_one() {
        let mut study = study_of_three();
        study.subjects[1].name = "wide".into();
        let board = leaderboard(&study, None);
        let said = find(&study, &board, "wide").unwrap_err().to_string();
        assert_eq!(said, "several configurations are named `wide`; the sweep has `wide`, `wide`");
    }
}
