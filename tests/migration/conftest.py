"""Towns in the deployed schema, upgraded and ready to be migrated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dirty_town.filling import fill_town

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town


@pytest.fixture
def town_factory(database_factory: Callable[..., Database]) -> Callable[..., tuple[Database, Town]]:
    """Makes an upgraded database with a dirty town in it, and gives the truth beside it."""

    def make(*, shape: str = "A", n_meters: int = 150, seed: int = 0) -> tuple[Database, Town]:
        database = database_factory()
        town = fill_town(database.engine, shape=shape, n_meters=n_meters, seed=seed)
        database.upgrade()
        return database, town

    return make
