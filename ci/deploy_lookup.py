"""What the chart finds in a cluster decides about what an upgrade leaves: tokens, claims, and how many workers there are. Helm is
given a server that knows these objects and nothing else. Started by ci/deploy with helm's path."""

import base64
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import yaml

CHART = "deploy/helm/sweep"
TOKENS = {role: base64.b64encode(f"the token of {role}".encode()).decode() for role in ("admin", "worker", "read")}
# Helm takes over what an earlier revision of the release has made.
OWNED = {"labels": {"app.kubernetes.io/managed-by": "Helm"},
         "annotations": {"meta.helm.sh/release-name": "sweep", "meta.helm.sh/release-namespace": "sweep"}}
OBJECTS = {
    "/api/v1/namespaces/sweep/secrets/sweep-tokens": {"apiVersion": "v1", "kind": "Secret", "metadata": OWNED, "data": TOKENS},
    "/apis/apps/v1/namespaces/sweep/deployments/sweep-worker-gpu":
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": OWNED, "spec": {"replicas": 7}},
    "/api/v1/namespaces/sweep/persistentvolumeclaims/sweep-coordinator":
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": OWNED, "spec": {"accessModes": ["ReadWriteMany"]}},
}


# Every kind that the chart makes: Helm looks each up.
KINDS = {
    "v1": ["ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"],
    "apps/v1": ["Deployment", "StatefulSet"],
    "batch/v1": ["CronJob", "Job"],
    "keda.sh/v1alpha1": ["ScaledJob", "ScaledObject"],
    "networking.k8s.io/v1": ["Ingress", "NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
}


def discovery():
    """What a client asks a server first, by path."""
    def plural(kind):
        return kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")

    groups = [version.split("/") for version in KINDS if "/" in version]
    named = [{"name": group, "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
              "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version}} for group, version in groups]
    found = {"/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}, "/api": {"kind": "APIVersions", "versions": ["v1"]},
             "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}}
    for version, kinds in KINDS.items():
        listed = [{"name": plural(kind), "kind": kind, "namespaced": True, "verbs": ["get"]} for kind in kinds]
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        found[path] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}
    return found


ANSWERS = discovery()


class Cluster(http.server.BaseHTTPRequestHandler):
    objects = {}

    def do_GET(self):
        found = ANSWERS.get(self.path.split("?")[0]) or self.objects.get(self.path.split("?")[0])
        body = json.dumps(found or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def rendered(helm, objects, settings):
    """The objects that an upgrade brings to a cluster with these objects."""
    handler = type("Handler", (Cluster,), {"objects": objects})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster = {"apiVersion": "v1", "kind": "Config", "current-context": "it", "users": [{"name": "it", "user": {}}],
               "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
               "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]}
    with tempfile.TemporaryDirectory() as folder:
        configuration = pathlib.Path(folder, "kubeconfig")
        configuration.write_text(yaml.safe_dump(cluster))
        command = [helm, "template", "sweep", CHART, "--namespace", "sweep", "--dry-run=server", "--disable-openapi-validation", "--set", settings]
        ran = subprocess.run(command, env={**os.environ, "KUBECONFIG": str(configuration)}, capture_output=True, text=True)
    server.shutdown()
    if ran.returncode:
        sys.exit(f"helm fails: {ran.stderr}")
    return {(loaded["kind"], loaded["metadata"]["name"]): loaded for loaded in yaml.safe_load_all(ran.stdout) if loaded}


def main():
    helm = sys.argv[1]
    scaled = "workers.gpu.autoscaling.enabled=true"
    postgres = "coordinator.store=postgres,coordinator.postgres.existingSecret=sweep-postgres"
    worker = ("Deployment", "sweep-worker-gpu")
    wrong = []

    def expect(what, found, wanted):
        if found != wanted:
            wrong.append(f"{what}: {found!r}, not {wanted!r}")

    def claim(objects):
        pod = objects["StatefulSet", "sweep-coordinator"]["spec"]["template"]["spec"]
        return next(volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if volume["name"] == "store")

    present, empty = rendered(helm, OBJECTS, scaled), rendered(helm, {}, scaled)
    expect("tokens that are there", present["Secret", "sweep-tokens"]["data"], TOKENS)
    expect("workers when scaling is switched on", present[worker]["spec"].get("replicas"), 7)
    expect("workers of a new installation", empty[worker]["spec"].get("replicas"), None)
    expect("an older claim of many writers", claim(rendered(helm, OBJECTS, postgres)), "sweep-coordinator")
    expect("the claim of a new installation", claim(rendered(helm, {}, postgres)), "sweep-coordinator-artifacts")
    if wrong:
        sys.exit("what the chart makes of a cluster's objects is wrong:\n" + "\n".join(f"  {line}" for line in wrong))
    print("an upgrade keeps tokens, claims and the number of workers")


if __name__ == "__main__":
    main()
