"""What the benchmark of exactness says of fifty thousand points, for a few hundred."""

from __future__ import annotations

import numpy as np
import pytest

import oms_topology as omt
from benchmarks.geo.exactness import REGIONS, every_pair, rings, scattered, wrong


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("is_in_grid", [False, True])
def test_nothing_is_wrong_anywhere(name: str, is_in_grid: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_in_grid:
        monkeypatch.setattr("oms_topology.geo.nearest._MANY", 1)
    region, rng = REGIONS[name], np.random.default_rng(8)
    for points, targets in (
        (scattered(rng, region, 300), scattered(rng, region, 300)),
        rings(rng, region, 20),
    ):
        expected = every_pair(points, targets, region.limit_m)
        links = omt.link_nearest(points, targets, max_distance_m=region.limit_m)
        assert wrong(links, *expected) == 0
        assert links.counts()["linked"] > 10
        moved = links.target.copy()
        moved[links.target >= 0] = (moved[links.target >= 0] + 1) % len(targets)
        others = omt.Links(moved, *[getattr(links, field) for field in ("distance_m", "second_distance_m")],
                           links.status, links.target_status, region.limit_m)  # fmt: skip
        assert wrong(others, *expected) == links.counts()["linked"]
