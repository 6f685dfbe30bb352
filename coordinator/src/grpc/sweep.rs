//! The service of sweeps, trials, results and workers.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use sweep_proto::v1;
use sweep_proto::v1::sweep_service_server::SweepService;
use tonic::{Request, Response, Status};

use super::status;
use crate::access::Caller;
use crate::access::grpc::named;
use crate::convert;
use crate::engine::Error;
use crate::service::Sweeps;
use crate::service::streams::Kind;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The handlers of the service.
#[derive(Clone)]
pub(crate) struct Handlers(pub(crate) Sweeps);

#[tonic::async_trait]
impl SweepService for Handlers {
    type WatchSweepStream = Answers<v1::WatchSweepResponse>;
    type ExportPointsStream = Answers<v1::ExportPointsResponse>;
    type GetReportStream = Answers<v1::GetReportResponse>;
    type GetArtifactStream = Answers<v1::GetArtifactResponse>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        self.0.submit(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn list_sweeps(
        &self,
        request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        self.0.sweeps(&request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_sweep(&self, request: Request<v1::GetSweepRequest>) -> Result<Response<v1::GetSweepResponse>, Status> {
        self.0.sweep(request.into_inner().sweep).await.map(Response::new).map_err(status)
    }

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let permit = self.0.begin(Kind::Watch, request.extensions().get()).map_err(status)?;
        let id = self.0.find(request.into_inner().sweep).await.map_err(status)?;
        let answers = self.0.watched(id).map(move |told| {
            // The permit ends with the stream.
            let _held = &permit;
            told.map(|seen| v1::WatchSweepResponse { sweep: Some(seen.message.clone()) }).map_err(status)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_leaderboard(
        &self,
        request: Request<v1::GetLeaderboardRequest>,
    ) -> Result<Response<v1::GetLeaderboardResponse>, Status> {
        self.0.leaderboard(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_analysis(
        &self,
        request: Request<v1::GetAnalysisRequest>,
    ) -> Result<Response<v1::GetAnalysisResponse>, Status> {
        self.0.analysis(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn compare_configurations(
        &self,
        request: Request<v1::CompareConfigurationsRequest>,
    ) -> Result<Response<v1::CompareConfigurationsResponse>, Status> {
        self.0.compare(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn list_trials(
        &self,
        request: Request<v1::ListTrialsRequest>,
    ) -> Result<Response<v1::ListTrialsResponse>, Status> {
        self.0.trials(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_trial(&self, request: Request<v1::GetTrialRequest>) -> Result<Response<v1::GetTrialResponse>, Status> {
        self.0.trial(&request.into_inner().trial).await.map(Response::new).map_err(status)
    }

    async fn reproduce_trial(
        &self,
        request: Request<v1::ReproduceTrialRequest>,
    ) -> Result<Response<v1::ReproduceTrialResponse>, Status> {
        self.0.reproduce(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn get_reproduction(
        &self,
        request: Request<v1::GetReproductionRequest>,
    ) -> Result<Response<v1::GetReproductionResponse>, Status> {
        self.0.reproduction(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        self.0.cancel(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn delete_sweep(
        &self,
        request: Request<v1::DeleteSweepRequest>,
    ) -> Result<Response<v1::DeleteSweepResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let request = named(request, |request| &mut request.user);
        self.0.delete(request, caller.as_ref()).await.map(Response::new).map_err(status)
    }

    async fn pause_sweep(
        &self,
        request: Request<v1::PauseSweepRequest>,
    ) -> Result<Response<v1::PauseSweepResponse>, Status> {
        self.0.pause(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn set_priority(
        &self,
        request: Request<v1::SetPriorityRequest>,
    ) -> Result<Response<v1::SetPriorityResponse>, Status> {
        self.0.prioritise(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn retry_sweep(
        &self,
        request: Request<v1::RetrySweepRequest>,
    ) -> Result<Response<v1::RetrySweepResponse>, Status> {
        self.0.retry(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn explain_trial(
        &self,
        request: Request<v1::ExplainTrialRequest>,
    ) -> Result<Response<v1::ExplainTrialResponse>, Status> {
        self.0.explain(&request.into_inner().trial).await.map(Response::new).map_err(status)
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.0.audit(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn set_worker_service(
        &self,
        request: Request<v1::SetWorkerServiceRequest>,
    ) -> Result<Response<v1::SetWorkerServiceResponse>, Status> {
        self.0.serve(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn list_workers(
        &self,
        _request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        self.0.workers().await.map(Response::new).map_err(status)
    }

    async fn export_points(
        &self,
        request: Request<v1::ExportPointsRequest>,
    ) -> Result<Response<Self::ExportPointsStream>, Status> {
        let permit = self.0.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let id = self.0.find(request.into_inner().sweep).await.map_err(status)?;
        let points = self
            .0
            .points(id, permit)
            .map(|points| points.map(|points| v1::ExportPointsResponse { points }).map_err(status));
        Ok(Response::new(Box::pin(points)))
    }

    async fn get_report(
        &self,
        request: Request<v1::GetReportRequest>,
    ) -> Result<Response<Self::GetReportStream>, Status> {
        let permit = self.0.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let document = self.0.report(request.into_inner()).await.map_err(status)?;
        let chunks = self.0.chunks(document, permit);
        Ok(Response::new(Box::pin(
            chunks.map(|chunk| chunk.map(|chunk| v1::GetReportResponse { chunk }).map_err(status)),
        )))
    }

    async fn estimate(&self, request: Request<v1::EstimateRequest>) -> Result<Response<v1::EstimateResponse>, Status> {
        let _permit = self.0.begin(Kind::Estimate, request.extensions().get()).map_err(status)?;
        self.0.estimate(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_coordinator(
        &self,
        _request: Request<v1::GetCoordinatorRequest>,
    ) -> Result<Response<v1::GetCoordinatorResponse>, Status> {
        // A layer of the server redirects this path before it gets here.
        Err(Status::unimplemented("call sweep.v1.CoordinatorService/GetCoordinator"))
    }

    async fn list_artifacts(
        &self,
        request: Request<v1::ListArtifactsRequest>,
    ) -> Result<Response<v1::ListArtifactsResponse>, Status> {
        self.0.artifacts_of(request.into_inner().sweep).await.map(Response::new).map_err(status)
    }

    async fn get_artifact(
        &self,
        request: Request<v1::GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let permit = self.0.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let digest = convert::digest("digest", &request.into_inner().digest).map_err(Error::from).map_err(status)?;
        self.0.artifact(digest).await.map_err(status)?;
        let chunks = self.0.artifact_content(digest).map(move |chunk| {
            // The permit ends with the stream.
            let _held = &permit;
            chunk.map(|chunk| v1::GetArtifactResponse { chunk }).map_err(status)
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}
