//! Retry rules for failed attempts: by class of failure, whether and where an attempt is retried, how often, and after
//! which wait. A coordinator has rules for every class; a spec may change some of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::FailureClass;

/// The most failures of one round that a rule can allow.
pub const MAX_FAILURES: u32 = 100;

/// How often the wait before a retry doubles.
const MAX_DOUBLINGS: u32 = 6;

/// Where a failed attempt is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not at all: every machine would fail in the same way.
    Never,
    /// On another worker, while there is one on which it has not failed.
    Elsewhere,
    /// On a slot with more memory than the one that failed; like `Elsewhere` if the memory is unknown.
    LargerSlot,
}

impl Retry {
    /// Every place, for messages and tests.
    pub const ALL: [Self; 3] = [Self::Never, Self::Elsewhere, Self::LargerSlot];

    /// As specs and configurations write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Elsewhere => "elsewhere",
            Self::LargerSlot => "larger_slot",
        }
    }
}

/// The rule for failures of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub retry: Retry,
    /// Failures of one round, of any class, at which a failure of this class is the last.
    pub failures: u32,
    /// The wait before the second try, in milliseconds; it doubles with every further failure, a bounded number of times.
    pub backoff_ms: u64,
}

impl Rule {
    /// The wait before the next attempt after this many failures; `None` if there is no retry.
    pub fn wait_ms(&self, failures: u32) -> Option<u64> {
        if self.retry == Retry::Never || failures >= self.failures.min(MAX_FAILURES) {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        Some(self.backoff_ms.saturating_mul(1 << doublings))
    }
}

/// A change to the rule of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `Rule::retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// `Rule::failures`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// `Rule::backoff_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
}

/// Changes by class.
pub type Changes = BTreeMap<FailureClass, Change>;

/// A rule for every class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(BTreeMap<FailureClass, Rule>);

impl Rules {
    /// A spec's fault is never retried, too little memory on a larger slot, everything else elsewhere.
    pub fn new(failures: u32, backoff_ms: u64) -> Self {
        let retry = |class| match class {
            FailureClass::Spec => Retry::Never,
            FailureClass::OutOfMemory => Retry::LargerSlot,
            FailureClass::Data
            | FailureClass::DeviceUnavailable
            | FailureClass::DeviceLost
            | FailureClass::Trainer
            | FailureClass::Machine
            | FailureClass::Coordinator => Retry::Elsewhere,
        };
        Self(FailureClass::ALL.map(|class| (class, Rule { retry: retry(class), failures, backoff_ms })).into())
    }

    /// These, with `changes`.
    pub fn with(mut self, changes: &Changes) -> Self {
        for (class, change) in changes {
            let Some(rule) = self.0.get_mut(class) else { continue };
            rule.retry = change.retry.unwrap_or(rule.retry);
            rule.failures = change.failures.unwrap_or(rule.failures);
            rule.backoff_ms = change.backoff_ms.unwrap_or(rule.backoff_ms);
        }
        self
    }

    /// The rule for failures of `class`, with the changes applied.
    pub fn rule(&self, class: FailureClass, changes: &Changes) -> Rule {
        let unknown = Rule { retry: Retry::Never, failures: 1, backoff_ms: 0 };
        let rule = self.0.get(&class).copied().unwrap_or(unknown);
        let change = changes.get(&class).copied().unwrap_or_default();
        Rule {
            retry: change.retry.unwrap_or(rule.retry),
            failures: change.failures.unwrap_or(rule.failures),
            backoff_ms: change.backoff_ms.unwrap_or(rule.backoff_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let rule = Rule { retry: Retry::Elsewhere, failures: 3, backoff_ms: 100 };
        assert_eq!([1, 2, 3].map(|failures| rule.wait_ms(failures)), [Some(100), Some(200), None]);
        let patient = Rule { failures: u32::MAX, ..rule };
        assert_eq!(patient.wait_ms(99), Some(6_400), "a bounded number of times");
        assert_eq!(patient.wait_ms(MAX_FAILURES), None);
        assert_eq!(Rule { retry: Retry::Never, ..rule }.wait_ms(1), None);
    }

    #[test]
    fn changes_touch_what_they_name_and_nothing_else() {
        let changes: Changes = [(FailureClass::Data, Change { retry: Some(Retry::Never), ..Change::default() })].into();
        let rules = Rules::new(3, 100).with(&changes);
        assert_eq!(rules.rule(FailureClass::Data, &Changes::new()).failures, 3);
        assert_eq!(rules.rule(FailureClass::Data, &Changes::new()).retry, Retry::Never);
        let back =
            [(FailureClass::Data, Change { retry: Some(Retry::Elsewhere), failures: Some(9), backoff_ms: None })];
        assert_eq!(rules.rule(FailureClass::Data, &back.into()).wait_ms(8), Some(6_400));
        assert_eq!(rules.rule(FailureClass::Spec, &Changes::new()).retry, Retry::Never);
    }
}
