"""How far consumers have come: written with the effects, never backwards, forgotten only on demand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_topology import Pipeline
from oms_topology.errors import StoreUnavailableError
from oms_topology.model import StreamPosition
from oms_topology.persistence.database import Database
from oms_topology.persistence.stream_positions import forget_positions, positions_of, record_positions
from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP, TOPIC = "scada-consumer-group", "scada-outage-topic"


def at_offset(partition: int, next_offset: int, *, group: str = GROUP, topic: str = TOPIC) -> StreamPosition:
    return StreamPosition(group, topic, partition, next_offset)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[object]]:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as opened:
        yield opened


def test_a_group_that_never_read_has_no_position(database: Database) -> None:
    assert positions_of(database.engine, GROUP, TOPIC) == ()


def test_positions_are_those_of_the_group_and_topic_by_partition(
    database: Database, connection: psycopg.Connection[object]
) -> None:
    others = [at_offset(0, 7, group="other"), at_offset(0, 8, topic="other")]
    record_positions(connection, [at_offset(2, 5), *others, at_offset(0, 3)])
    connection.commit()
    assert positions_of(database.engine, GROUP, TOPIC) == (at_offset(0, 3), at_offset(2, 5))


def test_a_position_is_gone_with_the_transaction_that_wrote_it(
    database: Database, connection: psycopg.Connection[object]
) -> None:
    record_positions(connection, [at_offset(0, 3)])
    connection.rollback()
    assert positions_of(database.engine, GROUP, TOPIC) == ()


def test_no_positions_need_no_statement(connection: psycopg.Connection[object]) -> None:
    record_positions(connection, [])
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.builds(at_offset, st.integers(0, 2), st.integers(0, 2**62)), max_size=4)))
def test_positions_only_ever_go_forward(
    database: Database, connection: psycopg.Connection[object], batches: list[list[StreamPosition]]
) -> None:
    forget_positions(database.engine, GROUP, TOPIC, [0, 1, 2])
    furthest: dict[int, int] = {}
    for batch in batches:
        record_positions(connection, batch)
        connection.commit()
        for position in batch:
            held = furthest.get(position.partition, 0)
            furthest[position.partition] = max(held, position.next_offset)
        expected = tuple(at_offset(*item) for item in sorted(furthest.items()))
        assert positions_of(database.engine, GROUP, TOPIC) == expected


def test_what_is_forgotten_begins_anew(database: Database, connection: psycopg.Connection[object]) -> None:
    record_positions(connection, [at_offset(0, 3), at_offset(1, 4)])
    connection.commit()
    assert forget_positions(database.engine, GROUP, TOPIC, [0, 9]) == 1
    assert positions_of(database.engine, GROUP, TOPIC) == (at_offset(1, 4),)
    record_positions(connection, [at_offset(0, 1)])
    connection.commit()
    assert positions_of(database.engine, GROUP, TOPIC) == (at_offset(0, 1), at_offset(1, 4))


def test_many_members_never_wait_for_each_other_in_a_circle(database: Database) -> None:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def note(member: int) -> None:
        with psycopg.connect(url, autocommit=True) as opened:
            for step in range(30):
                partitions = range(4) if (member + step) % 2 else reversed(range(4))
                record_positions(opened, [at_offset(partition, step) for partition in partitions])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(4)))
    assert {held.next_offset for held in positions_of(database.engine, GROUP, TOPIC)} == {29}


@pytest.mark.parametrize("position", [at_offset(-1, 0), at_offset(0, -1)])
def test_what_no_broker_would_say_is_refused(
    connection: psycopg.Connection[object], position: StreamPosition
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        record_positions(connection, [position])


def test_a_database_that_is_gone_is_said_to_be() -> None:
    with Database("postgresql://nobody@/oms?host=/nowhere") as gone:
        with pytest.raises(StoreUnavailableError):
            positions_of(gone.engine, GROUP, TOPIC)
        with pytest.raises(StoreUnavailableError):
            forget_positions(gone.engine, GROUP, TOPIC, [0])


def test_the_pipeline_notes_positions_with_a_batch(database: Database) -> None:
    grid = Grid(database)
    batch = [("scada", b'{"substationId": '), *[("scada", message_of(minute)) for minute in (0, 0, 1)]]
    with Pipeline(database) as pipeline:
        receipts = pipeline.handle_batch(batch, positions=[at_offset(1, 4)])
    assert [receipt.accepted for receipt in receipts] == [False, True, True, True]
    assert [receipt.duplicate for receipt in receipts] == [False, False, True, False]
    assert positions_of(database.engine, GROUP, TOPIC) == (at_offset(1, 4),)
    assert grid.off() == ["M6", "M7"]


def message_of(minute: int) -> bytes:
    return json.dumps(event(feeder="F2", minute=minute)).encode()
