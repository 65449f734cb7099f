"""Messages of a real broker end in a real database, once, and the operator can see it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.scada_grid import Grid, event
from tests.service.consumers.members import Trial, wait_until

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database


def encoded(**said: object) -> bytes:
    return json.dumps(event(**said)).encode()  # type: ignore[arg-type]


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_messages_have_their_effects_and_a_member_ends_in_good_order(
    grid: Grid, trial: Trial, number: int
) -> None:
    broken = b'{"substationId": "4A", "customerPhone": "+962790000000"'
    trial.send("scada", [encoded(feeder="F2"), encoded(feeder="F2"), broken, encoded(feeder="F1", minute=1)])
    member = trial.start("scada")
    wait_until(lambda: trial.is_done("scada"), what="taking in")
    assert grid.off() == ["M2", "M3", "M5", "M6", "M7"]
    assert grid.value("SELECT count(*) FROM oms_topology.signal") == 2
    assert bytes(grid.value("SELECT payload FROM oms_topology.dead_letter")) == broken
    wait_until(lambda: member.ask("/health/ready")[0] == 200, what="readiness")
    counted = member.ask("/metrics")[1]
    for outcome, count in (("recorded", 2), ("duplicate", 1), ("dead_letter", 1)):
        assert f'messages_total{{outcome="{outcome}",source="scada"}} {count}.0' in counted
    wait_until(lambda: 'partition="2",source="scada"' in member.ask("/metrics")[1], what="lag")
    log = member.stop(number)
    assert "partitions assigned" in [line["event"] for line in log]
    assert "790000000" not in json.dumps(log)
    stream = trial.settings.stream("scada")
    assert trial.broker.committed(stream.consumer_group, stream.topic) == trial.ends("scada")
