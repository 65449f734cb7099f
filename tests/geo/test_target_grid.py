"""Looking around in a grid finds, to the bit, what scipy's tree finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from oms_topology.geo.coordinates import Positions
from oms_topology.geo.geodesy import to_earth_centred_m
from oms_topology.geo.nearest import nearest_points
from oms_topology.geo.target_grid import cells_of

PLACES = [(35.9, 31.95), (179.99, -17.5), (15.6, 78.2), (-78.5, 0.0), (40.0, 89.9), (0.0, -33.0)]


def _compiled() -> bool:
    from oms_topology.geo.compiling import is_compiled

    return is_compiled


def _scattered(rng: np.random.Generator, place: tuple[float, float], count: int, wide: float) -> Positions:
    longitude = (place[0] + rng.uniform(-wide, wide, count) + 180) % 360 - 180
    return Positions(longitude, np.clip(place[1] + rng.uniform(-wide, wide, count), -90, 90))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("count", "chord_m"), [(1, 50.0), (2, 300.0), (40, 2_000.0), (3_000, 150.0), (3_000, 800.0)]
)
def test_a_grid_finds_what_a_tree_finds(place: tuple[float, float], count: int, chord_m: float) -> None:
    if not _compiled():
        pytest.skip("numba is not installed")
    from oms_topology.geo.grid_kernels import two_nearest_places

    rng = np.random.default_rng(count)
    targets_m = to_earth_centred_m(*_scattered(rng, place, count, 0.05))
    # Some far outside of the grid, some at the very places of targets.
    asked_m = np.concatenate([to_earth_centred_m(*_scattered(rng, place, 700, 0.08)), targets_m[:20]])
    cells = cells_of(targets_m, min(chord_m, 100.0))
    if cells is None:
        assert count <= 2 or abs(place[1]) > 80  # they crowd near the pole
        return
    row, chords_m = np.empty(len(asked_m), dtype=np.intp), np.empty((2, len(asked_m)))
    two_nearest_places(asked_m, cells, chord_m, row, chords_m)
    expected_m, expected = KDTree(targets_m).query(asked_m, k=2, distance_upper_bound=chord_m)
    assert np.array_equal(chords_m.T, expected_m)
    assert np.array_equal(np.where(row < 0, count, cells.place[row]), np.asarray(expected)[:, 0])


def test_places_that_crowd_stay_in_the_tree() -> None:
    rng = np.random.default_rng(3)
    crowd_m = np.concatenate([rng.normal(0, 5, (500, 3)), rng.uniform(-5_000, 5_000, (500, 3))])
    assert cells_of(crowd_m, 10.0) is None
    assert cells_of(rng.uniform(-5_000, 5_000, (500, 3)), 10.0) is not None


@pytest.mark.parametrize("groups", [0, 1, 7, 400])
def test_answers_do_not_tell_whether_a_grid_was_used(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    points, targets = _scattered(rng, PLACES[0], 4_000, 0.05), _scattered(rng, PLACES[0], 900, 0.05)
    options = {}
    if groups:
        options = {"group": rng.integers(0, groups, 4_000), "target_group": rng.integers(0, groups, 900)}
    by_tree = nearest_points(points, targets, max_distance_m=400, **options)
    monkeypatch.setattr("oms_topology.geo.nearest._MANY", 1)
    by_grid = nearest_points(points, targets, max_distance_m=400, **options)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(by_tree, by_grid, strict=True))
    assert 0 < (by_grid.target < 0).sum() < 4_000
