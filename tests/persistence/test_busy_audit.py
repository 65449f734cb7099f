"""The open part of the audit gets its index early where late reports read it again and again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from oms_topology import Pipeline
from oms_topology.persistence.store import Store
from oms_topology.persistence.verify import verify
from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

INDEXED = """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'oms_topology'::regnamespace AND c.relname LIKE 'meter_status_event%' ORDER BY 1
"""
BUSY = "SELECT oms_topology.index_busy_audit(0, {})"


@pytest.fixture
def grid(database: Database) -> Grid:
    made = Grid(database)
    with Pipeline(database) as pipeline:
        pipeline.handle("scada", event(feeder="F2"))
    return made


def test_an_open_part_that_is_not_read_or_small_stays_without_index(grid: Grid) -> None:
    assert grid.value("SELECT oms_topology.index_busy_audit(1000000, 0)") is False
    assert grid.value(BUSY.format(10**9)) is False
    assert grid.column(INDEXED) == []


def test_the_index_is_made_once_and_goes_with_the_part_when_it_is_sealed(grid: Grid) -> None:
    assert [grid.value(BUSY.format(0)) for _ in range(2)] == [True, False]
    assert grid.column(INDEXED) == ["meter_status_event"]
    store = Store(grid.database.engine)
    assert store.maintain(min_bytes=1) == 2
    assert grid.column(INDEXED) == ["meter_status_event_1"]
    with Pipeline(grid.database) as pipeline:
        pipeline.handle("scada", event(feeder="F2", minute=5, alarm="Energized"))
    assert grid.value(BUSY.format(0)) is True
    assert grid.column(INDEXED) == ["meter_status_event", "meter_status_event_1"]
    assert store.maintain(min_bytes=1) == 2
    assert len(grid.audit("M6")) == 2


def test_of_several_at_once_one_makes_it(grid: Grid) -> None:
    store = Store(grid.database.engine)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: store.index_busy_audit(reads=0, min_bytes=0), range(8)))
    assert made.count(True) == 1


def test_it_is_no_difference_to_the_schema(grid: Grid) -> None:
    before = verify(grid.database.engine)
    grid.value(BUSY.format(0))
    assert verify(grid.database.engine) == before


def test_a_writer_at_work_is_not_waited_for(grid: Grid) -> None:
    with grid.database.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE oms_topology.meter_status_event IN ROW EXCLUSIVE MODE")
        assert Store(grid.database.engine).index_busy_audit(reads=0, min_bytes=0) is False
    assert grid.column(INDEXED) == []
    assert Store(grid.database.engine).index_busy_audit(reads=0, min_bytes=0) is True
