"""Holds rendered manifests against Kubernetes' schemas, the operators', pod security and each other; and makes the plain
manifests of deploy/kubernetes from the chart. Started by ci/deploy."""

import os
import pathlib
import re
import sys

import yaml

import deploy_checks as checks
import deploy_compose
import deploy_pages
import deploy_server as server
import deploy_values

VERSIONS = ["1.29", "1.32", "1.35", "1.37"]
PLAIN = pathlib.Path("deploy/kubernetes")
# What is helm's own, and what a configuration's checksum is good for.
HELM_LINES = re.compile(r"^\s*(# Source: .*|app\.kubernetes\.io/managed-by: .*|helm\.sh/chart: .*|checksum/config: .*|"
                        r"# A changed configuration starts it again\.|annotations: \{ helm\.sh/resource-policy: keep \})$")


def documents(text):
    """The objects of a rendered file, each with its text."""
    for part in re.split(r"^---\s*$", text, flags=re.M):
        loaded = yaml.safe_load(part)
        if loaded:
            yield loaded, part.strip("\n") + "\n"


def key(loaded):
    return f"{loaded['kind'].lower()}-{loaded['metadata']['name'].removeprefix('sweep-')}"


def plain_text(text):
    lines = [line for line in text.splitlines() if not HELM_LINES.match(line)]
    # What has no children left goes too.
    kept = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        indent = lambda of: len(of) - len(of.lstrip())
        if line.strip() == "annotations:" and indent(following) <= indent(line):
            continue
        kept.append(line)
    return "\n".join(kept) + "\n"


def objects(path):
    """By file name, the objects that a plain installation has: no tokens, which nobody should write into files, and no hooks."""
    found = {}
    for loaded, text in documents(path.read_text()):
        hook = "helm.sh/hook" in loaded["metadata"].get("annotations", {})
        if loaded["kind"] != "Secret" and not hook:
            found[key(loaded)] = plain_text(text)
    return found


def plain(folder, write):
    """Splits the chart's two forms into what they share and what they do not, and adds what components add."""
    sqlite, postgres = objects(folder / "helm-sqlite.yaml"), objects(folder / "helm-postgres.yaml")
    shared = {name for name in sqlite if postgres.get(name) == sqlite[name]}
    wanted = {}

    def put(place, files, head):
        for name, text in files.items():
            wanted[PLAIN / place / f"{name}.yaml"] = text
        listed = "".join(f"  - {name}.yaml\n" for name in sorted(files))
        wanted[PLAIN / place / "kustomization.yaml"] = head.replace("@RESOURCES@", listed)

    head = "# Rendered from deploy/helm/sweep by `ci/deploy --write`; change it there.\n"
    kustomization = head + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: sweep\nresources:\n"
    put("base", {name: sqlite[name] for name in shared}, kustomization + "  - ../namespace.yaml\n@RESOURCES@".replace("../", ""))
    for store, all_of in (("sqlite", sqlite), ("postgres", postgres)):
        put(f"overlays/{store}", {name: text for name, text in all_of.items() if name not in shared},
            kustomization + "  - ../../base\n@RESOURCES@")
    component = head + "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources:\n@RESOURCES@"
    # Who scales decides how many there are.
    scaled = ("patches:\n  - target: { kind: Deployment, labelSelector: app.kubernetes.io/component=worker }\n"
              "    patch: |\n      - { op: remove, path: /spec/replicas }\n")
    for name in ("monitoring", "keda", "hpa", "ingress"):
        added = objects(folder / f"component-{name}.txt")
        added = {name: text for name, text in added.items() if name not in sqlite and name not in postgres}
        put(f"components/{name}", added, component + (scaled if name in ("keda", "hpa") else ""))
        composed = folder / "composed" / f"with-{name}"
        composed.mkdir(parents=True)
        # kustomize follows no absolute path.
        up = os.path.relpath(pathlib.Path.cwd(), composed.resolve())
        (composed / "kustomization.yaml").write_text(
            f"resources: [{up}/{PLAIN}/overlays/sqlite]\ncomponents: [{up}/{PLAIN}/components/{name}]\n")
    wanted[deploy_values.CHART / "README.md"] = deploy_values.readme()
    kept = {PLAIN / "base/namespace.yaml", PLAIN / "prometheus-adapter.yaml"} | {path for path in PLAIN.rglob("values.yaml")}
    stale = [path for path in PLAIN.rglob("*.yaml") if path not in wanted and path not in kept]
    differing = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if write:
        for path in stale:
            path.unlink()
        for path in differing:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        print(f"plain manifests: {len(differing)} written, {len(stale)} removed")
    elif stale or differing:
        sys.exit("the plain manifests or the table of values are not what the chart says; `ci/deploy --write` makes them anew:\n"
                 + "\n".join(f"  {path}" for path in sorted(stale + differing)))


def validate(paths):
    problems, count = deploy_compose.problems(), 0
    for path in paths:
        loaded = [loaded for loaded, _ in documents(path.read_text())]
        count += len(loaded)
        problems += [f"{path.name}: {problem}" for problem in checks.problems(loaded, VERSIONS)]
        if path.name == "helm-volumes.yaml":
            problems += server.sources(loaded)
    if problems:
        sys.exit("\n".join(problems))
    print(f"{count} objects in {len(paths)} installations: right for Kubernetes {', '.join(VERSIONS)}, KEDA and the Prometheus "
          "operator, restricted, and fitting each other")
    everything = next(path for path in paths if path.name == "helm-everything.yaml")
    missed = checks.missed([loaded for loaded, _ in documents(everything.read_text())], VERSIONS[-1:])
    if missed:
        sys.exit("these mistakes were planted and not found:\n" + "\n".join(f"  {name}" for name in missed))
    print(f"{len(checks.MISTAKES)} planted mistakes were found")


def front(path):
    for loaded, _ in documents(path.read_text()):
        if "haproxy.cfg" in loaded.get("data", {}):
            print(loaded["data"]["haproxy.cfg"])


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "plain":
        plain(pathlib.Path(arguments[0]), "--write" in arguments)
    elif command == "validate":
        validate([pathlib.Path(path) for path in arguments])
    elif command == "examples":
        deploy_pages.write_values(pathlib.Path(arguments[0]))
    elif command == "front":
        front(pathlib.Path(arguments[0]))
    else:
        sys.exit(f"unknown: {command}")


if __name__ == "__main__":
    main()
