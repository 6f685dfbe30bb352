//! The fuzz targets on stable Rust, each with its corpus and mutations of it.

use sweep_tests::hostile::{Kind, Mutator, corpus};

use super::memory::{alone, bounded};

/// Mutations of each corpus; `SWEEP_HOSTILE_ROUNDS` changes it.
const ROUNDS: u64 = 3_000;

fn rounds() -> u64 {
    std::env::var("SWEEP_HOSTILE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Feeds the corpus of `target` and mutations of it to `door`. Some of both must be understood and some refused;
/// otherwise the input does not get past the first check.
fn bring<T>(target: &str, kind: Kind, share: u64, door: impl Fn(&[u8]) -> Result<T, String>) {
    let _alone = alone();
    let corpus = corpus(target).expect("the corpus is there");
    let (mut understood, mut refused) = (0_u64, 0_u64);
    let mut count = |result: Result<T, String>| match result {
        Ok(_) => understood += 1,
        Err(reason) => {
            assert!(reason.len() < 100_000, "{target}: a refusal of {} bytes", reason.len());
            refused += 1;
        }
    };
    for (name, bytes) in &corpus {
        count(bounded(&format!("{target}: {name}"), bytes, &door));
    }
    for seed in 0..rounds() / share {
        let bytes = Mutator::new(&corpus, kind, seed).next_bytes();
        let what = format!("{target}: seed {seed}");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bounded(&what, &bytes, &door)));
        count(result.unwrap_or_else(|_| panic!("{what}: {:?}", String::from_utf8_lossy(&bytes))));
    }
    assert!(understood > 0 && refused > 0, "{target}: {understood} understood, {refused} refused");
}

#[test]
fn specs_and_their_overrides() {
    bring("spec", Kind::Text, 1, sweep_spec::untrusted::spec);
}

#[test]
fn lines_of_a_trainer() {
    bring("trainer_output", Kind::Text, 1, sweep_worker::untrusted::trainer_output);
}

#[test]
fn requests_to_every_method() {
    bring("request", Kind::Message, 1, sweep_coordinator::untrusted::request);
}

#[test]
fn every_method_has_a_request_in_the_corpus() {
    let methods = sweep_coordinator::untrusted::METHODS;
    let there: std::collections::BTreeSet<u8> =
        corpus("request").unwrap().iter().filter_map(|(_, bytes)| Some(bytes.first()? % methods)).collect();
    assert_eq!(there.len(), usize::from(methods));
}

#[test]
fn answers_of_a_coordinator() {
    bring("answer", Kind::Message, 1, sweep_worker::untrusted::answer);
}

#[test]
fn contents_of_the_store() {
    bring("stored", Kind::Message, 1, sweep_coordinator::untrusted::stored);
    bring("stored", Kind::Text, 2, sweep_coordinator::untrusted::stored);
}

#[test]
fn journals_of_a_worker() {
    bring("journal", Kind::Bytes, 1, sweep_worker::untrusted::journal);
    bring("records", Kind::Bytes, 1, sweep_worker::untrusted::records);
}

#[test]
fn checkpoints() {
    bring("checkpoint", Kind::Bytes, 1, sweep_trainer::untrusted_checkpoint);
}
