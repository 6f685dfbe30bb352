//! Quotas of what a worker may add to the store besides its attempts: contents of data sets that it describes, and sheets
//! with thumbnails of these. The counts are kept by worker name, for one term of this coordinator.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sweep_spec::Digest;

use crate::access::keyring::Identity;
use crate::convert::Invalid;

/// The most contents of one data set that a worker may describe. A data set that changes while sweeps run has several.
const CONTENTS_OF_ONE: usize = 16;
/// The most contents of all data sets.
const CONTENTS: usize = 4_096;
/// The most sheets of thumbnails.
const SHEETS: usize = 256;
/// The largest sheet, in bytes; a report embeds no larger one.
pub(crate) const SHEET_BYTES: u64 = 128 * 1024 * 1024;
/// The most bytes of all sheets of a worker.
const SHEETS_BYTES: u64 = 1024 * 1024 * 1024;
/// The most remembered workers. A further one replaces the least recent one.
const WORKERS: usize = 10_000;

/// What a worker has used of its quotas.
#[derive(Debug, Default)]
struct Used {
    /// The token and the certificate of the worker.
    identity: Identity,
    /// By data set.
    contents: HashMap<Digest, HashSet<Digest>>,
    /// Sheets by their hash, and their sizes.
    sheets: HashMap<Digest, u64>,
    /// The number of its most recent call.
    heard: u64,
}

#[derive(Debug, Default)]
struct Table {
    workers: HashMap<String, Used>,
    calls: u64,
}

impl Table {
    fn of(&mut self, worker: &str, identity: &Identity) -> &mut Used {
        self.calls += 1;
        if self.workers.len() >= WORKERS && !self.workers.contains_key(worker) {
            let oldest = self.workers.iter().min_by_key(|(_, used)| used.heard).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.workers.remove(&name));
        }
        let used = self.workers.entry(worker.to_owned()).or_default();
        if used.identity != *identity {
            // Another worker took the name: it starts with unused quotas.
            *used = Used { identity: identity.clone(), ..Used::default() };
        }
        used.heard = self.calls;
        used
    }
}

/// The quotas of all workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quotas(Arc<Mutex<Table>>);

impl Quotas {
    /// Counts a content that a worker describes.
    ///
    /// # Errors
    /// The worker has reached its quota. The reason is for people.
    pub(crate) fn describe(
        &self,
        (worker, identity): (&str, &Identity),
        dataset: Digest,
        content: Digest,
    ) -> Result<(), String> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = table.of(worker, identity);
        let all: usize = used.contents.values().map(HashSet::len).sum();
        let of_one = used.contents.get(&dataset);
        if of_one.is_some_and(|contents| contents.contains(&content)) {
            return Ok(());
        }
        if of_one.is_some_and(|contents| contents.len() >= CONTENTS_OF_ONE) {
            return Err(format!(
                "the worker has described {CONTENTS_OF_ONE} contents of this data set, which is the maximum"
            ));
        }
        if all >= CONTENTS {
            return Err(format!("the worker has described {CONTENTS} contents of data sets, which is the maximum"));
        }
        used.contents.entry(dataset).or_default().insert(content);
        Ok(())
    }

    /// Counts a sheet of thumbnails that a worker sends for a content.
    ///
    /// # Errors
    /// The worker has not described this content, or has reached its quota.
    pub(crate) fn sheet(
        &self,
        (worker, identity): (&str, &Identity),
        content: Digest,
        (sheet, size_bytes): (Digest, u64),
    ) -> Result<(), Invalid> {
        let refuse = |field, problem: String| Err(Invalid { field, problem });
        if size_bytes > SHEET_BYTES {
            return refuse("size_bytes", format!("thumbnails may have at most {SHEET_BYTES} bytes"));
        }
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = table.of(worker, identity);
        if !used.contents.values().any(|contents| contents.contains(&content)) {
            return refuse("data_digest", "this worker has not described a data set with this content".to_owned());
        }
        if used.sheets.contains_key(&sheet) {
            return Ok(());
        }
        let bytes: u64 = used.sheets.values().sum();
        if used.sheets.len() >= SHEETS || bytes.saturating_add(size_bytes) > SHEETS_BYTES {
            let most =
                format!("a worker may send at most {SHEETS} sheets of thumbnails and {SHEETS_BYTES} bytes in total");
            return refuse("size_bytes", most);
        }
        used.sheets.insert(sheet, size_bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn a_worker_describes_so_many_contents_and_the_same_one_as_often_as_it_is_asked() {
        let (quotas, anonymous) = (Quotas::default(), Identity::default());
        let says =
            |worker: &str, dataset, content| quotas.describe((worker, &anonymous), number(dataset), number(content));
        for content in 0..CONTENTS_OF_ONE as u64 {
            says("w1", 0, content).unwrap();
            says("w1", 0, content).unwrap();
        }
        assert!(says("w1", 0, 99).unwrap_err().contains("16 contents of this data set"));
        assert!(says("w1", 1, 99).is_ok() && says("w2", 0, 99).is_ok());
        for dataset in 2..CONTENTS as u64 {
            let _ = says("w1", dataset, dataset);
        }
        assert!(says("w1", 1_000_000, 0).unwrap_err().contains("4096 contents of data sets"));
    }

    #[test]
    fn thumbnails_are_taken_of_what_the_worker_described_itself_and_no_more_than_so_many() {
        let (quotas, anonymous) = (Quotas::default(), Identity::default());
        let sends = |worker: &str, content, sheet, size| {
            quotas
                .sheet((worker, &anonymous), number(content), (number(sheet), size))
                .map_err(|error| error.to_string())
        };
        assert!(sends("w1", 7, 0, 10).unwrap_err().contains("not described a data set with this content"));
        quotas.describe(("w1", &anonymous), number(0), number(7)).unwrap();
        sends("w1", 7, 0, 10).unwrap();
        assert!(sends("w2", 7, 0, 10).is_err(), "another one has");
        assert!(sends("w1", 8, 0, 10).is_err());
        assert!(sends("w1", 7, 1, SHEET_BYTES + 1).is_err());
        for sheet in 1..=7 {
            sends("w1", 7, sheet, SHEET_BYTES).unwrap();
        }
        assert!(sends("w1", 7, 8, SHEET_BYTES).unwrap_err().contains("bytes in total"));
        assert!(sends("w1", 7, 0, 10).is_ok(), "what it has sent before");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (quotas, anonymous) = (Quotas::default(), Identity::default());
        for worker in 0..WORKERS + 5 {
            quotas.describe((&format!("w{worker}"), &anonymous), number(0), number(0)).unwrap();
        }
        assert_eq!(quotas.0.lock().unwrap().workers.len(), WORKERS);
    }
}
