"""Linking meters to feeder lines, against shapely: ``python -m benchmarks.geo.lines``.

A thousand feeders of 110 spans wander through a town. The peer gets projected coordinates ready made, and
says which line is nearest; we get degrees, and say foot, second nearest line and status as well. It is asked
a part, and multiplied. Both are given as processor time too, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Transformer

import oms_topology as omt
from benchmarks.geo.nearest import EAST, NORTH, SOUTH, WEST
from oms_topology.geo.coordinates import Positions
from oms_topology.geo.nearest_lines import nearest_lines
from oms_topology.geo.reading import read_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIMIT_M = 2_000.0
SPAN_DEG = 40 / 111_000


def feeders(rng: np.random.Generator, count: int, spans: int) -> list[shapely.LineString]:
    """Lines that set out anywhere and turn a little at every pole."""
    lines = []
    for start in rng.uniform((WEST, SOUTH), (EAST, NORTH), (count, 2)):
        course = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.3, spans))
        steps = np.column_stack([np.cos(course) / 0.85, np.sin(course)]) * SPAN_DEG
        lines.append(shapely.LineString(np.vstack([start, start + np.cumsum(steps, axis=0)])))
    return lines


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, float, float, Any]:
    """Median and best of the wall clock, best of the processor's time, in seconds, and the answer."""
    walls, cpus, answer = [], [], None
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return float(np.median(walls)), min(walls), min(cpus), answer


def strtree(points: NDArray[np.float64], lines: list[shapely.LineString]) -> NDArray[np.intp]:
    """The nearest line alone, in metres of zone 36."""
    project = Transformer.from_crs(4326, 32636, always_xy=True).transform
    projected = shapely.transform(np.array(lines), lambda table: np.column_stack(project(*table.T)))
    tree = shapely.STRtree(projected)
    asked = shapely.points(np.column_stack(project(*points.T)))
    found = tree.query_nearest(asked, max_distance=LIMIT_M, all_matches=False)
    target = np.full(len(asked), -1)
    target[found[0]] = found[1]
    return target


def by_vertices(points: NDArray[np.float64], lines: list[shapely.LineString]) -> NDArray[np.intp]:
    """The line of the nearest vertex, which is what is often taken for it."""
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    return line[omt.link_nearest(points, coordinates, max_distance_m=LIMIT_M).target]


def main() -> None:
    """Print what each takes, and how often it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    count, number, rounds = (20_000, 50, 1) if parser.parse_args().quick else (1_000_000, 1_000, 3)
    rng = np.random.default_rng(7)
    points = rng.uniform((WEST, SOUTH), (EAST, NORTH), (count, 2))
    lines = feeders(rng, number, 110)
    link = omt.link_nearest(points[:5_000], lines, max_distance_m=LIMIT_M)  # loads the compiled loop
    print(f"{count:,} points, {number:,} lines of 110 spans, limit {LIMIT_M:.0f} m")

    median_s, best_s, cpu_s, link = timed(
        lambda: omt.link_nearest(points, lines, max_distance_m=LIMIT_M), rounds
    )
    print(f"  link_nearest      {median_s:7.2f} s (best {best_s:.2f}, processors {cpu_s:.2f})")

    part = min(count, 20_000)
    read, asked = read_lines(lines, "targets"), Positions(*np.ascontiguousarray(points[:part].T))
    plain = timed(lambda: nearest_lines(asked, read, max_distance_m=LIMIT_M, compiled=False), 1)
    same, scale = np.array_equal(plain[3].distance_m, link.distance_m[:part], equal_nan=True), count / part
    print(f"  without numba     {plain[0] * scale:7.2f} s (processors {plain[2] * scale:.2f}), same: {same}")

    few = count // 50
    _, peer_s, peer_cpu_s, target = timed(lambda: strtree(points[:few], lines), 1)
    print(f"  shapely STRtree   {peer_s * 50:7.2f} s (processors {peer_cpu_s * 50:.2f})")
    differ = int(np.count_nonzero(target != link.target[:few]))
    print(f"  nearest line in zone 36: another one for {differ} of {few:,}")
    vertices = int(np.count_nonzero(by_vertices(points[:few], lines) != link.target[:few]))
    print(f"  nearest vertex: {vertices / few:.1%} get another line")


if __name__ == "__main__":
    main()
