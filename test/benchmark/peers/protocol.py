"""The Python half of the line protocol of harness/contestant.ts: what every contestant in Python does."""

import json
import sys
import time

import numpy as np


def pseudo_random_bytes(count):
    """uint8[count]: the same bytes as contestants/synthetic-batch.ts: the finaliser "lowbias32" (Wellons 2018) of the index."""
    x = np.arange(count, dtype=np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x & np.uint32(255)).astype(np.uint8)


def batch(setup):
    """images uint8 [n, s, s, 3], labels int [n]"""
    n, size = setup["batchSize"], setup["imageSizePx"]
    return pseudo_random_bytes(n * size * size * 3).reshape(n, size, size, 3), np.arange(n) * 37 % setup["classes"]


def peak_bytes():
    """Largest resident size that this process ever had."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def answer(message):
    print(json.dumps(message), flush=True)


def serve(prepare):
    """prepare(setup) builds everything and returns the function that makes one step."""
    setup = json.loads(sys.argv[1])
    started = time.perf_counter()
    step = prepare(setup)
    built = time.perf_counter()
    step()
    answer({"buildSeconds": built - started, "firstStepSeconds": time.perf_counter() - built})
    for line in sys.stdin:
        step()  # The others had the caches in between.
        durations = []
        for _ in range(json.loads(line)["steps"]):
            before = time.perf_counter()
            step()
            durations.append((time.perf_counter() - before) * 1000)
        answer({"stepMs": durations, "peakBytes": peak_bytes()})
