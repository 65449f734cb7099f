"""Reports that need no judging are written by sets: it comes to what judging each meter comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.migration.table_state import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town

JUDGE_EACH = """
    CREATE OR REPLACE FUNCTION oms_topology.meters_told_plainly()
    RETURNS TABLE (meter_no integer, was_on boolean)
    LANGUAGE plpgsql AS 'BEGIN RETURN; END'
"""


def power_audit(state: dict[str, list[tuple[object, ...]]]) -> list[tuple[object, ...]]:
    return [row for row in state["audit"] if str(row[1]).startswith("power")]


def test_writing_by_sets_and_judging_each_meter_come_to_the_same(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    by_sets, _ = town_factory(n_meters=250)
    one_by_one, _ = town_factory(n_meters=250)
    with one_by_one.engine.begin() as connection:
        connection.exec_driver_sql(JUDGE_EACH)
    for database in (by_sets, one_by_one):
        database.migrate_legacy()
    states = registry(by_sets), registry(one_by_one)
    assert states[0]["meters"] == states[1]["meters"]
    assert power_audit(states[0]) == power_audit(states[1])
    assert len(power_audit(states[0])) > 60
    assert ("on", "on") in {(row[3], row[4]) for row in power_audit(states[0])}  # one that was "on" before
