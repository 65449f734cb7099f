"""A follower in another process sees what the tables say: network, statuses, and both together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms_topology import Topology
from oms_topology.errors import StoreUnavailableError
from oms_topology.service import following
from oms_topology.service.follower import Follower
from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.fixture
def follower(grid: Grid) -> Iterator[Follower]:
    with Follower(grid.database) as opened:
        yield opened


def assert_in_step(grid: Grid, follower: Follower) -> None:
    """Histograms of every device are those that the tables give, by the network loaded anew."""
    fresh = Topology.from_postgres(grid.database)
    power = grid.power()
    for code in fresh.devices:
        below = [power[number] for number in fresh.downstream(code)]
        counts = follower.topology.downstream(code).status_counts(follower.power_status)
        assert counts.tolist() == [below.count(status) for status in ("unknown", "on", "off")], code


def test_trips_and_returns_are_followed(grid: Grid, follower: Follower) -> None:
    assert_in_step(grid, follower)
    assert not follower.update()
    for minute, (feeder, alarm) in enumerate(
        [("F1", "De-energized"), ("F2", "De-energized"), ("F1", "Energized")]
    ):
        grid.through_sql(event(feeder=feeder, minute=minute, alarm=alarm))
        assert follower.wait(60)
        assert follower.update()
        assert_in_step(grid, follower)


def test_meters_that_move_come_and_go_keep_their_status(grid: Grid, follower: Follower) -> None:
    grid.through_sql(event(feeder="F2"))
    follower.update()
    before = follower.topology
    for statement in (
        "UPDATE oms_meters SET dp_id = (SELECT id FROM network_distribution_points WHERE dp_id = 'DP4'),"
        " feeder_id = (SELECT id FROM network_feeders WHERE feeder_id = 'F3') WHERE meter_number = 'M6'",
        "UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M7'",
        "INSERT INTO oms_meters (meter_number, feeder_id, power_status)"
        " SELECT 'M' || n, id, 'off' FROM network_feeders, generate_series(20, 29) n WHERE feeder_id = 'F2'",
        "DELETE FROM oms_meters WHERE meter_number = 'M8'",
        "UPDATE oms_meters SET status = 'active' WHERE meter_number = 'M7'",
        "UPDATE oms_meters SET meter_number = 'M77' WHERE meter_number = 'M7'",
    ):
        grid.rows(statement)
        assert follower.wait(60)
        assert follower.update()
        assert_in_step(grid, follower)
    assert "M6" in before.downstream("F2")  # what was given out before stays as it was


def test_a_network_that_is_loaded_anew_keeps_the_statuses(
    grid: Grid, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.through_sql(event(feeder="F2"))
    monkeypatch.setattr(following, "_MOST_CHANGES", 0)
    grid.rows("DELETE FROM oms_meters WHERE meter_number = 'M1'")
    assert follower.update()
    assert_in_step(grid, follower)


def test_an_update_that_failed_half_way_is_made_good_by_the_next(
    grid: Grid, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.through_sql(event(feeder="F2"))
    with monkeypatch.context() as broken:
        broken.setattr(
            follower, "_place_changed", lambda _: (_ for _ in ()).throw(StoreUnavailableError("gone"))
        )
        with pytest.raises(StoreUnavailableError):
            follower.update()
    follower.update()
    assert_in_step(grid, follower)


def test_a_time_that_is_over_is_told(follower: Follower) -> None:
    assert follower.wait(0.01) is False
