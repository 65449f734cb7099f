"""Fixtures of the acceptance tests: a stored network, and the door by which messages come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.scada_grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology import Receipt
    from oms_topology.persistence.database import Database


@pytest.fixture
def grid(database: Database) -> Grid:
    """The small network, stored in a fresh database."""
    return Grid(database)


@pytest.fixture(params=["pipeline", "sql"])
def handle(request: pytest.FixtureRequest, grid: Grid) -> Callable[..., Receipt]:
    """Takes a message in, by one door after the other."""
    return grid.door(request.param)
