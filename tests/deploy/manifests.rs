//! The parts of a manifest that concern one of our containers.

use std::collections::BTreeMap;

use serde_yaml::Value;

/// A container of ours in a pod.
#[derive(Debug)]
pub(crate) struct Container {
    /// The file and the object.
    pub(crate) place: String,
    /// `coordinator` or `worker`.
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) ports: BTreeMap<String, u64>,
    /// Paths that probes ask.
    pub(crate) probes: Vec<String>,
    /// Variables; one whose value comes from elsewhere is empty.
    pub(crate) environment: BTreeMap<String, String>,
    /// Folders and files that are mounted.
    pub(crate) mounts: Vec<String>,
    /// The config map that is mounted as the configuration.
    pub(crate) configuration: String,
}

/// The containers of ours in these objects.
pub(crate) fn containers(objects: &[(String, Value)]) -> Vec<Container> {
    let mut found = Vec::new();
    for (file, object) in objects {
        let pod = pod(object);
        for container in list(&pod["containers"]) {
            let program = text(&container["name"]);
            if program == "coordinator" || program == "worker" {
                found.push(read(format!("{file}: {}", text(&object["metadata"]["name"])), program, container, pod));
            }
        }
    }
    found
}

/// The pod of a Deployment, a StatefulSet, a ScaledJob or a CronJob; null for an object without pods.
pub(crate) fn pod(object: &Value) -> &Value {
    let spec = &object["spec"];
    let places = [&spec["template"], &spec["jobTargetRef"]["template"], &spec["jobTemplate"]["spec"]["template"]];
    let template = places.into_iter().find(|template| !template.is_null());
    &template.unwrap_or(spec)["spec"]
}

/// The commands of a pod's containers, in the order in which Kubernetes runs them.
pub(crate) fn commands(pod: &Value) -> Vec<Vec<String>> {
    let containers = list(&pod["initContainers"]).iter().chain(list(&pod["containers"]));
    containers.map(|container| list(&container["command"]).iter().map(text).collect()).collect()
}

fn read(place: String, program: String, container: &Value, pod: &Value) -> Container {
    let probe = |name: &str| container[name]["httpGet"]["path"].as_str().map(str::to_owned);
    let port = |port: &Value| (text(&port["name"]), port["containerPort"].as_u64().unwrap_or(0));
    let variable = |variable: &Value| (text(&variable["name"]), text(&variable["value"]));
    let configured = list(&pod["volumes"]).iter().find(|volume| text(&volume["name"]) == "config");
    Container {
        place,
        program,
        args: list(&container["args"]).iter().map(text).collect(),
        ports: list(&container["ports"]).iter().map(port).collect(),
        probes: ["startupProbe", "readinessProbe", "livenessProbe"].into_iter().filter_map(probe).collect(),
        environment: list(&container["env"]).iter().map(variable).collect(),
        mounts: list(&container["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"])).collect(),
        configuration: configured.map(|volume| text(&volume["configMap"]["name"])).unwrap_or_default(),
    }
}

/// A list, empty where there is none.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

/// A text, empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
