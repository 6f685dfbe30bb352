"""Runs a small real sweep with trouble on purpose, scraped by a real Prometheus with the shipped scrape configuration and
rules. Holds what Prometheus says against the store, and asks everything that the dashboards ask.

There is no GPU here: what a worker with two GPUs would serve is written down in watching-gpu.txt and scraped as one more
worker."""
import http.server
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from watching_panels import Answers, Prometheus, check_panels, check_variables, picture_data

ROOT = Path(__file__).resolve().parent.parent
SWEEPCTL = ROOT / "target/debug/sweepctl"
OUT = ROOT / "target/watching"
LEASE_MS = 4000
SPEC = """
version: 1
name: NAME
dataset: { kind: synthetic_scenes, seed: SEED, image_size: 16, channels: 1, classes: 8, train_images: IMAGES, test_images: 120 }
protocol: { epochs: EPOCHS, batch_size: 16 }
seeds: 3
baseline: { family: cnn, conv_layers: 1, filters: 8, kernel_size: 3, dense_units: 16 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2] }, keep: best }
  - { name: width, from: depth, vary: { filters: [8, 12] } }
"""
# With --long there is more to see in a picture.
SIZES = {False: {"EPOCHS": "10", "IMAGES": "480"}, True: {"EPOCHS": "25", "IMAGES": "2400"}}
PATIENCE = 600
TOKENS = {role: secrets.token_hex(20) for role in ("admin", "worker", "reader", "stranger")}
ATTEMPT_STATES = {1: "succeeded", 2: "failed", 3: "stopped", 4: "expired"}


def fail(what):
    raise SystemExit(f"ci/watching: {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text_of(address, token="reader"):
    """What is served to somebody who shows a token. Workers ask for none."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Authorization": f"Bearer {TOKENS[token]}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def number_of(address, series):
    for line in text_of(address).splitlines():
        if line.startswith(f"{series} "):
            return float(line.split()[-1])
    return 0.0


def until(what, holds, limit=60):
    end = time.monotonic() + limit
    while True:
        try:
            if found := holds():
                return found
        except OSError:
            pass
        if time.monotonic() > end:
            fail(f"waited {limit} s for {what}")
        time.sleep(0.1)


class RecordedWorker(http.server.BaseHTTPRequestHandler):
    """Serves what a worker with GPUs would."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write((ROOT / "ci/watching-gpu.txt").read_bytes())

    def log_message(self, *_):
        pass


class Scenario:
    """The processes, and what is done to them."""

    def __init__(self, folder, long):
        self.folder, self.processes, self.long = folder, {}, long
        for role, token in TOKENS.items():
            (folder / f"{role}.token").write_text(token)
            (folder / f"{role}.token").chmod(0o600)
        self.grpc, self.http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.workers = {name: f"127.0.0.1:{free_port()}" for name in ("early", "steady", "doomed")}

    def start(self, name, *command, ready=None):
        log = (self.folder / f"{name}.log").open("w")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if ready:
            until(f"{name} to be ready", ready)

    def sweepctl(self, *words, code=0):
        command = [
            SWEEPCTL, "--coordinator", f"http://{self.grpc}", "--token-file", self.folder / "admin.token", "--output", "json", *words,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != code:
            fail(f"{' '.join(map(str, words))} gave {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout and code == 0 else None

    def start_worker(self, name):
        folder = self.folder / name
        self.start(
            name, SWEEPCTL, "worker", "--coordinator", f"http://{self.grpc}", "--name", name, "--slots", "1",
            "--token-file", self.folder / "worker.token", "--state-dir", folder, "--cache-dir", self.folder / "cache", "--listen-http", self.workers[name],
            ready=lambda: text_of(self.workers[name]),
        )

    def start_coordinator(self):
        self.start(
            "coordinator", SWEEPCTL, "coordinator", "--listen", self.grpc, "--listen-http", self.http,
            "--admin-token-file", self.folder / "admin.token", "--worker-token-file", self.folder / "worker.token",
            "--read-token-file", self.folder / "reader.token", "--store", self.folder / "sweep.db",
            "--lease-ttl-ms", str(LEASE_MS), "--retry-backoff-ms", "500",
            ready=lambda: text_of(self.http),
        )

    def start_prometheus(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RecordedWorker)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        recorded = f"127.0.0.1:{server.server_address[1]}"
        shipped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        quoted = lambda addresses: ", ".join(f'"{address}"' for address in addresses)
        for old, new in (
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 30s", "evaluation_interval: 1s"),
            ("rules/*.yaml", f"{ROOT}/deploy/prometheus/rules/*.yaml"),
            ("/etc/prometheus/sweep-read-token", str(self.folder / "reader.token")),
            ('"coordinator:7734"', quoted([self.http])),
            ('"worker-1:9465", "worker-2:9465"', quoted([*self.workers.values(), recorded])),
        ):
            if old not in shipped:
                fail(f"deploy/prometheus/prometheus.yml no longer has {old}")
            shipped = shipped.replace(old, new)
        config = self.folder / "prometheus.yml"
        config.write_text(shipped)
        address = f"127.0.0.1:{free_port()}"
        self.start(
            "prometheus", "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder}/tsdb",
            f"--web.listen-address={address}", "--log.level=warn",
            ready=lambda: urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).status == 200,
        )
        return Prometheus(address)

    def submit(self, name, seed, *flags):
        spec = self.folder / f"{name}.yaml"
        text = SPEC.replace("NAME", name).replace("SEED", str(seed))
        for what, size in SIZES[self.long].items():
            text = text.replace(what, size)
        spec.write_text(text)
        return self.sweepctl("submit", str(spec), *flags)

    def trainers(self, name):
        pid = self.processes[name].pid
        children = [(Path("/proc") / str(pid) / "task" / task / "children").read_text().split()
                    for task in os.listdir(f"/proc/{pid}/task")]
        return [int(child) for some in children for child in some]

    def running_on(self, name):
        return number_of(self.workers[name], f'sweep_worker_slots{{state="running",worker="{name}"}}') > 0

    def kill_worker(self, name):
        """With a trial on it: the worker is lost, and its trial runs elsewhere."""
        until(f"a trial on {name}", lambda: self.running_on(name))
        self.processes[name].kill()
        until("its lease to run out", lambda: number_of(self.http, "sweep_workers_lost_total") == 1)

    def kill_trainer(self, name):
        """With a trial in it: the attempt fails, and the trial is tried again."""
        failures = 'sweep_attempt_failures_total{class="trainer"}'
        until(f"a trial on {name}", lambda: self.running_on(name))
        for pid in self.trainers(name):
            os.kill(pid, signal.SIGKILL)
        until("the failure to be counted", lambda: number_of(self.http, failures) >= 1)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                print(f"{name} had to be killed", file=sys.stderr)


def hold(what, said, true):
    if said is None or abs(said - true) > 1e-9 * max(1.0, abs(true)):
        fail(f"{what}: Prometheus says {said}, the store {true}")


def hold_against_store(scenario, prometheus, sweep):
    """What was counted is what is stored."""
    status = scenario.sweepctl("status", str(sweep))
    counts = status["counts"]
    states = {state: counts[state] for state in ("queued", "running", "diverged", "failed", "cancelled")}
    states["succeeded"] = counts["succeeded"] - counts["diverged"]
    for state, true in states.items():
        hold(f"trials {state}", prometheus.value(f'sweep_trials_by_sweep{{sweep="{sweep}",state="{state}"}}'), true)
    board = scenario.sweepctl("leaderboard", str(sweep))
    ranked = [row for row in board["rows"] if row["rank"]][:10]
    for row in ranked:
        rank = f'sweep_leaderboard_value{{sweep="{sweep}",rank="{row["rank"]}"}}'
        hold(f"rank {row['rank']}", prometheus.value(rank), row[board["metric"]]["mean"])
        parameters = f'sweep_leaderboard_params{{sweep="{sweep}",rank="{row["rank"]}"}}'
        hold(f"parameters of rank {row['rank']}", prometheus.value(parameters), row["params"])
    hold("best value", prometheus.value(f'sweep_best_value{{sweep="{sweep}"}}'), status["best"]["value"])
    store = sqlite3.connect(f"file:{scenario.folder}/sweep.db?mode=ro", uri=True)
    one = lambda query, *values: store.execute(query, values).fetchone()[0]
    for code, state in ATTEMPT_STATES.items():
        true = one("SELECT COUNT(*) FROM attempts WHERE state = ?", code)
        hold(f"attempts {state}", prometheus.value(f'sweep_attempts_total{{outcome="{state}"}}'), true)
    hold("points", prometheus.value("sweep_points_ingested_total"), one("SELECT COUNT(*) FROM points"))
    failed = one("SELECT COUNT(*) FROM attempts WHERE state IN (2, 4)")
    lost = one("SELECT COUNT(*) FROM attempts WHERE state = 4")
    hold("failures", prometheus.value("sum(sweep_attempt_failures_total)"), failed)
    hold("failures by loss", prometheus.value('sweep_attempt_failures_total{class="lost"}'), lost)
    # No trial failed for good, so every failure was tried again.
    hold("retries", prometheus.value("sum(sweep_retries_total)"), failed)
    hold("trials that failed", prometheus.value("sum(sweep_trials_failed_total)"), 0)
    for worker in ("early", "steady"):
        true = one("SELECT COUNT(*) FROM attempts WHERE worker = ? AND state = 1", worker)
        hold(f"answers of {worker}", prometheus.value(f'sweep_worker_attempts_total{{worker="{worker}",outcome="converged"}}'), true)
    predicted = one("SELECT COUNT(*) FROM predictions JOIN attempts ON key = predictions.attempt WHERE state = 1")
    hold("answers that were predicted", prometheus.value("sum(sweep_predictions_total)"), predicted)
    print(f"values hold against the store: {counts['succeeded']} trials, {one('SELECT COUNT(*) FROM points')} points, "
          f"{failed} failed attempts, {len(ranked)} ranks")


def check_pages(scenario):
    """Prometheus's own checker reads what is served, names and units included; and who shows no token of ours reads nothing."""
    try:
        text_of(scenario.http, "stranger")
        fail("a stranger reads the coordinator's metrics")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            fail(f"a stranger is refused with {error.code}")
    for address in (scenario.http, scenario.workers["early"], scenario.workers["steady"]):
        done = subprocess.run(["promtool", "check", "metrics"], input=text_of(address), text=True)
        if done.returncode != 0:
            fail(f"the metrics of {address} are not as they should be")


def check_rules(prometheus):
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wrong = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]
    if wrong or not rules:
        fail(f"rules are not evaluated: {wrong}")
    firing = {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"}
    if firing != {"SweepWorkersLost"}:
        fail(f"a worker was lost and nothing else is amiss, but these fire: {sorted(firing)}")
    print(f"{len(rules)} rules are evaluated; of the alerts SweepWorkersLost fires, as it should")


def run(scenario):
    scenario.start_worker("early")
    failing = 'sweep_worker_calls_failed_total{method="register",worker="early"}'
    until("a call to fail while there is no coordinator", lambda: number_of(scenario.workers["early"], failing) > 0)
    scenario.start_coordinator()
    prometheus = scenario.start_prometheus()
    prometheus.until("every target", lambda: prometheus.value("sum(up)") is not None)
    begun = time.time()
    sweep = scenario.submit("watched", 1)["sweep"]["id"]
    paused = scenario.submit("paused", 2)["sweep"]["id"]
    scenario.sweepctl("pause", str(paused))
    scenario.start_worker("steady")
    scenario.start_worker("doomed")
    scenario.sweepctl("status", "999", code=1)
    scenario.kill_worker("doomed")
    scenario.kill_trainer("steady")
    scenario.sweepctl("status", "999", code=1)
    until("most of the sweep", lambda: number_of(scenario.http, f'sweep_progress_ratio{{name="watched",sweep="{sweep}"}}') >= 0.7, PATIENCE)
    picture = time.time()
    until("the sweep to end", lambda: scenario.sweepctl("status", str(sweep))["state"] != "running", PATIENCE)
    ended = f'sweep_progress_ratio{{sweep="{sweep}"}} == 1 and on (sweep) sweep_trials_by_sweep{{state="succeeded"}}'
    prometheus.until("the end of the sweep", lambda: prometheus.at(ended))
    # What workers count arrives with their next scrape, and what rules make of it with their next evaluation.
    seen = time.time()
    prometheus.until("a scrape of everybody", lambda: (prometheus.value("min(timestamp(up))") or 0) > seen)
    scraped = time.time()
    prometheus.until("an evaluation of every rule", lambda: all(moment > scraped for moment in prometheus.evaluated()))
    answers = Answers(prometheus, begun, time.time())
    hold_against_store(scenario, prometheus, sweep)
    check_pages(scenario)
    check_rules(prometheus)
    choices = check_variables(prometheus)
    print(f"variables: {choices}")
    asked = check_panels(answers, str(sweep), choices["worker"])
    print(f"{asked} queries of the panels have data, and no range has a series for each trial")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "sweeps.json").write_text(json.dumps(picture_data(answers, "sweeps", picture)))


def main():
    with tempfile.TemporaryDirectory(prefix="watching-") as folder:
        scenario = Scenario(Path(folder), "--long" in sys.argv[1:])
        try:
            run(scenario)
        except BaseException:
            for name in scenario.processes:
                tail = (Path(folder) / f"{name}.log").read_text()[-1500:]
                print(f"--- {name}\n{tail}", file=sys.stderr)
            raise
        finally:
            scenario.stop()


main()
