//! Mistakes that a test can plant, to show that the simulation finds them. A release build cannot be made to
//! make one.

use crate::Scheduler;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Whatever attempt a worker speaks of, the live one is taken to be meant.
    UnfencedLease,
    /// A slot whose attempt was to be stopped is never free again.
    LeakedSlot,
    /// Attempts whose workers never come back after a restart are waited for for ever.
    ForgottenDeadline,
    /// An attempt that was given up goes on though another has begun.
    RevivedTooLate,
    /// The scheduler stops an attempt that its worker has handed in.
    StoppedThoughHandedIn,
    /// Another worker takes a name whose holder is alive.
    EvictedHolder,
    /// What is held back is started all the same.
    HoldIgnored,
    /// A trial succeeds, and the rest of its sweep stays held back.
    HeldBackForEver,
    /// What a declared pool could run fails because no connected worker can.
    PoolForgotten,
    /// A sweep of a low priority waits while any of a higher one does.
    Starvation,
    /// The first description of a data set pins it whatever others read.
    PinnedByOneWord,
    /// The first batch of a cancellation may leave nothing in the store.
    CancelForgotten,
}

impl Bug {
    /// Every mistake.
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
