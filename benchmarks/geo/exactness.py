"""Whether what we call nearest is nearest, every pair measured: ``python -m benchmarks.geo.exactness``.

At each place of the earth, points and targets are scattered; every point is measured to every target with
``Geod``. Wrong is a target that is not the first of the shortest, a link that the limit forbids or demands, a
distance or a second distance more than a micrometre off. Beside it stands what others would choose: the
nearest by degrees, on the sphere, in the UTM zone of the place.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import Geod, Transformer
from scipy.spatial import KDTree

import oms_topology as omt
from oms_topology.geo.geodesy import to_earth_centred_m

if TYPE_CHECKING:
    from numpy.typing import NDArray

GEOD = Geod(ellps="WGS84")


class Region(NamedTuple):
    """Where to scatter: the middle, how far to each side in metres, the limit, and the UTM zone."""

    longitude_deg: float
    latitude_deg: float
    spread_m: float
    limit_m: float
    zone: int


REGIONS = {
    "Amman, on the edge of two zones": Region(36.0, 31.95, 6_000, 300, 32636),
    "rural Jordan": Region(36.8, 30.5, 40_000, 2_000, 32637),
    "Tromso": Region(18.95, 69.65, 8_000, 400, 32634),
    "Longyearbyen": Region(15.63, 78.22, 8_000, 400, 32633),
    "Fiji, across the antimeridian": Region(180.0, -16.8, 15_000, 800, 32760),
    "Quito": Region(-78.5, 0.0, 8_000, 400, 32717),
    "the pole": Region(0.0, 90.0, 20_000, 1_000, 32661),
    "a sparse country": Region(36.0, 31.0, 300_000, 20_000, 32636),
}


def scattered(rng: np.random.Generator, region: Region, count: int) -> NDArray[np.float64]:
    """Longitude and latitude around the middle, the same density in every direction."""
    azimuth, away = rng.uniform(-180, 180, count), region.spread_m * np.sqrt(rng.uniform(0, 1, count))
    middle = np.full(count, region.longitude_deg), np.full(count, region.latitude_deg)
    longitude, latitude, _ = GEOD.fwd(*middle, azimuth, away)
    return np.column_stack([longitude, latitude])


def every_pair(
    points: NDArray[np.float64], targets: NDArray[np.float64], limit_m: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The first of the nearest targets, and the two shortest lengths, NaN beyond the limit."""
    target, two = np.empty(len(points), dtype=np.intp), np.empty((len(points), 2))
    for begin in range(0, len(points), 500):
        part = points[begin : begin + 500]
        shape = len(part), len(targets)
        pairs = [np.broadcast_to(axis[:, None], shape).ravel() for axis in part.T]
        pairs += [np.broadcast_to(axis, shape).ravel() for axis in targets.T]
        length = np.asarray(GEOD.inv(*pairs)[2]).reshape(shape)
        target[begin : begin + 500] = length.argmin(axis=1)
        two[begin : begin + 500] = np.partition(length, 1, axis=1)[:, :2]
    two[two > limit_m] = np.nan
    return np.where(np.isnan(two[:, 0]), -1, target), two


def wrong(links: omt.Links, target: NDArray[np.intp], two: NDArray[np.float64]) -> int:
    """Count the points about which anything is wrong."""
    found = np.column_stack([links.distance_m, links.second_distance_m])
    is_off = ~((np.abs(found - two) < 1e-6) | (np.isnan(found) & np.isnan(two)))
    return int(np.count_nonzero((links.target != target) | is_off.any(axis=1)))


def others(
    points: NDArray[np.float64], targets: NDArray[np.float64], region: Region, target: NDArray[np.intp]
) -> dict[str, int]:
    """How many of the linked points others give another target."""

    def on_sphere(table: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = np.radians(table.T)
        return np.column_stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])

    project = Transformer.from_crs(4326, region.zone, always_xy=True).transform
    spaces = {
        "degrees": lambda table: table,
        "sphere": on_sphere,
        "zone": lambda table: np.column_stack(project(*table.T)),
        "chord": lambda table: to_earth_centred_m(*table.T),
    }
    linked = target >= 0
    return {
        name: int(np.count_nonzero((KDTree(put(targets)).query(put(points))[1] != target)[linked]))
        for name, put in spaces.items()
    }


def rings(rng: np.random.Generator, region: Region, count: int) -> tuple[NDArray[np.float64], ...]:
    """Points, each in a ring of eight targets that chords cannot tell apart."""
    points = scattered(rng, region, count)
    away_m = region.limit_m * 0.9
    open_m = away_m * (away_m / 6.335e6) ** 2 / 24
    around = np.repeat(points, 8, axis=0)
    radius_m = away_m + rng.uniform(0, 0.02 * open_m, len(around))
    longitude, latitude, _ = GEOD.fwd(*around.T, np.tile(np.arange(8) * 45.0, count), radius_m)
    return points, np.column_stack([longitude, latitude])


def main() -> int:
    """Print a line for each region; the exit code says whether anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs")
    points, targets, ringed = (200, 100, 10) if parser.parse_args().quick else (50_000, 300, 100)
    rng = np.random.default_rng(2026)
    total = 0
    print(f"{points:,} points to {targets:,} targets, every pair measured; and {ringed} rings of eight")
    for name, region in REGIONS.items():
        asked, offered = scattered(rng, region, points), scattered(rng, region, targets)
        target, two = every_pair(asked, offered, region.limit_m)
        links = omt.link_nearest(asked, offered, max_distance_m=region.limit_m)
        bad = wrong(links, target, two)
        asked_of_rings, ring = rings(rng, region, ringed)
        by_pairs = every_pair(asked_of_rings, ring, region.limit_m)
        bad_ringed = wrong(omt.link_nearest(asked_of_rings, ring, max_distance_m=region.limit_m), *by_pairs)
        total += bad + bad_ringed
        peers = "  ".join(
            f"{peer} {count:,}" for peer, count in others(asked, offered, region, target).items()
        )
        chords = others(asked_of_rings, ring, region, by_pairs[0])["chord"]
        print(f"{name:32} wrong {bad} of {points:,}; others: {peers}; rings: {bad_ringed}, by chord {chords}")
    print(f"wrong in all: {total}")
    return int(total > 0)


if __name__ == "__main__":
    raise SystemExit(main())
