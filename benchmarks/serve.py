"""`python -m benchmarks.serve`: how long POST /predict takes at 50 requests a second, for the default MLP of MNIST.

The server is a process of its own. Requests, each one image on a connection that stays open, are sent at their times
whether or not earlier ones have been answered, so that a slow answer delays the others and is counted with them.
"""

import argparse
import http.client
import json
import os
import pathlib
import platform
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

import xpnn
from xpnn.models import build

ROOT = pathlib.Path(xpnn.__file__).parents[1]
SENDERS = 8
"""Connections: a request waits for the first one that is free."""


def seconds(address: str, bodies: list[bytes], rate: float, count: int) -> list[float]:
    """From the time at which each request was due to its answer."""
    due: queue.Queue[tuple[float, bytes] | None] = queue.Queue()
    found: list[float] = []

    def send() -> None:
        line = http.client.HTTPConnection(urlsplit(address).netloc)
        while (one := due.get()) is not None:
            line.request("POST", "/predict", one[1], {"Content-Type": "application/json"})
            answer = line.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            found.append(time.perf_counter() - one[0])
        line.close()

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    for i in range(count):
        at = began + i / rate
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put((at, bodies[i % len(bodies)]))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return sorted(found)


def used(process: int) -> float:
    """Seconds of processor time that a process has used."""
    import psutil

    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    x, _, _, _ = xpnn.data.mnist()
    bodies = [json.dumps({"inputs": [image.tolist()]}).encode() for image in x[:100]]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mlp.safetensors"
        xpnn.Model(build("mlp", (28, 28, 1), 10, pixels=True), (28, 28, 1), seed=0).save(path)
        server = subprocess.Popen(
            [sys.executable, "-m", "xpnn", "serve", str(path), "--port", "0", "--json", "--backend", "numpy"],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            address = json.loads(server.stdout.readline())["address"]
            seconds(address, bodies, args.rate, 20)
            before = used(server.pid)
            found = [1000 * t for t in seconds(address, bodies, args.rate, int(args.rate * args.seconds))]
            spent = 1000 * (used(server.pid) - before) / len(found)
        finally:
            server.terminate()
            server.wait()
    middle, late = statistics.median(found), found[int(0.99 * len(found))]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"{len(found):,} requests at {args.rate:g} a second, processor time of the server {spent:.2f} ms each"
    )
    print(f"median {middle:.1f} ms, p99 {late:.1f} ms, worst {found[-1]:.1f} ms")


if __name__ == "__main__":
    main()
