"""What a loss of supply cannot carry by the row alone, and the ids of what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database


@pytest.fixture
def feeder(database: Database) -> Grid:
    """Six meters on one feeder, one of them with a second supply."""
    return Grid(database, "SS1 > F1 > DP1 > M1..M6; SS2 > F2 > DP2 > M7; F2 ~> M2")


@pytest.mark.parametrize("door", ["pipeline", "sql"])
def test_a_loss_leaves_over_the_second_supply_and_the_newer_own_report(feeder: Grid, door: str) -> None:
    feeder.say(["M5"], "on", 10)
    receipt = feeder.door(door)(event(feeder="F1", minute=5))
    assert feeder.off() == ["M1", "M3", "M4", "M6"]
    counts = (receipt.total_meters, receipt.offline_meters, receipt.online_meters, receipt.unknown_meters)
    assert counts == (6, 4, 1, 1)
    listed = feeder.column(
        "SELECT m.meter_number FROM scada_event_affected_meters a JOIN oms_meters m ON m.id = a.meter_id"
        " ORDER BY m.meter_number"
    )
    assert listed == ["M1", "M3", "M4", "M6"]


def test_audit_and_affected_rows_have_ids_of_their_own(feeder: Grid) -> None:
    for minute, alarm in enumerate(["De-energized", "Energized"] * 3):
        feeder.through_sql(event(feeder="F1", minute=minute, alarm=alarm))
        feeder.through_sql(event(feeder="F2", minute=minute, alarm=alarm))
    for table in ("oms_meter_status_events", "scada_event_affected_meters"):
        rows, ids = feeder.rows(f"SELECT count(*), count(DISTINCT id) FROM {table}")[0]
        assert rows == ids
        assert rows >= 6 * 6
