"""Linking meters to distribution points, against those who do likewise: ``python -m benchmarks.geo.nearest``.

The peers get projected coordinates ready made (UTM zone 36, in which the town lies) and say by index what is
nearest; we get degrees, and say the status as well. Wrong is a target farther, by ``Geod``, than the nearest
one.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas
import numpy as np
import shapely
from pykdtree.kdtree import KDTree as PyKDTree
from pyproj import Transformer
from scipy.spatial import KDTree

import oms_topology as omt
from oms_topology.geo import nearest as searching
from oms_topology.geo.geodesy import geodesic_m

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIMIT_M = 500.0
WEST, SOUTH, EAST, NORTH = 35.75, 31.80, 36.10, 32.10


class Town(NamedTuple):
    """Longitude and latitude, shape (n, 2), and the same in metres of the zone."""

    points: NDArray[np.float64]
    targets: NDArray[np.float64]
    points_m: NDArray[np.float64]
    targets_m: NDArray[np.float64]


def town(points: int, targets: int, meters_a_place: int) -> Town:
    """Make a town whose meters stand together in buildings, in no order."""
    rng = np.random.default_rng(7)
    places = rng.uniform((WEST, SOUTH), (EAST, NORTH), (max(1, points // meters_a_place), 2))
    asked = places if meters_a_place == 1 else places[rng.integers(0, len(places), points)]
    offered = rng.uniform((WEST, SOUTH), (EAST, NORTH), (targets, 2))
    project = Transformer.from_crs(4326, 32636, always_xy=True).transform
    return Town(asked, offered, *(np.column_stack(project(*table.T)) for table in (asked, offered)))


def ours(place: Town) -> NDArray[np.intp]:
    """Link from arrays."""
    return omt.link_nearest(place.points, place.targets, max_distance_m=LIMIT_M).target


def ours_in_a_tree(place: Town) -> NDArray[np.intp]:
    """The same as it goes where places are few or crowd: by scipy's tree, not in a grid."""
    from_so_many = searching._MANY
    searching._MANY = len(place.points) + 1  # type: ignore[misc]
    try:
        return ours(place)
    finally:
        searching._MANY = from_so_many  # type: ignore[misc]


def pykdtree_two(place: Town) -> NDArray[np.intp]:
    """Two nearest, which threads of its own find."""
    tree = PyKDTree(place.targets_m)
    index = tree.query(place.points_m, k=2, distance_upper_bound=LIMIT_M)[1][:, 0].astype(np.intp)
    return np.where(index == len(place.targets), -1, index)


def scipy_two(place: Town) -> NDArray[np.intp]:
    """Two nearest, with all processors."""
    found = KDTree(place.targets_m).query(place.points_m, k=2, distance_upper_bound=LIMIT_M, workers=-1)
    index = np.asarray(found[1])[:, 0]
    return np.where(index == len(place.targets), -1, index)


def strtree_one(place: Town) -> NDArray[np.intp]:
    """The nearest alone."""
    tree = shapely.STRtree(shapely.points(place.targets_m))
    asked = shapely.points(place.points_m)
    found = tree.query_nearest(asked, max_distance=LIMIT_M, all_matches=False)
    target = np.full(len(asked), -1)
    target[found[0]] = found[1]
    return target


def geopandas_one(place: Town) -> NDArray[np.intp]:
    """The nearest alone."""
    asked = geopandas.GeoDataFrame(geometry=shapely.points(place.points_m), crs=32636)
    offered = geopandas.GeoDataFrame(geometry=shapely.points(place.targets_m), crs=32636)
    joined = asked.sjoin_nearest(offered, how="left", max_distance=LIMIT_M, distance_col="distance_m")
    first = joined[~joined.index.duplicated()]["index_right"]
    return first.fillna(-1).to_numpy(dtype=np.intp)


def wrong(place: Town, target: NDArray[np.intp], nearest: NDArray[np.intp]) -> int:
    """Count the points whose target is none, or farther than it had to be."""
    differ = np.flatnonzero(target != nearest)
    missing = (target[differ] < 0) | (nearest[differ] < 0)
    both = differ[~missing]
    lengths = [
        geodesic_m(*place.points[both].T.copy(), *place.targets[row[both]].T.copy())
        for row in (target, nearest)
    ]
    return int(missing.sum() + np.count_nonzero(lengths[0] != lengths[1]))


def wrong_of_sample(place: Town, nearest: NDArray[np.intp], count: int) -> int:
    """Measure some points to every target with ``Geod``, and count where we differ."""
    bad = 0
    for row in np.random.default_rng(1).integers(0, len(nearest), count):
        at = np.repeat(place.points[row][:, None], len(place.targets), axis=1)
        length_m = geodesic_m(*at, *place.targets.T.copy())
        best = int(length_m.argmin())
        bad += int(nearest[row] != (best if length_m[best] <= LIMIT_M else -1))
    return bad


class Took(NamedTuple):
    """Seconds of some rounds: the median, the best, and the least of all processors' time."""

    median_s: float
    best_s: float
    processor_s: float


def timed(work: Callable[[Town], Any], place: Town, rounds: int) -> tuple[Took, Any]:
    """Time some rounds, and give the answer."""
    taken, spent, answer = [], [], None
    for _ in range(rounds):
        gc.collect()
        begin, begin_spent = time.perf_counter(), time.process_time()
        answer = work(place)
        taken.append(time.perf_counter() - begin)
        spent.append(time.process_time() - begin_spent)
    return Took(float(np.median(taken)), min(taken), min(spent)), answer


def grown_mb(work: Callable[[Town], Any], place: Town) -> float:
    """How much the process grew at its largest by doing it once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(place)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def compare(name: str, place: Town, rounds: int) -> None:
    """Print a table, ours first."""
    count = len(place.points)
    print(f"\n{name}: {count:,} points, {len(place.targets):,} targets, limit {LIMIT_M:.0f} m")
    print(f"memory beside the coordinates: {grown_mb(ours, place):.0f} MB")
    truth = None
    quick, slow = (ours, ours_in_a_tree, pykdtree_two, scipy_two), (strtree_one, geopandas_one)
    works = [(work, 1) for work in quick] + [(work, 10) for work in slow]
    for work, share in works:
        part = place._replace(
            points=place.points[: count // share], points_m=place.points_m[: count // share]
        )
        took, target = timed(work, part, rounds if share == 1 else 1)
        truth = target if truth is None else truth
        bad = wrong(part, target, truth[: count // share])
        print(
            f"  {work.__name__:14} {took.median_s * share:8.2f} s (best {took.best_s * share:.2f}, "
            f"processors {took.processor_s * share:.2f})"
            f"  {count / share / took.median_s / 1e6:6.2f} M/s  {bad:6,} wrong of {count // share:,}"
        )
    compare_groups(place, rounds)
    sample = 300
    print(f"  ours against every pair measured: {wrong_of_sample(place, truth, sample)} wrong of {sample}")


def compare_groups(place: Town, rounds: int) -> None:
    """What it costs that only targets of the same of 300 substations count, in processor time."""
    seeds = KDTree(np.random.default_rng(5).uniform((WEST, SOUTH), (EAST, NORTH), (300, 2)))
    groups = {
        name: np.asarray(seeds.query(table)[1])
        for name, table in (("groups", place.points), ("target_groups", place.targets))
    }
    spent = {}
    for name, options in (("free", {}), ("of one substation", groups)):
        taken = []
        for _ in range(rounds):
            begin = time.process_time()
            omt.link_nearest(place.points, place.targets, max_distance_m=LIMIT_M, **options)
            taken.append(time.process_time() - begin)
        spent[name] = min(taken)
    free_s, grouped_s = spent.values()
    ratio = grouped_s / free_s
    print(f"  same group: {grouped_s:.2f} s of processor time, free {free_s:.2f}: {ratio:.2f} times")


def main() -> None:
    """Print what each takes, and how often it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    parser.add_argument("--large", action="store_true", help="ten million points, ours alone")
    asked = parser.parse_args()
    if asked.large:
        place = town(10_000_000, 500_000, 7)
        took, _ = timed(ours, place, 3)
        print(f"10,000,000 points, 500,000 targets: {took.median_s:.1f} s (best {took.best_s:.1f})")
        return
    points, targets, rounds = (20_000, 1_000, 1) if asked.quick else (1_000_000, 50_000, 5)
    compare("seven meters a place", town(points, targets, 7), rounds)
    compare("all places different", town(points, targets, 1), rounds)


if __name__ == "__main__":
    main()
