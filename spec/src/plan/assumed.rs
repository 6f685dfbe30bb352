//! The plan under the assumption that nothing changes, for sizes and costs that are shown before any decision.

use super::{Plan, Winner};

impl Plan {
    /// A winner for every stage that chooses one, as if its own starting point won. Any other may; this is a guess of sizes
    /// and not a bound.
    pub fn assumed_winners(&self) -> Vec<Winner> {
        let mut winners: Vec<Winner> = Vec::new();
        let decided = |stage: &usize| self.spec.stages.get(*stage).is_some_and(|stage| stage.keep.is_decided());
        for stage in self.order.iter().copied().filter(decided) {
            let start = self.released(&winners).start(stage).cloned();
            winners.extend(start.map(|configuration| Winner { stage, configuration }));
        }
        winners
    }
}
