//! What each call needs. Every method of every service stands in one table, and a test fails when one is missing; HTTP is
//! told apart by verb and path.

use axum::http::Method;

use super::Role;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Anybody may ask.
    Nothing,
    /// This role, or one that includes it.
    Role(Role),
}

const READ: Need = Need::Role(Role::Read);
const SUBMIT: Need = Need::Role(Role::Submit);
const ADMIN: Need = Need::Role(Role::Admin);
const WORKER: Need = Need::Role(Role::Worker);

/// The method that ends tokens.
pub(super) const REVOKE: &str = "/sweep.v1.AccessService/RevokeToken";

/// Every method of our services.
const METHODS: &[(&str, Need)] = &[
    ("/sweep.v1.SweepService/Submit", SUBMIT),
    ("/sweep.v1.SweepService/ListSweeps", READ),
    ("/sweep.v1.SweepService/GetSweep", READ),
    ("/sweep.v1.SweepService/WatchSweep", READ),
    ("/sweep.v1.SweepService/GetLeaderboard", READ),
    ("/sweep.v1.SweepService/ListTrials", READ),
    ("/sweep.v1.SweepService/GetTrial", READ),
    ("/sweep.v1.SweepService/ReproduceTrial", SUBMIT),
    ("/sweep.v1.SweepService/GetReproduction", READ),
    ("/sweep.v1.SweepService/CancelSweep", SUBMIT),
    // The submitter's token, or an admin's: the service looks.
    ("/sweep.v1.SweepService/DeleteSweep", SUBMIT),
    ("/sweep.v1.SweepService/PauseSweep", SUBMIT),
    ("/sweep.v1.SweepService/SetPriority", SUBMIT),
    ("/sweep.v1.SweepService/RetrySweep", SUBMIT),
    ("/sweep.v1.SweepService/ExplainTrial", READ),
    ("/sweep.v1.SweepService/ListAudit", READ),
    ("/sweep.v1.SweepService/SetWorkerService", ADMIN),
    ("/sweep.v1.SweepService/ListWorkers", READ),
    ("/sweep.v1.SweepService/ExportPoints", READ),
    ("/sweep.v1.SweepService/GetReport", READ),
    ("/sweep.v1.SweepService/ListArtifacts", READ),
    ("/sweep.v1.SweepService/GetArtifact", READ),
    ("/sweep.v1.SweepService/GetAnalysis", READ),
    ("/sweep.v1.SweepService/CompareConfigurations", READ),
    ("/sweep.v1.SweepService/Estimate", READ),
    // The former path of the next one.
    ("/sweep.v1.SweepService/GetCoordinator", READ),
    ("/sweep.v1.CoordinatorService/GetCoordinator", READ),
    ("/sweep.v1.WorkerService/Register", WORKER),
    ("/sweep.v1.WorkerService/Poll", WORKER),
    ("/sweep.v1.WorkerService/Describe", WORKER),
    ("/sweep.v1.WorkerService/Report", WORKER),
    ("/sweep.v1.WorkerService/Finish", WORKER),
    ("/sweep.v1.WorkerService/PutArtifact", WORKER),
    ("/sweep.v1.StoreService/CollectGarbage", ADMIN),
    ("/sweep.v1.StoreService/BeginBackup", ADMIN),
    ("/sweep.v1.StoreService/ListBackup", ADMIN),
    ("/sweep.v1.StoreService/ReadBackup", ADMIN),
    ("/sweep.v1.StoreService/EndBackup", ADMIN),
    ("/sweep.v1.AccessService/CreateToken", ADMIN),
    ("/sweep.v1.AccessService/ListTokens", ADMIN),
    (REVOKE, ADMIN),
    ("/grpc.health.v1.Health/Check", Need::Nothing),
    ("/grpc.health.v1.Health/Watch", Need::Nothing),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READ),
];

/// What a gRPC method needs. One that is in no table needs the most.
pub fn of_method(path: &str) -> Need {
    METHODS.iter().find(|(method, _)| *method == path).map_or(ADMIN, |(_, need)| *need)
}

/// Pages that anybody may see: they say nothing of any sweep.
const OPEN: &[&str] = &["/healthz", "/readyz", "/login", "/logout"];
/// Files of the pages themselves.
const ASSETS: &str = "/assets/";
/// Links that sign a browser in: the code in the address is what they show.
const LINKS: &str = "/open/";
/// Where whatever is changed is an admin's affair.
const ADMINS: &[&str] = &["/api/v1/workers", "/api/v1/tokens", "/api/v1/garbage", "/workers", "/tokens"];
/// Where even looking is.
const SECRET: &[&str] = &["/api/v1/tokens", "/tokens"];

/// What a request over HTTP needs: looking needs `read`, changing `submit`, and changing workers or tokens `admin`.
pub fn of_http(method: &Method, path: &str) -> Need {
    let plain = !path.contains(['%', '\\']) && !path.contains("..");
    let link = *method == Method::GET && path.starts_with(LINKS);
    if OPEN.contains(&path) || (plain && (link || path.starts_with(ASSETS))) {
        return Need::Nothing;
    }
    let below = |folders: &[&str]| {
        let rest = folders.iter().find_map(|folder| path.strip_prefix(folder));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS if below(SECRET) => ADMIN,
        Method::GET | Method::HEAD | Method::OPTIONS => READ,
        _ if below(ADMINS) => ADMIN,
        _ => SUBMIT,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods(descriptors: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(descriptors).unwrap();
        let mut found = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    found.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        found
    }

    #[test]
    fn every_method_of_every_service_says_what_it_needs_and_nothing_else_does() {
        let mut served = methods(sweep_proto::v1::DESCRIPTORS);
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
        served.push("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
        served.sort();
        let mut known: Vec<_> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
        known.sort();
        assert_eq!(known, served);
    }

    #[test]
    fn only_health_is_for_anybody_and_workers_have_their_service_alone() {
        for (method, need) in METHODS {
            let health = method.starts_with("/grpc.health.");
            assert_eq!(*need == Need::Nothing, health, "{method}");
            assert_eq!(*need == WORKER, method.contains("WorkerService/"), "{method}");
        }
        for odd in
            ["", "/", "/sweep.v1.SweepService/", "/sweep.v1.SweepService/Nothing", "//grpc.health.v1.Health/Check"]
        {
            assert_eq!(of_method(odd), ADMIN, "{odd:?}");
        }
    }

    #[test]
    fn looking_needs_read_changing_needs_submit_and_workers_are_for_admins() {
        for (method, path, need) in [
            (Method::GET, "/healthz", Need::Nothing),
            (Method::GET, "/readyz", Need::Nothing),
            (Method::POST, "/login", Need::Nothing),
            (Method::GET, "/assets/pages.css", Need::Nothing),
            (Method::GET, "/assets/../metrics", READ),
            (Method::GET, "/open/abc", Need::Nothing),
            (Method::HEAD, "/open/abc", READ),
            (Method::GET, "/open/../metrics", READ),
            (Method::GET, "/open/%2e%2e/metrics", READ),
            (Method::GET, "/assets/%2e%2e/metrics", READ),
            (Method::GET, "/metrics", READ),
            (Method::GET, "/", READ),
            (Method::HEAD, "/sweeps/1", READ),
            (Method::POST, "/api/v1/sweeps/1/cancel", SUBMIT),
            (Method::POST, "/api/v1/sweeps/1/delete", SUBMIT),
            (Method::POST, "/api/v1/garbage/collect", ADMIN),
            (Method::DELETE, "/anything", SUBMIT),
            (Method::POST, "/api/v1/workers/w1/drain", ADMIN),
            (Method::POST, "/workers", ADMIN),
            (Method::POST, "/workersome", SUBMIT),
            (Method::GET, "/api/v1/workers", READ),
            (Method::GET, "/api/v1/tokens", ADMIN),
            (Method::GET, "/healthz/", READ),
        ] {
            assert_eq!(of_http(&method, path), need, "{method} {path}");
        }
    }
}
