"""What questions about a large sweep, or about many sweeps, cost a coordinator: seconds, bytes, and memory.

usage: questions.py COORDINATOR STORE [--sweep N | --sweeps]

COORDINATOR is the program `sweep-coordinator`; STORE a SQLite file that the ignored test `fills_a_large_store` filled
(coordinator/src/engine/testing/large_store.rs says how). Every line is one question, asked of a coordinator that was started for it: the
seconds until the whole answer was there, its bytes, and the peak of the memory above what the coordinator took before.
Timings are for people to read; no test compares them.
"""

import argparse
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait


class Coordinator:
    """A coordinator on a store, until it is left."""

    def __init__(self, program, store):
        arguments = [program, "--store", store, "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--log", "error"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        # It prints one line, with its addresses, once it answers.
        found = re.search(r"^ready .*http=(\S+:\d+)", self.process.stdout.readline())
        if not found:
            raise SystemExit("the coordinator ended")
        self.address = found[1]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, path):
        """The seconds, the bytes and the status of an answer."""
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=600) as answer:
                size, status = len(answer.read()), answer.status
        except urllib.error.HTTPError as refused:
            size, status = len(refused.read()), refused.code
        return time.monotonic() - began, size, status

    def memory(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"^{field}:\s+(\d+) kB", status.read(), re.M).group(1)) / 1024

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")
        return self.memory("VmRSS")


def line(what, seconds, size, memory):
    print(f"{what:<52} {seconds:9.3f} s {size:11,} B {memory:9.1f} MiB", flush=True)


def one(arguments, what, *paths, together=1, beside=None):
    """The first of these paths cold, the others after it; `together` times at once, with `beside` asked meanwhile."""
    with Coordinator(arguments.coordinator, arguments.store) as coordinator:
        for number, path in enumerate(paths):
            before = coordinator.forget_peak()
            with ThreadPoolExecutor(together + 1) as threads:
                began = time.monotonic()
                asked = [threads.submit(coordinator.ask, path) for _ in range(together)]
                waited, refused = [], 0
                # Some twenty times a second, until every answer is there.
                while beside and wait(asked, timeout=0.05).not_done:
                    took, _, status = coordinator.ask(beside)
                    waited.append(took)
                    refused += status != 200
                size = sum(one.result()[1] for one in asked)
                seconds = time.monotonic() - began
            wrong = [one.result()[2] for one in asked if one.result()[2] != 200]
            name = what if number == 0 else f"  and then {path}"
            name += f" ({len(wrong)} REFUSED)" if wrong else ""
            line(name, seconds, size, coordinator.memory("VmHWM") - before)
            if waited:
                print(f"  {beside} beside it: {max(waited):.3f} s at most, {len(waited)} asked, {refused} refused", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coordinator")
    parser.add_argument("store")
    parser.add_argument("--sweep", default="1", help="the large one")
    parser.add_argument("--sweeps", action="store_true", help="only what is asked of a list of many sweeps")
    arguments = parser.parse_args()
    sweep = f"/api/v1/sweeps/{arguments.sweep}"
    print(f"{arguments.store}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    one(arguments, "a scrape, cold", "/metrics", "/metrics")
    one(arguments, "a page of sweeps, cold", "/api/v1/sweeps?limit=1", "/api/v1/sweeps?limit=100")
    one(arguments, "a page of sweeps, six times at once, cold", "/api/v1/sweeps?limit=1", together=6, beside="/readyz")
    if arguments.sweeps:
        return
    one(arguments, "a status, cold", sweep, sweep)
    one(arguments, "a page of trials, six times at once, cold", f"{sweep}/trials?limit=1", together=6, beside="/readyz")
    board = f"{sweep}/leaderboard?limit=1"
    one(arguments, "a page of the leaderboard, cold", board, board, f"{sweep}/leaderboard?limit=100")
    one(arguments, "a page of the leaderboard, six times at once, cold", board, together=6, beside="/readyz")
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
