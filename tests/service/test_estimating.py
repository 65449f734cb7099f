"""Estimates of restoration in the database: from history, from plans, from people."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.service.estimating import estimate_restorations
from oms_topology.service.outage_worker import OutageWorker
from tests.acceptance.scada_grid import Grid, at, event
from tests.service.consumers.members import wait_until

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.persistence.database import Database

WRITTEN = """
    SELECT e.estimated_restoration_time, t.estimated_at, t.earliest_at, t.latest_at, t.like_outages, t.basis,
           t.is_by_person
    FROM oms_outage_events e LEFT JOIN oms_topology.outage_estimate t ON t.outage_event_id = e.id
    WHERE e.id = CAST(:id AS uuid)
"""
NOTHING = (None,) * 7


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


def trip(grid: Grid, minute: float, **more: Any) -> str:
    found = grid.through_sql(event(minute=minute, **{"feeder": "F1"} | more)).outage_event_id
    assert found is not None
    return found


def remember(grid: Grid, minutes: int, *, day: int = 1, **more: Any) -> None:
    """Let an outage that lasted so long be over, so many days ago."""
    start = -1440 * day
    trip(grid, start, **more)
    trip(grid, start + minutes, alarm="Energized", **more)


def written(grid: Grid, outage: str) -> tuple[Any, ...]:
    return grid.rows(WRITTEN, id=outage)[0]


def test_without_history_nothing_is_invented(grid: Grid) -> None:
    assert estimate_restorations(grid.database) == 0
    for day, minutes in enumerate((60, 80, 2, 4), 1):  # two outages, two momentary ones
        remember(grid, minutes, day=day)
    outage = trip(grid, 0)
    assert estimate_restorations(grid.database, at=at(1)) == 0
    assert written(grid, outage) == NOTHING


def test_history_tells_and_time_moves_it_on(grid: Grid) -> None:
    for day, minutes in enumerate((30, 60, 90, 120, 150), 1):
        remember(grid, minutes, day=day)
    outage = trip(grid, 0)

    def estimated(minute: float) -> datetime | None:
        estimate_restorations(grid.database, at=at(minute))
        found: datetime | None = written(grid, outage)[0]
        return found

    assert estimated(1) == at(90)
    assert written(grid, outage) == (
        at(90),
        at(90),
        None,
        None,
        5,
        "same device, weather, cause, size",
        False,
    )
    assert estimate_restorations(grid.database, at=at(1)) == 0
    assert estimated(70) == at(120)
    assert estimated(95) is None
    assert written(grid, outage) == NOTHING
    for day in range(6, 20):
        remember(grid, 100 + day, day=day)
    # 19 past outages: the second and the last but one hold four of five.
    assert estimated(1) == at(112)
    assert written(grid, outage)[2:4] == (at(60), at(120))


def test_what_a_person_said_stands(grid: Grid) -> None:
    for day in range(1, 5):
        remember(grid, 60, day=day)
    outage = trip(grid, 0)
    assert estimate_restorations(grid.database, at=at(1)) == 1
    grid.database.operator("OP7").estimate(outage, at(200), reason="New cable.")
    assert written(grid, outage) == (at(200), at(200), None, None, None, "a person's estimate", True)
    assert estimate_restorations(grid.database, at=at(1)) == 0
    assert written(grid, outage)[0] == at(200)


def test_what_another_service_said_stands(grid: Grid) -> None:
    for day in range(1, 5):
        remember(grid, 60, day=day)
    outage = trip(grid, 0)
    grid.rows("UPDATE oms_outage_events SET estimated_restoration_time = :at WHERE id = CAST(:id AS uuid)",
              at=at(300), id=outage)  # fmt: skip
    assert estimate_restorations(grid.database, at=at(1)) == 0
    assert written(grid, outage)[0] == at(300)


def test_a_planned_outage_ends_as_planned(grid: Grid) -> None:
    grid.database.operator("OP7").plan("F1", at(-5), at(240))
    outage = trip(grid, 0)
    assert estimate_restorations(grid.database, at=at(1)) == 1
    assert written(grid, outage) == (at(240), at(240), None, None, None, "as planned", False)


def test_storms_and_causes_are_told_apart(grid: Grid) -> None:
    grid.rows("UPDATE oms_storm_mode_config SET is_active = true, activated_at = :at", at=at(-1440 * 4 - 10))
    grid.rows(
        "UPDATE oms_storm_mode_config SET is_active = false, deactivated_at = :at", at=at(-1440 * 4 + 10)
    )
    remember(grid, 600, day=4, reason="Tree on the line")
    remember(grid, 60, day=3, reason=" protection trip ")
    found = grid.rows(
        "SELECT device_kind, cause, customers, is_storm FROM oms_topology.past_outages(:since, 9)",
        since=at(-9999),
    )
    assert found == [("feeder", "protection trip", 3, False), ("feeder", "tree on the line", 3, True)]


def test_a_worker_that_follows_estimates_too(grid: Grid) -> None:
    for day, minutes in enumerate((30, 60, 90, 120, 150), 1):
        remember(grid, minutes, day=day)
    outage, stop = trip(grid, 0), Event()
    with OutageWorker(grid.database, clock=lambda: at(1)) as worker:
        following = Thread(target=worker.run, args=(stop,))
        following.start()
        try:
            wait_until(lambda: written(grid, outage) != NOTHING, what="an estimate")
        finally:
            stop.set()
            following.join()
    assert written(grid, outage)[0] > at(1)
