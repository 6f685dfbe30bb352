//! How findings read to people. One place, so that a table, a report and a message say the same.

use crate::number::{count, fixed, plural, probability};
use crate::result::{Comparison, McNemar, NoiseFloor, Verdict};

impl Verdict {
    /// In a word or three, for a table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::NoDifferenceShown => "no difference shown",
            Self::AfterSelection => "after selection",
            Self::Open(_) => "open",
        }
    }
}

impl Comparison {
    /// What it comes to, in a sentence without its end.
    pub fn sentence(&self) -> String {
        let word = self.verdict.word();
        match (&self.verdict, self.more_seeds) {
            (Verdict::Helps | Verdict::Hurts, _) => word.to_owned(),
            (Verdict::NoDifferenceShown, None) => word.to_owned(),
            (Verdict::NoDifferenceShown, Some(1)) => {
                format!("{word}: about 1 more seed would show a difference of this size")
            }
            (Verdict::NoDifferenceShown, Some(more)) => {
                format!("{word}: about {more} more seeds would show a difference of this size")
            }
            (Verdict::AfterSelection, _) => format!("{word}: only seeds that did not choose can say"),
            (Verdict::Open(reason), _) => format!("{word}: {reason}"),
        }
    }
}

impl McNemar {
    /// What it says, and of what.
    pub fn sentence(&self) -> String {
        format!(
            "under seed {}, only it got {} right, only the other {} (McNemar's exact test: p = {}); this speaks of this one pair \
             of trained networks and not of the method",
            self.seed,
            plural(self.gained.into(), "image"),
            count(self.lost.into()),
            probability(self.p)
        )
    }
}

impl NoiseFloor {
    /// What it says.
    pub fn sentence(&self) -> String {
        format!(
            "the baseline against itself: one run scatters by {} over {}, so a mean difference over {} stays within ± {} in 95 \
             of 100 such comparisons",
            fixed(self.standard_deviation, 4),
            plural(self.count as u64, "seed"),
            self.pairs,
            fixed(self.half_width, 4)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyse::{Request, compare};
    use crate::hand_made::{replicates, spec, study, subject};

    #[test]
    fn every_verdict_reads_as_a_sentence() {
        let values: Vec<f64> = (0..8).map(|seed| 0.5 + 0.01 * f64::from(seed)).collect();
        let shifted: Vec<f64> = values.iter().map(|value| value + 0.1).collect();
        let study = study(spec(""), vec![subject(0, 1, replicates(&values)), subject(1, 1, replicates(&shifted))]);
        let mut one = compare(&study, &Request::default(), 1, 0).unwrap().comparison;
        assert_eq!(one.sentence(), "helps");
        let mut said = |verdict: Verdict, more_seeds: Option<u32>| {
            (one.verdict, one.more_seeds) = (verdict, more_seeds);
            one.sentence()
        };
        let none = Verdict::NoDifferenceShown;
        assert_eq!(said(Verdict::Hurts, None), "hurts");
        assert_eq!(said(none.clone(), None), "no difference shown");
        assert_eq!(
            said(none.clone(), Some(1)),
            "no difference shown: about 1 more seed would show a difference of this size"
        );
        assert_eq!(said(none, Some(7)), "no difference shown: about 7 more seeds would show a difference of this size");
        assert_eq!(said(Verdict::AfterSelection, None), "after selection: only seeds that did not choose can say");
        assert_eq!(said(Verdict::Open("2 of 6 diverged".into()), None), "open: 2 of 6 diverged");
    }
}
