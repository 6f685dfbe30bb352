//! Which tables each query of a sweep reads.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sweep_coordinator::Args;
use sweep_proto::v1;

use crate::env::{Env, SPEC, by_filters, reference};
use crate::http;
use crate::operations::one_fails;

/// Deletes the rows of single trials and the texts of the specs.
async fn without_trials_and_specs(folder: &std::path::Path) {
    let file = SqliteConnectOptions::new().filename(folder.join("sweep.db"));
    let pool = SqlitePool::connect_with(file).await.unwrap();
    for statement in [
        "DELETE FROM sweep_trials",
        "DELETE FROM rounds",
        "DELETE FROM attempts",
        "DELETE FROM results",
        "DELETE FROM configurations",
        "DELETE FROM specs",
        "UPDATE sweeps SET spec = x''",
    ] {
        assert!(sqlx::query(statement).execute(&pool).await.unwrap().rows_affected() > 0, "{statement}");
    }
    pool.close().await;
}

/// Requests an address that is not below `/api/v1`.
async fn plain(env: &Env, path: &str) -> http::Answer {
    http::send(env.handle.http_address(), &format!("GET {path} HTTP/1.1"), b"").await
}

/// The fields of a status that are counted from trials or read from the spec.
fn counted(status: v1::SweepStatus) -> v1::SweepStatus {
    let cost = status.cost.map(|cost| v1::Cost { accuracy: Vec::new(), ..cost });
    v1::SweepStatus { cost, ..status }
}

#[tokio::test]
async fn a_status_of_a_sweep_that_has_ended_reads_neither_its_trials_nor_its_spec() {
    let env = Env::new().await;
    let priced = format!("{SPEC}\nprice_per_hour: 2.5usd\nbudget: 1000usd\n");
    let sweep = env.submit(&priced).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let expected = counted(env.status(sweep).await);
    assert!(expected.best_value.is_some() && expected.counts.unwrap().succeeded == 14, "{expected:?}");
    let gauges = |text: &str| {
        let of_sweeps = text.lines().filter(|line| line.starts_with("sweep_") && line.contains("sweep=\"1\""));
        of_sweeps.map(str::to_owned).collect::<Vec<_>>()
    };
    let scraped = gauges(plain(&env, "/metrics").await.text());
    assert!(scraped.iter().any(|line| line.starts_with("sweep_leaderboard_value")), "{scraped:?}");
    let folder = env.stop().await;
    without_trials_and_specs(folder.path()).await;
    let env = Env::on(folder, Args::default()).await;
    assert_eq!(gauges(plain(&env, "/metrics").await.text()), scraped);
    let listed = env.sweeps().await.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.sweeps.into_iter().map(counted).collect::<Vec<_>>(), [expected]);
    let page = http::get(&env, "/sweeps?limit=1").await.json();
    assert_eq!(page["sweeps"][0]["counts"]["succeeded"], 14);
    let home = plain(&env, "/").await;
    assert!(home.status == 200 && home.text().contains("100 %"), "{}", home.text());
}

#[tokio::test]
async fn a_sweep_is_counted_again_when_it_ends_again() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 4).await;
    let failed = worker.work(&env, sweep, &one_fails()).await;
    assert!(failed.counts.unwrap().failed > 0, "{failed:?}");
    let request = v1::RetrySweepRequest { sweep: reference(sweep), ..Default::default() };
    env.sweeps().await.retry_sweep(request).await.unwrap();
    let ended = worker.work(&env, sweep, &by_filters()).await;
    let counts = ended.counts.unwrap();
    assert_eq!((counts.failed, counts.succeeded), (0, 14), "{ended:?}");
    let env = env.restart().await;
    assert_eq!(env.status(sweep).await.counts, ended.counts);
}

#[tokio::test]
async fn sweeps_are_listed_page_by_page_and_all_of_them_for_clients_of_earlier_releases() {
    let env = Env::new().await;
    for _ in 0..5 {
        env.submit(SPEC).await;
    }
    let list = async |page_size, page_token: &str| {
        let request = v1::ListSweepsRequest { page_size, page_token: page_token.into() };
        let answer = env.sweeps().await.list_sweeps(request).await?.into_inner();
        Ok::<_, tonic::Status>((answer.sweeps.iter().map(|sweep| sweep.id).collect::<Vec<_>>(), answer.next_page_token))
    };
    assert_eq!(list(2, "").await.unwrap(), (vec![5, 4], "4".to_owned()));
    assert_eq!(list(2, "4").await.unwrap(), (vec![3, 2], "2".to_owned()));
    assert_eq!(list(2, "2").await.unwrap(), (vec![1], String::new()));
    assert_eq!(list(5, "").await.unwrap(), (vec![5, 4, 3, 2, 1], String::new()));
    assert_eq!(list(0, "").await.unwrap(), (vec![5, 4, 3, 2, 1], String::new()));
    let refused = list(2, "the next one").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("page_token"), "{refused}");
}

#[tokio::test]
async fn the_trials_of_a_configuration_are_found_by_every_name_of_it() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    // After a restart nothing is cached: names are looked up without an analysis.
    let env = env.restart().await;
    let trials = async |configuration: &str| {
        let request = v1::ListTrialsRequest {
            sweep: reference(sweep),
            configuration: configuration.into(),
            ..Default::default()
        };
        let answer = env.sweeps().await.list_trials(request).await.map(tonic::Response::into_inner);
        answer.map(|answer| answer.trials.iter().map(|trial| trial.trial_id.to_vec()).collect::<Vec<_>>())
    };
    let wide = trials("wide").await.unwrap();
    assert_eq!(wide.len(), 2);
    let digits: String = wide[1].iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(trials(&digits).await.unwrap(), wide);
    let unknown = trials("filters=17").await.unwrap_err();
    assert!(unknown.message().starts_with("no configuration is named `filters=17`; the sweep has `"), "{unknown}");
    assert_eq!(trials("#1").await.unwrap(), wide);
    assert_eq!(trials("baseline").await.unwrap().len(), 2);
}
