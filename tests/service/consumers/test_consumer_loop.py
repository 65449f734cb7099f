"""The loop: nothing is acknowledged before it is committed, and no trouble loses a message."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from oms_topology import Pipeline, Topology
from oms_topology.errors import SchemaVersionError, StoreError
from oms_topology.persistence.stream_positions import positions_of
from oms_topology.service.consumers.backoff import Backoff
from oms_topology.service.consumers.health import HealthServer
from oms_topology.service.consumers.logs import JsonFormatter
from oms_topology.service.consumers.loop import ConsumerLoop
from oms_topology.service.consumers.metrics import ConsumerMetrics
from oms_topology.service.consumers.writer import BatchWriter
from tests.acceptance.scada_grid import NETWORK, Grid, event
from tests.crash_server import CrashServer, crash_server
from tests.servers import roomy_place
from tests.service.consumers.list_source import ListSource
from tests.service.consumers.members import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database


def trip(minute: int, **more: Any) -> bytes:
    return json.dumps(event(feeder="F2", minute=minute, **more)).encode()


class Running:
    """A loop in a thread of its own."""

    def __init__(self, source: ListSource, database: Database, *, batch_messages: int = 4) -> None:
        self.source = source
        self.metrics = ConsumerMetrics()
        self.stop = Event()
        self.error: BaseException | None = None
        self._loop = ConsumerLoop(
            source, BatchWriter(database), self.metrics.of("scada"), self.stop,
            batch_messages=batch_messages, backoff=Backoff(first_s=0.02, limit_s=0.1),
        )  # fmt: skip
        self._thread = Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:  # noqa: BLE001
            self.error = error


@contextmanager
def running(source: ListSource, database: Database) -> Iterator[Running]:
    loop = Running(source, database)
    try:
        yield loop
    finally:
        loop.end()
        if loop.error:
            raise loop.error


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.fixture
def server() -> Iterator[CrashServer]:
    yield from crash_server(roomy_place())


def recorded_offset(database: Database) -> int:
    return sum(held.next_offset for held in positions_of(database.engine, "group", "topic"))


def signals(grid: Grid) -> int:
    return int(grid.value("SELECT count(*) FROM oms_topology.signal"))


def refuse(grid: Grid, what: str, sqlstate: str, *, at_commit: bool = False) -> None:
    """Let the database refuse messages that hold a word, at once or when they are committed."""
    grid.rows(
        f"""
        CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF new.payload::text ~ '{what}' THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}';
            END IF;
            RETURN new;
        END $$
        """
    )
    grid.rows(
        f"""
        CREATE {"CONSTRAINT" if at_commit else ""} TRIGGER refusing
        {"AFTER" if at_commit else "BEFORE"} INSERT ON oms_topology.signal
        {"DEFERRABLE INITIALLY DEFERRED" if at_commit else ""}
        FOR EACH ROW EXECUTE FUNCTION refusing()
        """
    )


def accept_all(grid: Grid) -> None:
    grid.rows("DROP TRIGGER refusing ON oms_topology.signal")


def test_batches_are_recorded_then_acknowledged_and_the_source_is_left(grid: Grid) -> None:
    source = ListSource("scada", [trip(minute) for minute in range(10)])
    with running(source, grid.database) as loop:
        wait_until(lambda: source.acknowledged == 10)
        assert recorded_offset(grid.database) == 10
        assert signals(grid) == 10
    assert source.asked == ["close"]
    assert b'batch_messages_count{source="scada"} 3.0' in loop.metrics.text()


@pytest.mark.slow
def test_a_lost_database_pauses_the_source_and_its_return_resumes_it(server: CrashServer) -> None:
    database = server.create("oms")
    database.store_network(Topology.from_text(NETWORK))
    source = ListSource("scada", [trip(minute) for minute in range(40)])
    server.kill()
    with running(source, database) as loop:
        state = loop.metrics.of("scada")
        wait_until(lambda: source.asked == ["pause", "keep alive"] or len(source.asked) > 4)
        assert state.is_paused
        assert source.acknowledged == 0
        server.start()
        wait_until(lambda: source.acknowledged == 40)
        assert not state.is_paused
        assert recorded_offset(database) == 40
        assert source.asked.count("resume") == 1
        assert b'failures_total{error="StoreUnavailableError",source="scada"}' in loop.metrics.text()
    database.close()


@pytest.mark.slow
def test_told_to_stop_while_the_database_is_away_it_leaves_the_batch_to_others(server: CrashServer) -> None:
    database = server.create("oms")
    database.store_network(Topology.from_text(NETWORK))
    source = ListSource("scada", [trip(0)])
    server.kill()
    with running(source, database):
        wait_until(lambda: "keep alive" in source.asked)
    assert source.acknowledged == 0
    assert source.asked[-1] == "close"
    server.start()
    assert recorded_offset(database) == 0
    database.close()


@pytest.mark.parametrize("at_commit", [False, True])
def test_a_message_that_the_database_refuses_loses_only_itself(grid: Grid, *, at_commit: bool) -> None:
    refuse(grid, "poison", "23514", at_commit=at_commit)
    payloads = [trip(minute, reason="poison" if minute in (3, 11) else "Storm") for minute in range(20)]
    with BatchWriter(grid.database) as writer:
        receipts = writer.write([("scada", payload) for payload in payloads], positions=[])
    assert [number for number, receipt in enumerate(receipts) if not receipt.accepted] == [3, 11]
    assert "23514" in str(receipts[3].dead_letter_reason)
    assert signals(grid) == 18
    kept = grid.column("SELECT payload FROM oms_topology.dead_letter ORDER BY dead_letter_no")
    assert [bytes(payload) for payload in kept] == [payloads[3], payloads[11]]
    accept_all(grid)
    with Pipeline(grid.database) as pipeline:
        for number in (3, 11):
            letter = receipts[number].dead_letter_id
            assert letter is not None
            assert pipeline.replay(letter).accepted
    assert signals(grid) == 20


def test_positions_are_recorded_when_a_batch_held_a_refused_message(grid: Grid) -> None:
    refuse(grid, "poison", "22003", at_commit=True)
    source = ListSource("scada", [trip(0), trip(1, reason="poison"), trip(2)])
    with running(source, grid.database) as loop:
        wait_until(lambda: source.acknowledged == 3)
        assert recorded_offset(grid.database) == 3
        assert b'messages_total{outcome="dead_letter",source="scada"} 1.0' in loop.metrics.text()


@pytest.mark.parametrize("sqlstate", ["53100", "42501"])  # disk full, rights withdrawn
def test_a_database_that_refuses_everything_makes_messages_wait_and_no_dead_letters(
    grid: Grid, sqlstate: str
) -> None:
    refuse(grid, ".", sqlstate)
    source = ListSource("scada", [trip(0), trip(1)])
    with running(source, grid.database) as loop:
        wait_until(lambda: source.asked.count("keep alive") >= 3)
        assert loop.metrics.of("scada").is_paused
        accept_all(grid)
        wait_until(lambda: source.acknowledged == 2)
    assert signals(grid) == 2
    assert grid.value("SELECT count(*) FROM oms_topology.dead_letter") == 0


def test_a_database_of_another_version_ends_the_loop(empty_database: Database) -> None:
    source = ListSource("scada", [trip(0)])
    with pytest.raises(SchemaVersionError), running(source, empty_database):
        wait_until(lambda: "close" in source.asked)


def test_the_health_page_tells_live_ready_and_numbers(grid: Grid) -> None:
    metrics = ConsumerMetrics()
    with HealthServer(metrics, "127.0.0.1", 0) as server:
        assert answered(server, "/health/live")[0] == 503  # nothing runs yet
        state = metrics.of("scada")
        source = ListSource("scada", [trip(0), trip(1)])
        state.turned(source)
        assert answered(server, "/health/live")[0] == answered(server, "/health/ready")[0] == 200
        assert (
            'lag_messages{partition="0",source="scada",topic="topic"} 2.0' in answered(server, "/metrics")[1]
        )
        state.failed(StoreError("53100"))
        status, body = answered(server, "/health/ready")
        assert status == 503
        assert json.loads(body)["sources"]["scada"]["waits_for_database"] is True
        assert answered(server, "/health/live")[0] == 200
        state.recovered()
        source.is_connected = False
        state.turned(source)
        assert answered(server, "/health/ready")[0] == 503
        state.turned_at -= 301
        assert answered(server, "/health/live")[0] == 503
        assert answered(server, "/elsewhere")[0] == 404


def answered(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_log_holds_no_text_of_errors() -> None:
    try:
        int("phone +962790000000")
    except ValueError as error:
        about = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("oms_topology", logging.ERROR, __file__, 1, "a source ended", (), about)
    line = json.loads(JsonFormatter().format(record))
    assert (line["error"], line["event"]) == ("ValueError", "a source ended")
    assert line["place"].startswith(__name__)
    assert "96279" not in json.dumps(line)
