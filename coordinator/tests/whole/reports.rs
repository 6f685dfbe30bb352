//! Reports of a sweep, from the store over gRPC.

use sweep_proto::v1;
use tonic::{Code, Status};

use crate::env::{Env, SPEC, by_filters, reference};

async fn report(env: &Env, request: v1::GetReportRequest) -> Result<Vec<u8>, Status> {
    let mut stream = env.sweeps().await.get_report(request).await?.into_inner();
    let mut document = Vec::new();
    while let Some(part) = stream.message().await? {
        assert!(!part.chunk.is_empty() && part.chunk.len() <= 1 << 20);
        document.extend_from_slice(&part.chunk);
    }
    Ok(document)
}

fn of(sweep: u64, format: v1::ReportFormat) -> v1::GetReportRequest {
    v1::GetReportRequest { sweep: reference(sweep), format: format.into(), ..Default::default() }
}

#[tokio::test]
async fn a_sweep_is_told_in_every_format() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    env.worker("w1", 2).await.work(&env, sweep, &by_filters()).await;

    let page = String::from_utf8(report(&env, of(sweep, v1::ReportFormat::Html)).await.unwrap()).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>pretend – ablation report</title>"));
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 2 * 7 + 1, "two curves of each, and one Pareto chart");
    assert!(
        page.contains("The sweep stored no pictures of the images."),
        "single images are told of, and nobody kept a sheet"
    );
    assert!(page.contains("name: pretend"), "the spec as it was submitted");

    let markdown = String::from_utf8(report(&env, of(sweep, v1::ReportFormat::Markdown)).await.unwrap()).unwrap();
    assert!(markdown.starts_with("# pretend\n") && markdown.contains("**width: filters**"));
    let latex = String::from_utf8(report(&env, of(sweep, v1::ReportFormat::Latex)).await.unwrap()).unwrap();
    assert!(latex.starts_with("\\documentclass") && latex.ends_with("\\end{document}\n"));
    let csv = report(&env, of(sweep, v1::ReportFormat::Csv)).await.unwrap();
    let rows = String::from_utf8(csv).unwrap();
    assert!(
        rows.lines().skip(1).all(|row| row.starts_with(&format!("{sweep},"))) && rows.lines().count() >= 8,
        "{rows}"
    );
    let parquet = report(&env, of(sweep, v1::ReportFormat::Parquet)).await.unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    let by_loss = v1::GetReportRequest { metric: "val_loss".into(), ..of(sweep, v1::ReportFormat::Csv) };
    assert!(String::from_utf8(report(&env, by_loss).await.unwrap()).unwrap().contains(",val_loss,"));
}

#[tokio::test]
async fn a_sweep_that_runs_is_told_as_far_as_it_is_known() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let page = String::from_utf8(report(&env, of(sweep, v1::ReportFormat::Html)).await.unwrap()).unwrap();
    assert!(page.contains("14 of 14 trials have not ended"));
}

#[tokio::test]
async fn what_cannot_be_reported_is_refused_with_the_reason() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let code = async |request| report(&env, request).await.unwrap_err().code();
    assert_eq!(code(of(sweep, v1::ReportFormat::Unspecified)).await, Code::InvalidArgument);
    assert_eq!(code(of(sweep + 1, v1::ReportFormat::Html)).await, Code::NotFound);
    let unknown = v1::GetReportRequest { metric: "speed".into(), ..of(sweep, v1::ReportFormat::Csv) };
    assert_eq!(code(unknown).await, Code::InvalidArgument);
}
