//! Mistakes that a test can plant, to show that the simulation finds them. A release build cannot be made to
//! make one.

use crate::Scheduler;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A report about any attempt is applied to the live attempt.
    UnfencedLease,
    /// A slot whose attempt was to be stopped is never free again.
    LeakedSlot,
    /// Attempts whose workers do not come back after a restart never expire.
    ForgottenDeadline,
    /// An expired attempt continues although another attempt has begun.
    RevivedTooLate,
    /// The scheduler stops an attempt that its worker has handed in.
    StoppedThoughHandedIn,
    /// Another worker takes a name whose holder is alive.
    EvictedHolder,
    /// Trials that are held back start anyway.
    HoldIgnored,
    /// A trial succeeds, and the rest of its sweep stays held back.
    HeldBackForEver,
    /// Trials that fit a declared pool fail because they fit no connected worker.
    PoolForgotten,
    /// A sweep of a low priority waits while any of a higher one does.
    Starvation,
    /// The first description of a data set stays the pin although more workers report other content.
    PinnedByOneWord,
    /// The first batch of a cancellation may leave nothing in the store.
    CancelForgotten,
}

impl Bug {
    pub const ALL: [Self; 12] = [
        Self::UnfencedLease,
        Self::LeakedSlot,
        Self::ForgottenDeadline,
        Self::RevivedTooLate,
        Self::StoppedThoughHandedIn,
        Self::EvictedHolder,
        Self::HoldIgnored,
        Self::HeldBackForEver,
        Self::PoolForgotten,
        Self::Starvation,
        Self::PinnedByOneWord,
        Self::CancelForgotten,
    ];
}

impl Scheduler {
    /// From now on this scheduler makes this mistake.
    #[cfg(debug_assertions)]
    pub fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        cfg!(debug_assertions) && self.bug == Some(bug)
    }
}
