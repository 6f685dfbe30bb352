"""What is asked of the objects of one installation. No cluster is here to refuse them, so this does."""

import copy
import functools
import json
import warnings

warnings.filterwarnings("ignore")

import deploy_server as server
import kubernetes_validate
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as monitoring

OPERATORS = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("keda.sh/v1alpha1", "ScaledJob"): keda.ScaledJob,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): monitoring.ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): monitoring.PrometheusRule,
}
# Made by people or by cert-manager, never by the chart.
OUTSIDE = {"tokens", "coordinator-tls", "worker-tls", "postgres", "sweep-postgres", "bucket", "pages", "grpc", "sweep-tls",
           "sweep-tokens", "store", "data", "cache", "registry", "datasets", "sweep-cache", "backup", "backup-token", "sweep-worker-tls",
           "sweep-pages-tls", "sweep-grpc-tls"}


def problems(objects, versions):
    found = []
    for loaded in objects:
        name = f"{loaded['kind']} {loaded['metadata']['name']}"
        found += [f"{name}: {problem}" for problem in schema(loaded, versions) + server.problems(loaded)]
        for pod in pods(loaded):
            found += [f"{name}: {problem}" for problem in restricted(pod)]
    return found + fitting(objects)


def schema(loaded, versions):
    model = OPERATORS.get((loaded["apiVersion"], loaded["kind"]))
    if loaded["kind"] == "ScaledJob":
        # What is in the Job is Kubernetes' to read: the operator's model does not take its quantities.
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": loaded["metadata"], "spec": loaded["spec"]["jobTargetRef"]}
        rest = {**loaded["spec"], "jobTargetRef": {"template": {"spec": {"containers": [{"name": "worker"}]}}}}
        return schema(job, versions) + operators(model, {**loaded, "spec": rest})
    if model:
        return operators(model, loaded)
    found = [(version, kubernetes(json.dumps(loaded, sort_keys=True), version)) for version in versions]
    return [f"Kubernetes {version}: {problem}" for version, problem in found if problem]


def operators(model, loaded):
    """What an operator's model says of an object."""
    try:
        read = model.model_validate(loaded).model_dump(by_alias=True, exclude_unset=True, mode="json")
    except ValueError as error:
        return [str(error)]
    return unknown(loaded, read, "")


@functools.cache
def kubernetes(text, version):
    """What a version of Kubernetes says of an object. Installations share many."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return None


def unknown(given, read, place):
    """Keys that the operator's model does not have: it reads over them, and so would the operator."""
    if isinstance(given, dict) and isinstance(read, dict):
        found = [f"unknown field {place}.{name}" for name in given if name not in read]
        return found + [problem for name in given if name in read for problem in unknown(given[name], read[name], f"{place}.{name}")]
    if isinstance(given, list) and isinstance(read, list):
        return [problem for one, other in zip(given, read) for problem in unknown(one, other, f"{place}[]")]
    return []


def pods(loaded):
    """The pod specs of an object."""
    spec = server.pod(loaded)
    return [spec] if spec else []


def restricted(pod):
    """Pod security's level "restricted", and what we ask beyond it."""
    found = []
    security = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            found.append(f"{name} is forbidden")
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
        found.append("it may run as root")
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        found.append("no seccomp profile")
    if pod.get("automountServiceAccountToken") is not False:
        found.append("the service account's token is mounted")
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "name"}
    for volume in pod.get("volumes", []):
        found += [f"volumes of kind {kind} are forbidden" for kind in volume if kind not in allowed]
    for container in server.containers(pod):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.append(f"{container['name']} may gain privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append(f"{container['name']} keeps capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append(f"{container['name']} may write its root")
        # A namespace with a quota refuses a pod that leaves one of these out.
        for of in ("requests", "limits"):
            missing = {"cpu", "memory", "ephemeral-storage"} - set(container.get("resources", {}).get(of, {}))
            found += [f"{container['name']} has no {name} among its {of}" for name in sorted(missing)]
        found += [f"{container['name']} has a port below 1024" for port in container.get("ports", []) if port["containerPort"] < 1024]
    return found


def named(objects, kind):
    return {loaded["metadata"]["name"]: loaded for loaded in objects if loaded["kind"] == kind}


def workloads(objects):
    return [loaded for loaded in objects if loaded["kind"] in ("Deployment", "StatefulSet")]


def labels_of(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def selected(selector, labels):
    return all(labels.get(name) == value for name, value in selector.items())


def chosen(selector, labels):
    """A selector with expressions, of which `In` is used."""
    fits = [labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])]
    return selected(selector.get("matchLabels", {}), labels) and all(fits)


def fitting(objects):
    """What one object says of another."""
    found = []
    seen = set()
    for loaded in objects:
        place = (loaded["kind"], loaded["metadata"]["name"])
        if place in seen:
            found.append(f"{place} is there twice")
        seen.add(place)
    for loaded in objects:
        for pod in pods(loaded):
            found += [f"{loaded['kind']} {loaded['metadata']['name']}: {problem}" for problem in references(pod, objects)]
    for workload in workloads(objects):
        if not selected(workload["spec"]["selector"]["matchLabels"], labels_of(workload)):
            found.append(f"{workload['metadata']['name']} does not select its own pods")
        found += lifetimes(workload)
        service = workload["spec"].get("serviceName")
        if service and service not in named(objects, "Service"):
            found.append(f"{workload['metadata']['name']}: no service {service}")
    for service in named(objects, "Service").values():
        behind = [workload for workload in workloads(objects) if selected(service["spec"]["selector"], labels_of(workload))]
        if not behind and workloads(objects) and "worker" not in service["metadata"]["name"]:
            found.append(f"service {service['metadata']['name']} has no pods")
        for workload in behind:
            ports = {port["name"] for container in pods(workload)[0]["containers"] for port in container["ports"]}
            found += [f"service {service['metadata']['name']}: no port {port['targetPort']}"
                      for port in service["spec"]["ports"] if port["targetPort"] not in ports]
    return found + selecting(objects) + pointing(objects)


def references(pod, objects):
    """Config maps, secrets, claims, accounts and ports that a pod names."""
    found = []

    def have(kind, name):
        if name not in named(objects, kind) and name not in OUTSIDE:
            found.append(f"there is no {kind} {name}")

    have("ServiceAccount", pod["serviceAccountName"])
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            have("ConfigMap", volume["configMap"]["name"])
        if "secret" in volume:
            have("Secret", volume["secret"]["secretName"])
        if "persistentVolumeClaim" in volume:
            have("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    mounted = {mount["name"] for container in server.containers(pod) for mount in container.get("volumeMounts", [])}
    found += [f"volume {name} is mounted and is not there" for name in mounted - volumes]
    found += [f"volume {name} is there and is not mounted" for name in volumes - mounted]
    for container in pod["containers"]:
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(probe, {}).get("httpGet", {}).get("port")
            if asked and asked not in ports:
                found.append(f"{probe} asks a port {asked} that is not there")
            if ports and not asked:
                found.append(f"{container['name']} has no {probe}")
    return found


def lifetimes(workload):
    """A pod that is told to leave has to have the time that its hook and its program take."""
    pod = pods(workload)[0]
    found = []
    for container in pod["containers"]:
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if hook and int(hook[-1]) >= pod["terminationGracePeriodSeconds"]:
            found.append(f"{workload['metadata']['name']}: its hook takes longer than its grace period")
    return found


def selecting(objects):
    """Budgets, policies and monitors that select nothing guard nothing."""
    found = []
    pod_labels = [server.template(loaded)["metadata"]["labels"] for loaded in objects if server.template(loaded)]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for name, loaded in named(objects, kind).items():
            selector = loaded["spec"].get("selector") or loaded["spec"].get("podSelector")
            component = selector["matchLabels"].get("app.kubernetes.io/component")
            if component not in ("test", "worker") and not any(chosen(selector, labels) for labels in pod_labels):
                found.append(f"{kind} {name} selects no pod")
    services = [service["metadata"]["labels"] for service in named(objects, "Service").values()]
    for name, loaded in named(objects, "ServiceMonitor").items():
        matching = [labels for labels in services if selected(loaded["spec"]["selector"]["matchLabels"], labels)]
        if len(matching) != 1:
            found.append(f"ServiceMonitor {name} selects {len(matching)} services")
    for name, policy in named(objects, "NetworkPolicy").items():
        if any("from" in rule and not rule["from"] for rule in policy["spec"].get("ingress", [])):
            found.append(f"NetworkPolicy {name} has a rule for nobody, which lets everybody in")
    allowed = {port["port"] for policy in named(objects, "NetworkPolicy").values()
               for rule in policy["spec"].get("ingress", []) for port in rule.get("ports", [])}
    open_ports = {port["containerPort"] for loaded in objects for pod in pods(loaded)
                  for container in pod["containers"] for port in container.get("ports", [])}
    found += [f"a network policy opens port {port}, where nobody listens" for port in allowed - open_ports]
    return found


def pointing(objects):
    """What is scaled and what an ingress leads to."""
    found = []
    pools = {name for name, loaded in named(objects, "ConfigMap").items() if "worker.yaml" in loaded.get("data", {})}
    found += [f"ScaledJob {name} is for no pool" for name in named(objects, "ScaledJob") if name not in pools]
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for name, loaded in named(objects, kind).items():
            target = named(objects, "Deployment").get(loaded["spec"]["scaleTargetRef"]["name"])
            if target is None:
                found.append(f"{kind} {name} scales nothing")
            elif "replicas" in target["spec"]:
                found.append(f"{kind} {name}: the Deployment says how many there are, too")
    for name, loaded in named(objects, "Ingress").items():
        for rule in loaded["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = named(objects, "Service").get(backend["name"])
                ports = {port["name"] for port in service["spec"]["ports"]} if service else set()
                if backend["port"]["name"] not in ports:
                    found.append(f"Ingress {name} leads nowhere")
    return found


def first(objects, kind, part=""):
    return next(loaded for loaded in objects if loaded["kind"] == kind and part in loaded["metadata"]["name"])


def container(objects, kind, part=""):
    return pods(first(objects, kind, part))[0]["containers"][0]


def change(kind, part, *path_and_value):
    *path, last, value = path_and_value

    def apply(objects):
        place = first(objects, kind, part)
        for step in path:
            place = place[step]
        place[last] = value

    return apply


POD = ("spec", "template", "spec")
MISTAKES = {
    "a container that may take every core": change("Deployment", "front", *POD, "containers", 0, "resources", "limits", {"memory": "1Gi", "ephemeral-storage": "1Gi"}),
    "a volume with two sources": change("Deployment", "gpu", *POD, "volumes", 3, "emptyDir", {}),
    "a volume without a source": change("Deployment", "gpu", *POD, "volumes", 0, {"name": "config"}),
    "a field that Kubernetes does not know": change("Deployment", "gpu", "spec", "replica", 2),
    "a wrong type": change("StatefulSet", "", "spec", "replicas", "two"),
    "a field that KEDA does not know": change("ScaledObject", "", "spec", "cooldown", 3),
    "a trigger without a type": change("ScaledObject", "", "spec", "triggers", [{"metadata": {}}]),
    "a field that the Prometheus operator does not know": change("ServiceMonitor", "", "spec", "endpoint", []),
    "a pod that runs as root": change("StatefulSet", "", *POD, "securityContext", "runAsUser", 0),
    "a root that can be written": change("Deployment", "gpu", *POD, "containers", 0, "securityContext", "readOnlyRootFilesystem", False),
    "a folder of the node": change("Deployment", "gpu", *POD, "volumes", 0, {"name": "config", "hostPath": {"path": "/"}}),
    "a mounted account": change("Deployment", "gpu", *POD, "automountServiceAccountToken", True),
    "a config map that is not there": change("StatefulSet", "", *POD, "volumes", 0, "configMap", "name", "nobody"),
    "a probe of a port that is not there": change("Deployment", "gpu", *POD, "containers", 0, "livenessProbe", "httpGet", "port", "web"),
    "a service in front of nothing": change("Service", "peers", "spec", "selector", {"app": "nobody"}),
    "a service's port that no pod has": change("Service", "coordinator", "spec", "ports", 0, "targetPort", "web"),
    "a budget for nobody": change("PodDisruptionBudget", "coordinator", "spec", "selector", {"matchLabels": {"app": "nobody"}}),
    "a monitor of nobody": change("ServiceMonitor", "coordinator", "spec", "selector", {"matchLabels": {"app": "nobody"}}),
    "an ingress to nowhere": change("Ingress", "grpc", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "name", "nobody"),
    "a grace period that is too short": change("Deployment", "gpu", *POD, "terminationGracePeriodSeconds", 5),
    "an open port where nobody listens": change("NetworkPolicy", "coordinator", "spec", "ingress", 0, "ports", [{"port": 22, "protocol": "TCP"}]),
    "a port without a protocol": change("Service", "peers", "spec", "ports", 0, {"name": "grpc", "port": 7733, "targetPort": "grpc"}),
    "a GPU count that is a number": change("Deployment", "gpu", *POD, "containers", 0, "resources", "limits", "nvidia.com/gpu", 1),
    "a rule that lets in nobody, and so everybody": change("NetworkPolicy", "coordinator", "spec", "ingress", 0, "from", []),
    "a pod of Jobs with a field that Kubernetes does not know": change("ScaledJob", "", "spec", "jobTargetRef", "template", "spec", "container", []),
    "Jobs for no pool": change("ScaledJob", "", "metadata", "name", "nobody"),
    "something scaled that is not there": change("ScaledObject", "", "spec", "scaleTargetRef", "name", "nobody"),
}


def missed(objects, versions):
    """The planted mistakes that are not found."""
    if problems(objects, versions):
        return ["the objects are wrong before anything was planted"]
    not_found = []
    for name, apply in MISTAKES.items():
        wrong = copy.deepcopy(objects)
        apply(wrong)
        if not problems(wrong, versions):
            not_found.append(name)
    return not_found
