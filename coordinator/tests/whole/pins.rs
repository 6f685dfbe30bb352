//! Workers whose data sets differ in content: which content a sweep is pinned to, and which results are kept.

use sweep_proto::v1;
use sweep_spec::Digest;

use crate::env::{Answer, Env, Worker, reference, result};

const ONE: &str = "
version: 1
name: one
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: [0, 1]
baseline: { family: cnn, filters: 4, dense_units: 8 }
extra: [ { name: same, family: cnn, filters: 4, dense_units: 8 }, { name: wide, family: cnn, filters: 8, dense_units: 8 } ]
";

fn good() -> Answer {
    std::sync::Arc::new(|_| v1::finish_request::Ending::Result(result(0.5)))
}

/// Polls until the answer arrives, without taking the assigned trials.
async fn poll_once(worker: &mut Worker) {
    worker.poll().await.unwrap();
}

#[tokio::test]
async fn a_garbage_digest_that_comes_first_ruins_nothing() {
    let env = Env::new().await;
    let sweep = env.submit(ONE).await.id;
    let mut liar = env.worker("liar", 1).await;
    liar.data = 77;
    poll_once(&mut liar).await;
    liar.until_running().await;
    let (mut one, mut two) = (env.worker("one", 1).await, env.worker("two", 1).await);
    poll_once(&mut one).await;
    poll_once(&mut two).await;
    let ended = one.work(&env, sweep, &good()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded, "{ended:?}");
    let board = env.leaderboard(sweep).await;
    assert!(!board.rows.is_empty());
}

#[tokio::test]
async fn the_status_names_the_worker_that_disagrees() {
    let env = Env::new().await;
    let sweep = env.submit(ONE).await.id;
    let (mut one, mut two) = (env.worker("one", 1).await, env.worker("two", 1).await);
    poll_once(&mut one).await;
    poll_once(&mut two).await;
    let mut liar = env.worker("liar", 1).await;
    liar.data = 77;
    poll_once(&mut liar).await;
    let status = env.status(sweep).await;
    let text = format!("{status:?}");
    assert!(text.contains("liar") && text.contains("the sweep is pinned to other data"), "{text}");
}

#[tokio::test]
async fn thumbnails_are_taken_only_of_data_that_the_worker_described() {
    let env = Env::new().await;
    env.submit(ONE).await;
    let (mut one, other) = (env.worker("one", 1).await, env.worker("other", 1).await);
    one.until_running().await;
    let content = vec![42_u8; 1_000];
    let put = async |worker: &Worker, data: u8| {
        use v1::put_artifact_request::Part;
        let header = v1::ArtifactHeader {
            session: worker.session,
            kind: v1::ArtifactKind::Thumbnails.into(),
            lease: None,
            data_digest: vec![data; 32].into(),
            size_bytes: 1_000,
            digest: Digest::of(&content).as_bytes().to_vec().into(),
        };
        let parts = [Part::Header(header), Part::Chunk(content.clone().into())];
        let parts = parts.map(|part| v1::PutArtifactRequest { part: Some(part) });
        worker.client.clone().put_artifact(tokio_stream::iter(parts)).await.map(drop)
    };
    let data = one.data;
    put(&one, data).await.unwrap();
    for (worker, data) in [(&one, 77), (&other, data)] {
        let refused = put(worker, data).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("not described a data set with this content"), "{refused}");
    }
    let request = v1::ListArtifactsRequest { sweep: reference(1) };
    let listed = env.sweeps().await.list_artifacts(request).await.unwrap().into_inner().artifacts;
    assert_eq!(listed.len(), 1);
}
