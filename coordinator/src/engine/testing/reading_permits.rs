//! Readers of a sweep's trials share a few permits.

use futures::FutureExt;

use crate::engine::handle::CONCURRENT_READS;
use crate::engine::query::study::Replicates;
use crate::engine::testing::driver::TestDriver;

const SPEC: &str = "
version: 1
name: some
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: [0]
baseline: { family: cnn, filters: 1 }
stages: [ { name: all, vary: { filters: [1, 2] } } ]
";

#[tokio::test]
async fn trials_are_read_with_a_permit_that_ends_with_the_rows() {
    let mut test = TestDriver::new().await;
    let sweep = test.submit(SPEC).await;
    let live = &test.driver.live.sweeps[&sweep];
    let (plan, record, handle) = (&live.plan, &live.record, &test.handle);
    let first = Replicates::new(handle, plan, record).await.unwrap();
    assert_eq!(handle.readings.available_permits(), CONCURRENT_READS - 1);
    drop(first);
    handle.results(plan, record).await.unwrap();
    assert_eq!(handle.readings.available_permits(), CONCURRENT_READS, "nothing is computed while it is held");
    let all = [handle.rows(sweep).await.unwrap(), handle.rows(sweep).await.unwrap()];
    assert_eq!((all.len(), handle.readings.available_permits()), (CONCURRENT_READS, 0));
    // Decisions, the choice of weights, and extensions read in the same way: they wait for a permit.
    assert!(handle.rows(sweep).now_or_never().is_none());
}
