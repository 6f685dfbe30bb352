//! The permission that each call requires. One table lists every method of every service; a test fails when one is missing.
//! For HTTP the permission follows from the verb and the path.

use axum::http::Method;

use super::Role;

/// The permission that a call requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// No token is required.
    Public,
    /// A token with this role, or with one that includes it.
    Role(Role),
}

const READ: Permission = Permission::Role(Role::Read);
const SUBMIT: Permission = Permission::Role(Role::Submit);
const ADMIN: Permission = Permission::Role(Role::Admin);
const WORKER: Permission = Permission::Role(Role::Worker);

/// The method that revokes tokens.
pub(super) const REVOKE: &str = "/sweep.v1.AccessService/RevokeToken";

/// Every method of every service, with its permission.
const METHODS: &[(&str, Permission)] = &[
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
    // The service also checks that the token is the submitter's or an admin's.
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
    ("/grpc.health.v1.Health/Check", Permission::Public),
    ("/grpc.health.v1.Health/Watch", Permission::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READ),
];

/// The permission of a gRPC method. A method that is not in the table requires `admin`.
pub fn of_method(path: &str) -> Permission {
    METHODS.iter().find(|(method, _)| *method == path).map_or(ADMIN, |(_, permission)| *permission)
}

/// Public pages. They show nothing about any sweep.
const OPEN: &[&str] = &["/healthz", "/readyz", "/login", "/logout"];
/// Files of the pages themselves.
const ASSETS: &str = "/assets/";
/// Links that sign a browser in. The code in the address takes the place of a token.
const LINKS: &str = "/open/";
/// Paths below which every change requires `admin`.
const ADMINS: &[&str] = &["/api/v1/workers", "/api/v1/tokens", "/api/v1/garbage", "/workers", "/tokens"];
/// Paths below which reading requires `admin` too.
const SECRET: &[&str] = &["/api/v1/tokens", "/tokens"];

/// The permission of an HTTP request: `read` to look, `submit` to change a sweep, `admin` to change workers or tokens.
pub fn of_http(method: &Method, path: &str) -> Permission {
    let plain = !path.contains(['%', '\\']) && !path.contains("..");
    let link = *method == Method::GET && path.starts_with(LINKS);
    if OPEN.contains(&path) || (plain && (link || path.starts_with(ASSETS))) {
        return Permission::Public;
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
    fn the_table_has_every_method_of_every_service_and_no_other() {
        let mut served = methods(sweep_proto::v1::DESCRIPTORS);
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
        served.push("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
        served.sort();
        let mut known: Vec<_> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
        known.sort();
        assert_eq!(known, served);
    }

    #[test]
    fn only_health_is_public_and_only_the_workers_service_is_for_workers() {
        for (method, permission) in METHODS {
            let health = method.starts_with("/grpc.health.");
            assert_eq!(*permission == Permission::Public, health, "{method}");
            assert_eq!(*permission == WORKER, method.contains("WorkerService/"), "{method}");
        }
        for odd in
            ["", "/", "/sweep.v1.SweepService/", "/sweep.v1.SweepService/Nothing", "//grpc.health.v1.Health/Check"]
        {
            assert_eq!(of_method(odd), ADMIN, "{odd:?}");
        }
    }

    #[test]
    fn reading_requires_read_changing_requires_submit_and_workers_require_admin() {
        for (method, path, permission) in [
            (Method::GET, "/healthz", Permission::Public),
            (Method::GET, "/readyz", Permission::Public),
            (Method::POST, "/login", Permission::Public),
            (Method::GET, "/assets/pages.css", Permission::Public),
            (Method::GET, "/assets/../metrics", READ),
            (Method::GET, "/open/abc", Permission::Public),
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
            assert_eq!(of_http(&method, path), permission, "{method} {path}");
        }
    }
}
