"""What an API server refuses, or silently does otherwise, although schemas take it."""

import json
import re

# What files are rendered for, if their names do not say another.
NAMESPACE, OTHER_NAMESPACE = "sweep", "lab"
# Objects of the whole cluster.
CLUSTER_KINDS = {"Namespace", "PersistentVolume", "ClusterQueue", "ResourceFlavor"}
# Namespaces of others that files name: Prometheus is asked there.
OTHERS = {"monitoring"}
# Keys of a volume that name no source.
NO_SOURCE = {"name"}


def template(loaded):
    """The pod template of an object, or the pod itself; None where it makes no pods."""
    kind, spec = loaded["kind"], loaded.get("spec", {})
    if kind == "Pod":
        return loaded
    if kind in ("Deployment", "StatefulSet", "Job"):
        return spec["template"]
    if kind == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]
    if kind == "ScaledJob":
        return spec["jobTargetRef"]["template"]
    return None


def pod(loaded):
    """The pod spec of an object, or None."""
    found = template(loaded)
    return found["spec"] if found else None


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def problems(loaded):
    """What the server says of one object."""
    found = ports(loaded)
    spec = pod(loaded)
    if spec is not None:
        found += volumes(spec) + quantities(spec)
    return found


def volumes(spec):
    """"may not specify more than 1 volume type", and none at all is refused too."""
    found = []
    for volume in spec.get("volumes", []):
        sources = sorted(set(volume) - NO_SOURCE)
        if len(sources) != 1:
            found.append(f"volume {volume['name']} has {len(sources)} sources: {', '.join(sources)}")
    return found


def ports(loaded):
    """Lists of ports are merged by number and protocol: server-side apply refuses a port without its protocol."""
    spec = pod(loaded)
    lists = [("container", one.get("ports", [])) for one in containers(spec)] if spec else []
    if loaded["kind"] == "Service":
        lists.append(("service", loaded["spec"]["ports"]))
    if loaded["kind"] == "NetworkPolicy":
        rules = loaded["spec"].get("ingress", []) + loaded["spec"].get("egress", [])
        lists += [("rule", rule.get("ports", [])) for rule in rules]
    return [f"a port of a {owner} has no protocol: {port}" for owner, listed in lists for port in listed if "protocol" not in port]


def quantities(spec):
    """Server-side apply compares quantities as strings."""
    return [f"{container['name']}: the quantity of {name} is no string: {value!r}"
            for container in containers(spec) for of in ("requests", "limits")
            for name, value in container.get("resources", {}).get(of, {}).items() if not isinstance(value, str)]


# The source of each volume of a pool's pods with deploy/helm/sweep/ci/volumes-values.yaml.
SOURCES = {
    "gpu": {"data": "persistentVolumeClaim", "cache": "persistentVolumeClaim", "state": "ephemeral"},
    "cpu": {"data": "csi", "cache": "emptyDir", "state": "emptyDir"},
    "bare": {"data": "emptyDir", "cache": "emptyDir", "state": "emptyDir"},
}


def sources(objects):
    """Where pools do not get the volumes that their values name."""
    found = []
    for pool, wanted in SOURCES.items():
        specs = [pod(loaded) for loaded in objects if loaded["metadata"]["name"].endswith(f"-worker-{pool}") and pod(loaded)]
        have = {volume["name"]: sorted(set(volume) - NO_SOURCE) for spec in specs for volume in spec["volumes"]}
        found += [f"pool {pool}: {name} has {have.get(name)}, not {source}" for name, source in wanted.items() if have.get(name) != [source]]
    return found


def namespace_of(name):
    """The namespace that a rendered file is for."""
    return OTHER_NAMESPACE if OTHER_NAMESPACE in name.split("-") else NAMESPACE


def namespaces(objects, wanted):
    """Objects that land elsewhere, and names and queries that lead elsewhere: a monitor in another namespace selects nothing,
    and says nothing of it."""
    found = []
    for loaded in objects:
        name = f"{loaded['kind']} {loaded['metadata']['name']}"
        own = loaded["metadata"].get("namespace")
        if loaded["kind"] not in CLUSTER_KINDS and own != wanted:
            found.append(f"{name} is in the namespace {own}, not in {wanted}")
        text = json.dumps({key: value for key, value in loaded.items() if key != "metadata"})
        named = set(re.findall(r"\.([a-z0-9-]+)\.svc\b", text)) | set(re.findall(r'namespace\\?"?[:=] ?\\?"([a-z0-9-]+)', text))
        found += [f"{name} names the namespace {other}" for other in sorted(named - {wanted} - OTHERS)]
    return found


def kept(objects):
    """What `kubectl delete -k` would take away and cannot be made again."""
    return [f"{loaded['kind']} {loaded['metadata']['name']} is deleted with the installation" for loaded in objects
            if loaded["kind"] in ("Namespace", "PersistentVolumeClaim", "Secret")]


def scraping(configuration):
    """Queries ask for the namespace; the operator adds that label by itself, and a scrape configuration has to."""
    return [f"the job {job['job_name']} sets no label namespace" for job in configuration["scrape_configs"]
            if not any(rule.get("target_label") == "namespace" for rule in job.get("relabel_configs", []))]
