"""How long links within capacities take, and the exact sum: ``python -m benchmarks.geo.capacity``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

import oms_topology as omt
from benchmarks.geo.nearest import town

if TYPE_CHECKING:
    from oms_topology.geo.linking import Links


def report(name: str, links: Links, seconds: float, processor_s: float) -> None:
    """Print a line."""
    linked = links.target >= 0
    moved = linked & (links.second_distance_m < links.distance_m)
    print(
        f"  {name:28} {seconds:6.2f} s, processor {processor_s:6.2f} s; {linked.mean():7.2%} linked,"
        f" {moved.mean():6.2%} not to the nearest, {np.nansum(links.distance_m) / linked.sum():.1f} m each"
    )


def run(points: int, targets: int, capacity: float, limit_m: float, rounds: int, *, exact: bool) -> None:
    """Link a town, free and within a capacity."""
    place = town(points, targets, 7)
    limits, demand = np.full(targets, capacity), np.random.default_rng(2).uniform(0.5, 1.5, points).round(1)
    print(f"{points:,} points, {targets:,} targets that take {capacity:.0f}, limit {limit_m:.0f} m")
    asked = (place.points, place.targets, limits)
    works = {
        "free": lambda: omt.link_nearest(*asked[:2], max_distance_m=limit_m),
        "capacity in meters": lambda: omt.link_within_capacity(*asked, max_distance_m=limit_m),
        "capacity in kVA": lambda: omt.link_within_capacity(*asked, max_distance_m=limit_m, demand=demand),
    }
    if exact:
        works["the least sum, exactly"] = lambda: omt.link_within_capacity(
            *asked, max_distance_m=limit_m, least_total=True
        )
    for name, work in works.items():
        best = (np.inf, np.inf)
        for _ in range(rounds):
            began, worked = time.perf_counter(), time.process_time()
            links = work()
            best = min(best, (time.perf_counter() - began, time.process_time() - worked))
        report(name, links, *best)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    quick = parser.parse_args().quick
    run(*(20_000, 1_000) if quick else (1_000_000, 50_000), 30, 500.0, 1 if quick else 3, exact=False)
    run(*(1_000, 50) if quick else (10_000, 500), 24, 5_000.0, 1, exact=True)


if __name__ == "__main__":
    main()
