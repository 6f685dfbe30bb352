"""The commands of the pages, against the programs and against what is rendered: kubectl and helm have the flags, files and folders
are there, objects have the names, values render. `sweepctl` reads its own commands in the tests of Rust. Nothing is run but
`--help`, `helm template` and `bash -n`."""

import functools
import pathlib
import re
import shlex
import subprocess

import yaml

import deploy_pages as pages
import deploy_server as server

KINDS = {"pod": "Pod", "pods": "Pod", "service": "Service", "deployment": "Deployment", "statefulset": "StatefulSet", "job": "Job",
         "cronjob": "CronJob", "pvc": "PersistentVolumeClaim", "secret": "Secret", "namespace": "Namespace", "events": "Event",
         "scaledobject": "ScaledObject", "scaledjob": "ScaledJob"}
# Programs of every machine, and those whose commands other tests read.
PLAIN = {"export", "for", "rm", "cd", "head", "od", "tr", "base64", "cat", "umask", "curl", "id", "echo", "sweepctl", "cargo", "sbatch",
         "scancel", "systemctl", "install", "podman-compose", "./tokens.sh"}
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")


class Cluster:
    """Everything that any installation of the rendered ones has, and what the pages have people create."""

    def __init__(self, rendered, kubectl, helm):
        self.kubectl, self.helm, self.rendered = kubectl, helm, rendered
        texts = [path.read_text() for path in rendered.glob("*.yaml") if "-lab" not in path.name]
        self.objects = [loaded for text in texts for loaded in yaml.safe_load_all(text) if loaded]
        self.objects += [loaded for _, loaded in pages.objects()]
        self.objects.append(yaml.safe_load(pathlib.Path("deploy/kubernetes/namespace.yaml").read_text()))
        self.secrets = {name for loaded in self.objects for name in re.findall(r"secret(?:Name|KeyRef)?': (?:{'name': )?'([a-z0-9-]+)'", str(loaded))}
        self.created, self.images = set(), set()

    def named(self, kind, name):
        return [one for one in self.objects if one["kind"] == kind and one["metadata"]["name"] == name]

    def has(self, kind, name):
        return bool(self.named(kind, name)) or (kind, name) in self.created or (kind == "Secret" and name in self.secrets)

    def labelled(self, label):
        key, _, value = label.partition("=")
        places = [one["metadata"].get("labels", {}) for one in self.objects]
        places += [template["metadata"].get("labels", {}) for template in map(server.template, self.objects) if template]
        return any(labels.get(key) == value for labels in places)

    @functools.cache
    def help(self, program, verb):
        command = [program, *verb, "--help"]
        text = subprocess.run(command, capture_output=True, text=True).stdout
        if program == self.kubectl:
            text += subprocess.run([program, "options"], capture_output=True, text=True).stdout
        return text


def segments(line):
    """The simple commands of a line: words up to a pipe, a semicolon, a bracket."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, redirected = [[]], False
    for word in lexer:
        if redirected or set(word) <= set("<>"):
            # The file behind it is no command.
            redirected = not redirected
        elif set(word) <= set("();|&") or word in ("do", "done", "then"):
            found.append([])
        else:
            found[-1].append(word)
    for words in found:
        while words and (re.match(r"^[A-Z_]+=", words[0]) or words[0] == "export"):
            words.pop(0)
    return [words for words in found if words]


def commands():
    """Every command of a box, and those between backticks that are kubectl's and helm's."""
    for box in pages.boxes():
        if box.language or "─" in box.text:
            continue
        checked = subprocess.run(["bash", "-n"], input=box.text, capture_output=True, text=True)
        yield box.place, [] if not checked.returncode else ["bash", checked.stderr.strip()]
        for line in box.text.replace("\\\n", " ").splitlines():
            for words in segments(line):
                yield box.place, words
    for page in pages.PAGES:
        prose = pages.BOX.sub("", pathlib.Path(page).read_text())
        for span in re.findall(r"`((?:kubectl|helm) [^`]+)`", prose):
            # Shorter ones only name a command.
            yield from ((page, words) for words in segments(span) if len(words) > 3)


def flags(words):
    """The flags of a command, each with its value, and the other words."""
    found, rest, words = [], [], list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("--") and "=" in word:
            found.append(tuple(word.split("=", 1)))
        elif word in ("--reuse-values", "--all-containers"):
            found.append((word, ""))
        elif word.startswith("-") and word != "-":
            found.append((word, words.pop(0) if words else ""))
        else:
            rest.append(word)
    return found, rest


def unknown_flags(cluster, program, verb, given):
    text = cluster.help(program, verb)
    return [f"{' '.join(verb)} has no flag {flag}" for flag, _ in given if not re.search(rf"(^|[\s,]){re.escape(flag)}[=,\s]", text, re.M)]


def kubectl(cluster, words):
    given, rest = flags(words)
    verb = rest[:2] if rest[0] in ("rollout", "create") else rest[:1]
    if rest[:3] == ["create", "secret", "generic"]:
        verb = rest[:3]
    found = unknown_flags(cluster, cluster.kubectl, tuple(verb), given)
    rest = rest[len(verb):]
    for flag, value in given:
        if flag == "-n" and value != server.NAMESPACE:
            found.append(f"the namespace is {value}")
        if flag == "-k" and not (pathlib.Path(value) / "kustomization.yaml").exists():
            found.append(f"there is no folder {value}")
        if flag == "-f" and not pathlib.Path(value).exists() and value not in pages.files():
            found.append(f"there is no file {value}")
        if flag == "-l" and not cluster.labelled(value):
            found.append(f"nothing has the label {value}")
    if verb == ["create", "secret", "generic"]:
        return found + ([] if rest[0] in cluster.secrets else [f"no pod reads the secret {rest[0]}"])
    if verb == ["create", "job"]:
        cluster.created.add(("Job", rest[0]))
        rest = [value for flag, value in given if flag == "--from"]
    if verb == ["cp"] and len(rest) == 2:
        rest = [f"pod/{rest[1].split(':')[0]}"]
    return found + referred(cluster, verb, rest, dict(given))


def referred(cluster, verb, rest, given):
    """What is wrong with the objects that a command names."""
    names = [tuple(word.split("/", 1)) for word in rest if "/" in word]
    if not names and len(rest) > 1 and rest[0] in KINDS:
        names = [(rest[0], rest[1])]
    if not names and rest and rest[0] not in KINDS and rest[0] != rest[0].upper():
        names = [("pod", rest[0])]
    found = [f"what is a {rest[0]}" for _ in range(1) if not names and rest and rest[0] in KINDS.values()]
    for kind, name in names:
        if name == name.upper():
            continue
        if not cluster.has(KINDS.get(kind, kind), name):
            found.append(f"there is no {kind} {name}")
            continue
        objects = cluster.named(KINDS[kind], name)
        if verb == ["port-forward"]:
            open_ports = {str(port["port"]) for one in objects for port in one["spec"]["ports"]}
            found += [f"{name} has no port {port}" for port in rest[1:] if port not in open_ports]
        container = given.get("-c")
        if container and objects and not any(container in names_of(one) for one in objects):
            found.append(f"{name} has no container {container}")
    return found


def names_of(loaded):
    return {container["name"] for container in server.containers(server.pod(loaded))}


def helm(cluster, words):
    given, rest = flags(words)
    found = unknown_flags(cluster, cluster.helm, (rest[0],), given)
    if rest[1:2] != [server.NAMESPACE]:
        found.append(f"the release is {rest[1:2]}")
    if rest[0] not in ("install", "upgrade"):
        return found
    if rest[2:] != [str(pages.CHART)]:
        return found + [f"the chart is {rest[2:]}"]
    command = [cluster.helm, "template", "sweep", str(pages.CHART), "--namespace", server.NAMESPACE]
    for flag, value in given:
        if flag == "-f":
            if value not in pages.files():
                return found + [f"no box of the pages is {value}"]
            command += ["-f", str(cluster.rendered / "page-files" / value)]
        elif flag == "--set":
            command += ["--set", value]
    ran = subprocess.run(command, capture_output=True, text=True)
    return found + ([f"helm refuses it: {ran.stderr.strip().splitlines()[-1]}"] if ran.returncode else [])


def podman(cluster, words):
    given, rest = flags(words)
    if rest[0] == "push":
        return [] if rest[1] in cluster.images else [f"no command before builds {rest[1]}"]
    file = dict(given).get("-f", "Containerfile")
    box = pages.files().get(file)
    if not box and not pathlib.Path(file).exists():
        return [f"there is no file {file}"]
    text = box.text if box else pathlib.Path(file).read_text()
    cluster.images.update(value for flag, value in given if flag == "-t")
    arguments = [value.split("=")[0] for flag, value in given if flag == "--build-arg"]
    return [f"{file} has no argument {name}" for name in arguments if not re.search(rf"^ARG {name}\b", text, re.M)]


def problems_of(cluster, words):
    program, rest = words[0], words[1:]
    if program == "bash":
        return [f"bash does not read it: {rest[0]}"]
    if program in ("kubectl", "helm", "podman"):
        return {"kubectl": kubectl, "helm": helm, "podman": podman}[program](cluster, rest)
    if program not in PLAIN:
        return [f"what is {program}"]
    return [f"there is no {word}" for word in rest if word.startswith("deploy/") and not pathlib.Path(word).exists()]


MISTAKES = [
    "kubectl -n sweep rollout status deployment/sweep-coordinators", "kubectl -n sweep get pods --selectr a=b",
    "kubectl -n swept get pvc", "kubectl apply -k deploy/kubernetes/overlay/sqlite", "kubectl apply -f nothing.yaml",
    "kubectl -n sweep wait --for=delete pod -l app.kubernetes.io/component=workers", "kubectl -n sweep logs job/sweep-migration -c shop",
    "kubectl -n sweep port-forward service/sweep-coordinator 7735", "kubectl -n sweep create secret generic tokens-of-sweep --from-file=admin",
    "helm upgrade sweep deploy/helm/swep -n sweep", "helm upgrade sweep deploy/helm/sweep -n sweep -f nothing.yaml",
    "helm upgrade sweep deploy/helm/sweep -n sweep --set workers.gpu.replica=0", "helm upgrade swept deploy/helm/sweep -n sweep",
    "podman build -f deploy/containers/workers.Containerfile -t x .", "podman push registry.example.com/nothing:1",
    "podman build -f deploy/containers/worker.Containerfile --build-arg DEVISE=cpu -t x .", "install -m 0644 deploy/systemd/nothing.yaml /etc",
    "frobnicate sweep",
]


def problems(rendered, kubectl_path, helm_path):
    cluster = Cluster(rendered, kubectl_path, helm_path)
    found, count = pages.unclear(), 0
    for place, words in commands():
        if words:
            count += words[0] != "bash"
            found += [f"{place}: `{' '.join(words)}`: {problem}" for problem in problems_of(cluster, words)]
    missed = [line for line in MISTAKES if not any(problems_of(cluster, words) for words in segments(line))]
    found += [f"this mistake was planted and not found: {line}" for line in missed]
    return found, count
