//! Orders the stages so that each comes after the stage that it starts from, whatever their order in the spec, and
//! finds cycles that keep stages from ever starting.

use crate::spec::{Stage, Start};

/// The stages, each after the stage that it starts from, otherwise in the order of the spec. Stages in a cycle, and
/// stages after them, are left out; a checked spec has none.
pub(crate) fn order(stages: &[Stage]) -> Vec<usize> {
    let starts: Vec<Start> = stages.iter().map(|stage| stage.from).collect();
    order_of(&starts)
}

/// The same from the starts alone.
pub(crate) fn order_of(starts: &[Start]) -> Vec<usize> {
    let mut order = Vec::with_capacity(starts.len());
    let mut placed = vec![false; starts.len()];
    loop {
        let before = order.len();
        for (index, start) in starts.iter().enumerate() {
            let ready = match start {
                Start::Baseline => true,
                Start::Stage(from) => placed.get(*from) == Some(&true),
            };
            if ready && !placed[index] {
                placed[index] = true;
                order.push(index);
            }
        }
        if order.len() == before {
            return order;
        }
    }
}

/// Each circle of stages that start from each other, from its first stage in the spec on.
pub(crate) fn circles(starts: &[Start]) -> Vec<Vec<usize>> {
    let mut circles: Vec<Vec<usize>> = Vec::new();
    for first in 0..starts.len() {
        let mut path = vec![first];
        while let Some(Start::Stage(from)) = path.last().and_then(|last| starts.get(*last)) {
            if *from == first {
                if path.iter().min() == Some(&first) {
                    circles.push(path);
                }
                break;
            }
            if path.contains(from) {
                break;
            }
            path.push(*from);
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;
    use Start::{Baseline, Stage};

    #[test]
    fn every_stage_stands_behind_what_it_starts_from() {
        assert_eq!(order_of(&[Baseline, Stage(0), Stage(1)]), [0, 1, 2]);
        assert_eq!(order_of(&[Stage(2), Baseline, Stage(1), Stage(0)]), [1, 2, 0, 3]);
        assert_eq!(order_of(&[Stage(1), Stage(0), Baseline, Stage(0)]), [2]);
        assert!(order_of(&[]).is_empty());
    }

    #[test]
    fn circles_are_found_once() {
        let none: [Vec<usize>; 0] = [];
        assert_eq!(circles(&[Stage(2), Baseline, Stage(1)]), none);
        assert_eq!(circles(&[Stage(1), Stage(0), Stage(0)]), [vec![0, 1]]);
        assert_eq!(circles(&[Baseline, Stage(3), Stage(1), Stage(2), Stage(4)]), [vec![1, 3, 2], vec![4]]);
    }
}
