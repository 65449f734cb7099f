"""Speed of inference: ``python -m benchmarks.outages.speed [--quick]``.

Processor time of one core, best of five rounds.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.compiling import is_compiled
from oms_topology.outages import kernels
from oms_topology.outages.inference import ForestInference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEEDERS, LATERALS, POINTS = 10, 11, 4


def make_forest(meters: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Substations with ten feeders, eleven laterals each, four distribution points each, 18 meters each."""
    parent: list[int] = []
    made = 0
    while made < meters:
        station = len(parent)
        parent.append(-1)
        for _ in range(FEEDERS):
            feeder = len(parent)
            parent.append(station)
            for _ in range(LATERALS):
                lateral = len(parent)
                parent.append(feeder)
                for _ in range(POINTS):
                    point = len(parent)
                    parent.append(lateral)
                    below = int(rng.integers(8, 30))
                    parent.extend([point] * below)
                    made += below
    return np.array(parent, dtype=np.int32)


def best_of(
    rounds: int, make: Callable[[], ForestInference], work: Callable[[ForestInference], object]
) -> float:
    times = []
    for _ in range(rounds):
        inference = make()
        gc.collect()
        gc.disable()
        began = time.process_time()
        work(inference)
        times.append(time.process_time() - began)
        gc.enable()
    return min(times)


def decide_reports(inference: ForestInference, nodes: NDArray[np.int32], weights: NDArray[np.int64]) -> float:
    """Seconds for each report, taken and decided one after the other in compiled code."""
    parent, dead, failed = inference.parent, inference.dead, inference.failed
    sums = np.zeros_like(dead), np.zeros_like(dead)
    kernels.best_up(np.arange(len(parent), dtype=np.int32), parent, dead, failed, *sums)
    blamed = np.empty(len(nodes), dtype=np.int32)
    kernels.report_best(nodes[:1], weights[:1], parent, dead, failed, *sums, blamed[:1])
    began = time.process_time()
    kernels.report_best(nodes, weights, parent, dead, failed, *sums, blamed)
    return (time.process_time() - began) / len(nodes)


def one_by_one(inference: ForestInference, nodes: NDArray[np.int32]) -> float:
    """Seconds for each report, called from Python."""
    inference.explanation()
    began = time.process_time()
    for node in nodes.tolist():
        inference.add_evidence(node, 6000)
        inference.blamed_above(node)
    return (time.process_time() - began) / len(nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meters: that it runs, not what it says")
    parser.add_argument("--meters", type=int, default=2_500_000)
    given = parser.parse_args()
    meters, rounds, reports = (20_000, 1, 1000) if given.quick else (given.meters, 5, 1_000_000)
    rng = np.random.default_rng(1)
    parent = make_forest(meters, rng)
    heard = np.full(len(parent), -200)
    heard[rng.integers(0, len(parent), meters // 50)] = 6000
    failed = heard - rng.choice([9000, 8000, 7000], len(parent))

    def make() -> ForestInference:
        return ForestInference(parent, heard, failed)

    make().explanation(), make().posteriors()
    nodes = rng.integers(0, len(parent), reports).astype(np.int32)
    weights = rng.choice([6000, -6000], reports)
    print(f"{len(parent)} nodes, {'compiled' if is_compiled else 'plain Python'}")
    print(f"most probable explanation {1e3 * best_of(rounds, make, ForestInference.explanation):8.1f} ms")
    print(f"all posteriors            {1e3 * best_of(rounds, make, ForestInference.posteriors):8.1f} ms")
    decided = min(decide_reports(make(), nodes, weights) for _ in range(rounds))
    print(f"one report, decided       {1e6 * decided:8.3f} us")
    print(f"the same from Python      {1e6 * one_by_one(make(), nodes[:20_000]):8.3f} us")


if __name__ == "__main__":
    main()
