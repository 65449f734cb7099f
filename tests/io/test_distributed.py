"""Two workers of Dask give the very bytes that one process gives, wherever the seams are."""

from __future__ import annotations

import os
import signal
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from typer.testing import CliRunner

import oms_topology as omt
from oms_topology.cli.app import app
from oms_topology.errors import GeometryError, SchedulerError
from oms_topology.io.distributed import link_distributed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oms_topology.geo.linking import Links

COLUMNS = ("target", "distance_m", "second_distance_m", "status", "target_status", "confidence")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two worker processes, on this machine alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster:
            yield cluster.scheduler_address


def town(count: int, targets: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places on a coarse grid, so that many are alike, with all that can be wrong among them."""
    rng = np.random.default_rng(seed)
    points, offered = (rng.uniform((35.8, 31.9), (36, 32.1), (size, 2)).round(3) for size in (count, targets))
    points[rng.integers(0, count, 6)] = [
        (np.nan, 31.9),
        (0, 0),
        (31.95, 35.9),
        (200, 31.9),
        (36.9, 31.9),
        (31.95, 95),
    ]
    offered[rng.integers(0, targets, 2)] = [(np.inf, 31.9), (0, 0)]
    return points, offered


def assert_equal(left: Links, right: Links) -> None:
    for name in COLUMNS:
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes(), name
    assert (left.rule, left.max_distance_m) == (right.rule, right.max_distance_m)


def options(count: int, targets: int) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(9)
    groups = rng.choice(np.array(["A", "B", None], dtype=object), count)
    return {
        "rows": {"max_distance_m": 300},
        "ids": {"max_distance_m": 300, "target_ids": rng.permutation(targets).astype(str)},
        "groups": {
            "max_distance_m": 1_000,
            "groups": groups,
            "target_groups": rng.choice(np.array(["A", "B", None], dtype=object), targets),
        },
        "bounds": {"max_distance_m": 1_000_000, "bounds": (34.9, 29.2, 39.3, 33.4), "position_error_m": 20},
    }


@pytest.mark.parametrize("name", ["rows", "ids", "groups", "bounds"])
def test_two_workers_give_the_same_bytes(scheduler: str, name: str) -> None:
    points, targets = town(3_000, 400, seed=1)
    how = options(3_000, 400)[name]
    told: list[tuple[int, int]] = []
    found = link_distributed(
        points,
        targets,
        scheduler=scheduler,
        rows_a_part=250,
        progress=lambda done, total: told.append((done, total)),
        **how,
    )
    assert_equal(found, omt.link_nearest(points, targets, **how))
    assert len(told) == 12
    assert told[-1][0] == told[-1][1] >= len(points) - 6


def test_a_worker_that_dies_leaves_its_parts_to_another(scheduler: str) -> None:
    points, targets = town(3_000, 400, seed=4)
    killed: list[int] = []

    def kill_one(done: int, _total: int) -> None:
        if done > 500 and not killed:
            with Client(scheduler, set_as_default=False) as client:
                killed.extend(list(client.run(os.getpid).values())[:1])
            os.kill(killed[0], signal.SIGKILL)

    found = link_distributed(
        points, targets, scheduler=scheduler, max_distance_m=300, rows_a_part=100, progress=kill_one
    )
    assert killed
    assert_equal(found, omt.link_nearest(points, targets, max_distance_m=300))


def test_nothing_and_no_targets_and_one_part(scheduler: str) -> None:
    points, targets = town(40, 10, seed=2)
    for asked, offered in ((points[:0], targets), (points, targets[:0]), (points, targets)):
        found = link_distributed(asked, offered, scheduler=scheduler, max_distance_m=5_000)
        assert_equal(found, omt.link_nearest(asked, offered, max_distance_m=5_000))


def test_wrong_questions_are_refused_before_anybody_works(scheduler: str) -> None:
    points, targets = town(40, 10, seed=2)
    with pytest.raises(ValueError, match="max_distance_m"):
        link_distributed(points, targets, scheduler=scheduler, max_distance_m=0)
    with pytest.raises(GeometryError, match="shape"):
        link_distributed(points.T, targets, scheduler=scheduler, max_distance_m=500)


def test_a_scheduler_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_topology.io.distributed._PATIENCE_S", 0.2)
    points, targets = town(40, 10, seed=2)
    with pytest.raises(SchedulerError, match=r"tcp://127.0.0.1:9 cannot be reached"):
        link_distributed(points, targets, scheduler="tcp://127.0.0.1:9", max_distance_m=500)


def test_the_command_asks_the_workers(scheduler: str, tmp_path: Path) -> None:
    points, targets = town(300, 60, seed=3)
    for name, table in (("meters", points), ("pillars", targets)):
        lines = ["longitude,latitude", *(f"{east},{north}" for east, north in table.tolist())]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    words = ["link", str(tmp_path / "meters.csv"), str(tmp_path / "pillars.csv"), "--max-distance-m", "900"]
    words += ["--at-least", "0.1"]
    alone = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "alone.csv")])
    shared = ["--scheduler", scheduler, "--output", str(tmp_path / "shared.csv")]
    together = CliRunner().invoke(app, [*words, *shared])
    assert alone.exit_code == together.exit_code == 0, together.output
    assert (tmp_path / "alone.csv").read_bytes() == (tmp_path / "shared.csv").read_bytes()
