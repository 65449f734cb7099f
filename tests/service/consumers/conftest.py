"""A broker for each test process, and trials that know nothing of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.brokers import LiveBroker, live_broker
from tests.service.consumers.members import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database


@pytest.fixture(scope="package")
def broker() -> Iterator[LiveBroker]:
    yield from live_broker()


@pytest.fixture
def trial(database: Database, broker: LiveBroker) -> Iterator[Trial]:
    made = Trial(database, broker)
    yield made
    made.close()
