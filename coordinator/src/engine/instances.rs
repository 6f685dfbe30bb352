//! Which process of a worker registered last under each name, so that two machines of one name are told apart from one
//! machine that came back.

use std::collections::{HashMap, VecDeque};

/// Processes of one name that are remembered as replaced.
const MAX_REPLACED: usize = 16;
/// Names that are remembered.
const MAX_NAMES: usize = 100_000;

#[derive(Debug, Default)]
struct Known {
    current: u64,
    replaced: VecDeque<u64>,
}

/// The processes behind the names.
#[derive(Debug, Default)]
pub(crate) struct Instances(HashMap<String, Known>);

impl Instances {
    /// A process registers: whether it is another than the one before; `None` if another has replaced it already, and so
    /// two of one name are alive. A process that does not say who it is, as 0, is taken as a new one.
    pub(crate) fn take(&mut self, worker: &str, instance: u64) -> Option<bool> {
        if instance == 0 {
            return Some(true);
        }
        if !self.0.contains_key(worker) && self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        let known = self.0.entry(worker.to_owned()).or_default();
        if known.current == instance {
            return Some(false);
        }
        if known.replaced.contains(&instance) {
            return None;
        }
        if known.current != 0 {
            known.replaced.push_back(known.current);
            if known.replaced.len() > MAX_REPLACED {
                known.replaced.pop_front();
            }
        }
        known.current = instance;
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_replaced_is_refused_and_one_that_comes_back_is_not() {
        let mut instances = Instances::default();
        assert_eq!(instances.take("w", 1), Some(true));
        assert_eq!(instances.take("w", 1), Some(false), "its connection broke");
        assert_eq!(instances.take("w", 2), Some(true), "it was started again");
        assert_eq!(instances.take("w", 1), None, "and the first is still there");
        assert_eq!(instances.take("w", 2), Some(false));
        assert_eq!(instances.take("v", 1), Some(true), "another name");
        assert_eq!(instances.take("w", 0), Some(true), "it does not say");
    }
}
