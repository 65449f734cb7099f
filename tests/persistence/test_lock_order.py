"""Who holds a supply tree never waits for the topology: somebody who reads it may wait for the tree."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from tests.acceptance.scada_grid import Grid

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

_LOCK = "SELECT oms_topology.lock_segments(device_no) FROM oms_topology.device WHERE code = 'SS1'"
_SETTLE = "SELECT oms_topology.settle()"
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"


def test_settling_with_a_tree_in_hand_waits_for_nobody(database: Database) -> None:
    grid = Grid(database)
    grid.rows(_SETTLE)
    done: list[bool] = []

    def read_and_take() -> None:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(_SETTLE)
            with database.engine.connect() as other:
                other.exec_driver_sql("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M1'")
                other.commit()
            connection.exec_driver_sql(_LOCK)
            done.append(True)

    with database.engine.begin() as holder:
        holder.exec_driver_sql(_SETTLE)
        holder.exec_driver_sql(_LOCK)
        reader = Thread(target=read_and_take)
        reader.start()
        while not grid.value(_WAITS):
            assert reader.is_alive()
        # Before, this waited for the reader, which waits for the tree: a deadlock.
        assert holder.exec_driver_sql(_SETTLE).scalar_one() is False
        assert not done
    reader.join(30)
    assert done
    assert grid.value(_SETTLE) is True


def test_a_tree_in_hand_and_nobody_else_settles(database: Database) -> None:
    grid = Grid(database)
    grid.rows(_SETTLE)
    with database.engine.begin() as alone:
        alone.exec_driver_sql(_LOCK)
        alone.exec_driver_sql("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M1'")
        assert alone.exec_driver_sql(_SETTLE).scalar_one() is True


def test_a_meter_and_its_substation_come_and_go_in_one_transaction(database: Database) -> None:
    with database.engine.begin() as connection:
        for statement in (
            "INSERT INTO network_substations (substation_id, name) VALUES ('SS9', 'x')",
            "INSERT INTO network_feeders (feeder_id, name, substation_id)"
            " SELECT 'F9', 'x', id FROM network_substations WHERE substation_id = 'SS9'",
            "INSERT INTO network_distribution_points (dp_id, name, feeder_id)"
            " SELECT 'DP9', 'x', id FROM network_feeders WHERE feeder_id = 'F9'",
            "INSERT INTO oms_meters (meter_number, dp_id, substation_id)"
            " SELECT 'M99', d.id, s.id FROM network_distribution_points d, network_substations s"
            " WHERE d.dp_id = 'DP9' AND s.substation_id = 'SS9'",
            "DELETE FROM network_substations WHERE substation_id = 'SS9'",
        ):
            connection.exec_driver_sql(statement)
        found = connection.exec_driver_sql(
            "SELECT dp_id, feeder_id, substation_id FROM oms_meters WHERE meter_number = 'M99'"
        ).one()
    assert tuple(found) == (None, None, None)
