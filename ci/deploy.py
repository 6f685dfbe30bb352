"""Holds rendered manifests against Kubernetes' schemas, the operators', pod security and each other; and makes the plain
manifests of deploy/kubernetes from the chart. Started by ci/deploy."""

import copy
import os
import pathlib
import re
import shutil
import sys

import yaml

import deploy_checks as checks
import deploy_commands
import deploy_compose
import deploy_pages
import deploy_server as server
import deploy_values

VERSIONS = ["1.29", "1.32", "1.35", "1.37"]
PLAIN = pathlib.Path("deploy/kubernetes")
# What is helm's own, and what a configuration's checksum is good for.
HELM_LINES = re.compile(r"^\s*(# Source: .*|app\.kubernetes\.io/managed-by: .*|helm\.sh/chart: .*|checksum/config: .*|"
                        r"# A changed configuration restarts the pod\.|annotations: \{ helm\.sh/resource-policy: keep \})$")


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
    """By file name, the objects of a plain installation: no tokens, which do not belong into files, and no hooks."""
    found = {}
    for loaded, text in documents(path.read_text()):
        hook = "helm.sh/hook" in loaded["metadata"].get("annotations", {})
        if loaded["kind"] == "Secret" or hook:
            continue
        if loaded["kind"] == "Deployment" and "worker" in loaded["metadata"]["name"]:
            # Kubernetes starts with one. A number here would be set again by every apply, and undo what scales the Deployment.
            text = text.replace("\n  replicas: 1\n", "\n")
        # Components scale up to so many workers; a coordinator counts no demand beyond what it knows of.
        text = re.sub(r"^(\s+max_workers:) 1$", rf"\1 {COMPONENT_WORKERS}", text, flags=re.M)
        found[key(loaded)] = plain_text(text)
    return found


HEAD = "# Rendered from deploy/helm/sweep by `ci/deploy --write`; change it there.\n"
KUSTOMIZATION = HEAD + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
COMPONENT = HEAD + "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources:\n"
STORES = ("sqlite", "postgres")
# What is applied once, while no coordinator runs.
JOBS = ("migration", "restore/sqlite", "restore/postgres")
# `maxReplicas` of components/keda and components/hpa.
COMPONENT_WORKERS = 8
COMPONENTS = ("monitoring", "keda", "hpa", "ingress", "backup")


def plain_files(folder):
    """What the plain manifests are: what the chart's two forms share, what they do not, and what components add. Claims have
    folders of their own, so that deleting an installation leaves them."""
    every = {store: objects(folder / f"helm-{store}.yaml") for store in STORES}
    claims = {store: {name: text for name, text in listed.items() if name.startswith("persistentvolumeclaim-")}
              for store, listed in every.items()}
    removable = {store: {name: text for name, text in listed.items() if name not in claims[store]} for store, listed in every.items()}
    shared = {name for name, text in removable["sqlite"].items() if removable["postgres"].get(name) == text}
    wanted = {}

    def put(place, files, head, first=()):
        wanted.update({PLAIN / place / f"{name}.yaml": text for name, text in files.items()})
        listed = list(first) + [f"{name}.yaml" for name in sorted(files)]
        wanted[PLAIN / place / "kustomization.yaml"] = head + "".join(f"  - {name}\n" for name in listed)

    put("base", {name: every["sqlite"][name] for name in shared}, KUSTOMIZATION)
    for store in STORES:
        put(f"storage/{store}", claims[store], KUSTOMIZATION)
        put(f"overlays/{store}", {name: text for name, text in removable[store].items() if name not in shared}, KUSTOMIZATION, ["../../base"])
    known = {name for listed in every.values() for name in listed}
    for name in COMPONENTS:
        added = objects(folder / f"component-{name}.txt")
        added = {name: text for name, text in added.items() if name not in known}
        claimed = {name: text for name, text in added.items() if name.startswith("persistentvolumeclaim-")}
        put(f"components/{name}", {name: text for name, text in added.items() if name not in claimed}, COMPONENT)
        if claimed:
            put(f"storage/{name}", claimed, KUSTOMIZATION)
        known |= set(added) if name == "backup" else set()
    for name in JOBS:
        added = objects(folder / f"component-{name.replace('/', '-')}.txt")
        put(name, {name: text for name, text in added.items() if name not in known}, KUSTOMIZATION)
    wanted[deploy_values.CHART / "README.md"] = deploy_values.readme()
    return wanted


def compose(folder):
    """Overlays such as a user writes them: each component, and all of them in another namespace."""
    def put(name, lines):
        composed = folder / "composed" / name
        composed.mkdir(parents=True)
        # kustomize follows no absolute path.
        up = os.path.relpath(pathlib.Path.cwd(), composed.resolve())
        # kustomize reads replacements from the overlay's own folder alone.
        shutil.copy(PLAIN / "another-namespace.yaml", composed)
        (composed / "kustomization.yaml").write_text("\n".join(lines).replace("@", f"{up}/{PLAIN}") + "\n")

    for name in COMPONENTS:
        claims = ", ".join(f"@/storage/{claim}" for claim in ("sqlite", name) if (PLAIN / "storage" / claim).exists())
        put(f"with-{name}", [f"resources: [@/overlays/sqlite, {claims}]", f"components: [@/components/{name}]"])
    put("with-replicas", ["resources: [@/overlays/sqlite, @/storage/sqlite]", "replicas: [{ name: sweep-worker-gpu, count: 8 }]"])
    put("with-migration", ["resources: [@/overlays/postgres, @/storage/postgres, @/storage/sqlite, @/migration]"])
    for store in STORES:
        put(f"with-restore-{store}", [f"resources: [@/overlays/{store}, @/storage/{store}, @/storage/backup, @/restore/{store}]"])
    page = deploy_pages.files()["kustomization.yaml"].text.replace("../deploy/kubernetes", "@")
    put(f"{server.OTHER_NAMESPACE}-page", page.splitlines())
    for store in STORES:
        for scaler in ("keda", "hpa"):
            listed = ", ".join(f"@/components/{name}" for name in COMPONENTS if name == scaler or name not in ("keda", "hpa"))
            put(f"lab-{store}-{scaler}", [f"namespace: {server.OTHER_NAMESPACE}", f"resources: [@/overlays/{store}, @/storage/{store}, @/storage/backup]",
                f"components: [{listed}]", "replacements: [{ path: another-namespace.yaml }]"])


def plain(folder, write):
    wanted = plain_files(folder)
    compose(folder)
    kept = {PLAIN / "namespace.yaml", PLAIN / "prometheus-adapter.yaml", PLAIN / "another-namespace.yaml"}
    kept |= {path for path in PLAIN.rglob("values.yaml")}
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


def besides(path):
    """What an overlay needs and has not: its claim, which is in a folder of its own."""
    store = path.stem.removeprefix("kustomize-")
    if store not in STORES:
        return []
    return [loaded for loaded, _ in documents((path.parent / f"kustomize-storage-{store}.yaml").read_text())]


def installation(path):
    """What is wrong with one rendered installation, and how many objects it has."""
    loaded, others = [loaded for loaded, _ in documents(path.read_text())], besides(path)
    found = checks.problems(loaded + others, VERSIONS) + server.namespaces(loaded, server.namespace_of(path.stem))
    if others:
        found += server.kept(loaded)
    if path.name == "helm-volumes.yaml":
        found += server.sources(loaded)
    return [f"{path.name}: {problem}" for problem in found], len(loaded)


def planted(path):
    """Mistakes that are not found in an installation that is right."""
    loaded = [loaded for loaded, _ in documents(path.read_text())]
    missed = checks.missed(loaded, VERSIONS[-1:])
    for name, place in (("an object of another namespace", "metadata"), ("an address of another namespace", "spec")):
        wrong = copy.deepcopy(loaded)
        checks.first(wrong, "Service", "peers")[place]["namespace"] = "elsewhere"
        if not server.namespaces(wrong, server.namespace_of(path.stem)):
            missed.append(name)
    if not server.kept(loaded):
        missed.append("claims that go with an installation")
    return missed


def validate(paths):
    scraped = yaml.safe_load(pathlib.Path("deploy/prometheus/prometheus-kubernetes.yml").read_text())
    problems, count = deploy_compose.problems() + server.scraping(scraped), 0
    for path in paths:
        found, objects_of = installation(path)
        problems, count = problems + found, count + objects_of
    if problems:
        sys.exit("\n".join(problems))
    print(f"{count} objects in {len(paths)} installations: right for Kubernetes {', '.join(VERSIONS)}, KEDA and the Prometheus "
          "operator, restricted, and fitting each other")
    missed = planted(next(path for path in paths if path.name == "helm-everything.yaml"))
    if missed:
        sys.exit("these mistakes were planted and not found:\n" + "\n".join(f"  {name}" for name in missed))
    print(f"{len(checks.MISTAKES) + 3} planted mistakes were found")


def commands_of_pages(folder, kubectl, helm):
    """What is wrong with the commands of the pages, and with the objects that people write by them."""
    found, count = deploy_commands.problems(folder, kubectl, helm)
    for place, loaded in deploy_pages.objects():
        own = server.problems(loaded) + [problem for pod in checks.pods(loaded) for problem in checks.restricted(pod)]
        if "kueue" not in loaded["apiVersion"]:
            own += checks.schema(loaded, VERSIONS)
        found += [f"{place}: {loaded['kind']} {loaded['metadata']['name']}: {problem}" for problem in own]
    if found:
        sys.exit("\n".join(found))
    print(f"{count} commands of the pages, and {len(deploy_commands.MISTAKES)} planted mistakes in such commands were found")


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
        deploy_pages.write(pathlib.Path(arguments[0]))
    elif command == "pages":
        commands_of_pages(pathlib.Path(arguments[0]), *arguments[1:])
    elif command == "front":
        front(pathlib.Path(arguments[0]))
    else:
        sys.exit(f"unknown: {command}")


if __name__ == "__main__":
    main()
