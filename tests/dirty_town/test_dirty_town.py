"""The town that other tests migrate: it has each kind of dirt, and its truth is what its places say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyproj import Geod

from tests.dirty_town.filling import SHAPES, fill_town
from tests.dirty_town.kinds import Call, Customer, Names, Place, Registered, Status
from tests.dirty_town.truth import Town, make_town
from tests.persistence.deployed.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database

_GEOD = Geod(ellps="WGS84")


def _nearest(town: Town, meter: int, longitude: np.ndarray, latitude: np.ndarray) -> int:
    count = len(longitude)
    here = np.full(count, town.longitude[meter]), np.full(count, town.latitude[meter])
    return int(np.argmin(_GEOD.inv(*here, longitude, latitude)[2]))


@pytest.mark.parametrize("n_meters", [100, 2_500])
def test_each_kind_of_dirt_occurs(n_meters: int) -> None:
    town = make_town(n_meters, seed=3)
    for kind in (*Place, *Names, *Registered, *Status, *Customer, *Call):
        assert len(town.rows(kind)) > 0, kind


def test_a_clean_meter_is_nearest_to_what_really_feeds_it() -> None:
    town = make_town(2_500, seed=1)
    clean = np.flatnonzero(town.is_linkable & (town.place == Place.RIGHT))
    for meter in clean[::37].tolist():
        station = _nearest(town, meter, town.substation_longitude, town.substation_latitude)
        assert station == town.substation[meter]
        building = _nearest(town, meter, town.building_longitude, town.building_latitude)
        assert (building, town.building_feeder[building]) == (town.building[meter], town.feeder[meter])


def test_the_same_arguments_give_the_same_rows(database_factory: Callable[..., Database]) -> None:
    first, second, other = (database_factory().engine for _ in range(3))
    for engine, seed in ((first, 5), (second, 5), (other, 6)):
        fill_town(engine, seed=seed)

    def numbered(engine: object) -> dict[str, list[object]]:
        rows = all_rows(engine)["oms_meters"]  # type: ignore[arg-type]
        return {key: [row["power_status"], row["location_lat"]] for key, row in rows.items()}

    assert numbered(first) == numbered(second) != numbered(other)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_filled_shape_is_recognised_and_upgraded(empty_database: Database, shape: str) -> None:
    town = fill_town(empty_database.engine, shape=shape)
    report = empty_database.upgrade()
    assert report.shape == shape
    reasons = {(aside.table_name, aside.reason): aside.row_count for aside in report.set_aside}
    orphaned = ("meters", "orphan: oms_meter_id names no row of oms_meters")
    assert (orphaned in reasons) == (shape == "B")
    lost = town.has_onu & np.isin(town.place, (Place.NOT_A_NUMBER, Place.OUT_OF_RANGE))
    assert reasons["meters", "illegal value: location_lat"] == lost.sum()
    assert empty_database.verify() == []
